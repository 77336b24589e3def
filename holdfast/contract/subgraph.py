"""What an agent builder writes against: the subgraph, its context and state, and `propose`.

A subgraph is an ordinary LangGraph graph. It reads `transcript` from its state and ends with an
`outcome` in it; what a node needs from outside comes in as `runtime.context`, a `TurnContext`. A graph
with another state or context is brought with functions that map them. It never changes the world: a node
calls `propose`, and the platform executes what policy and reviewers let through.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Protocol, TypedDict

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from holdfast.contract.chat import ChatModel
from holdfast.contract.connection import Connection
from holdfast.contract.running import stop
from holdfast.domain.errors import BrokenContract
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import (
    MOST_ACTIONS,
    ActionResult,
    Citation,
    Escalation,
    Handoff,
    Proposal,
    ProposedAction,
    Reply,
    Route,
)
from holdfast.domain.past import PastAction

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

Role = Literal["customer", "assistant", "human", "note", "summary"]
"""Who speaks: the customer, an agent, a person of the staff, or staff speaking to the agents only. A
summary, where there is one, comes first and stands for everything before the second message."""


class TranscriptMessage(Frozen):
    """One message of the conversation. `seq` counts within the conversation, from 1."""

    seq: int
    turn: int
    role: Role
    text: str


TurnOutcome = Route | Reply | Handoff | Escalation
"""What a graph may end with; only triage routes."""


class TurnState(TypedDict):
    """The state that every subgraph starts from; a graph's own state extends it.

    `transcript` is the window of the latest messages, oldest first; the last one is the customer's
    new message. `outcome` must be there when the graph ends.
    """

    transcript: list[TranscriptMessage]
    outcome: NotRequired[TurnOutcome]


class AgentCard(Frozen):
    """An agent as triage and the other agents see it."""

    name: str
    description: str


class Reads(Protocol):
    """The database as a subgraph sees it: Postgres itself refuses writes on these connections."""

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A read-only connection, for as long as the context lasts."""
        ...


@dataclass(frozen=True, kw_only=True)
class TurnContext:
    """What the nodes of a subgraph get from outside, as LangGraph's `runtime.context`."""

    tenant: str
    conversation: str
    turn: int
    customer: str
    """The customer who speaks; reads and actions must not touch anybody else's records."""
    model: ChatModel
    reads: Reads
    agents: tuple[AgentCard, ...] = ()
    """The other agents that a `Handoff` may name."""
    agent: str | None = None
    """The agent that answered last, for triage: a short follow-up stays with it."""
    note: str = ""
    """Why another agent handed this turn over; empty otherwise."""
    language: str = "en"
    asked_back: int = 0
    """Clarifying questions in a row that triage has asked before this message."""
    executed: tuple[PastAction, ...] = ()
    """What was done for this customer, oldest first: the latest in this conversation, and those of
    the last day in others. Tell the model (`dialogue` does), so that it does nothing twice."""
    waiting: tuple[PastAction, ...] = ()
    """What was proposed for this customer and is neither decided nor done yet."""


AnyGraph = Pregel[Any, Any, Any, Any] | StateGraph[Any, Any, Any, Any]
"""A graph, compiled or not: what `StateGraph`, its `compile`, `create_agent` and `@entrypoint` make."""


def _transcript(context: TurnContext, transcript: Sequence[TranscriptMessage]) -> dict[str, Any]:
    return {"transcript": list(transcript)}


def _outcome(values: Any) -> Any:
    return values.get("outcome") if isinstance(values, Mapping) else values


def _turn_context(context: TurnContext) -> Any:
    return context


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A LangGraph graph under a name.

    Args:
        name: what a `Route` or `Handoff` calls it.
        description: one or two sentences that tell triage which messages belong to it.
        graph: the graph, compiled or not, or a function that makes it, which is called once in each
            process. It has no checkpointer of its own: Holdfast keeps its snapshots.
        map_input: makes the graph's input of the transcript. By default, `{"transcript": [...]}`.
        map_output: makes the turn's outcome of the graph's output. By default, the output's `outcome`,
            or what an `@entrypoint` returns.
        map_context: makes what nodes get as `runtime.context`. By default the `TurnContext`, which
            `current_turn` finds in any case.
    """

    name: str
    description: str
    graph: AnyGraph | Callable[[], AnyGraph]
    map_input: Callable[[TurnContext, Sequence[TranscriptMessage]], Any] = _transcript
    map_output: Callable[[Any], Any] = _outcome
    map_context: Callable[[TurnContext], Any] = _turn_context

    @classmethod
    def of_messages(
        cls,
        graph: AnyGraph | Callable[[], AnyGraph],
        *,
        name: str,
        description: str,
        citations: "Callable[[Sequence[BaseMessage]], Iterable[Citation]] | None" = None,
        map_output: Callable[[Any], Any] | None = None,
        map_context: Callable[[TurnContext], Any] = _turn_context,
    ) -> "Subgraph":
        """A graph that knows messages alone, such as LangChain's `create_agent`: its state has
        `messages`, which begin with the transcript, and its last message, the model's, is the reply.

        Args:
            name: as for any subgraph.
            description: as for any subgraph.
            graph: as for any subgraph.
            citations: finds the reply's sources in the messages; by default, in the artifacts of the
                tools' messages, see `artifact_citations`.
            map_output: makes the turn's outcome of the graph's output, for one that ends in something else than
                words, such as a `structured_response`.
            map_context: as for any subgraph.
        """
        from holdfast.contract.message_graphs import artifact_citations, messages_of, reply_of

        sources = citations or artifact_citations

        def reply(values: Any) -> TurnOutcome | None:
            if values.get("structured_response") is not None:
                raise BrokenContract("it ends in a structured response: say `map_output`")
            messages = values["messages"]
            return reply_of(messages, sources(messages))

        return cls(
            name=name,
            description=description,
            graph=graph,
            map_input=messages_of,
            map_output=map_output or reply,
            map_context=map_context,
        )

    def compiled(self) -> Pregel[Any, Any, Any, Any]:
        """The graph, compiled. One that was brought compiled is that itself."""
        graph = self.graph if isinstance(self.graph, Pregel | StateGraph) else self.graph()
        return graph.compile() if isinstance(graph, StateGraph) else graph


def propose(
    actions: Sequence[ProposedAction] | ProposedAction,
    *,
    reason: str,
    evidence: Sequence[str] = (),
    holding_message: str | None = None,
    again: bool = False,
) -> list[ActionResult]:
    """Ask the platform to change the world, and come back with what became of it.

    The graph stops here (LangGraph's `interrupt`), perhaps for days. When it goes on, the node runs
    again from its start and this call returns one result for each action, in order; a refusal by
    policy, reviewer or the action itself is a result like any other, with its reason in `error`.

    Args:
        actions: one to ten actions, executed in order; when one does not succeed, the later ones
            are not attempted and the earlier ones are compensated where they declare how. More than
            ten are all refused: models ask for any number.
        reason: why, in words a reviewer understands.
        evidence: what supports it, each a short sentence.
        holding_message: what the customer is told while a person has to decide.
        again: the customer was told, in an earlier turn, that the same waits or was done before (a result
            with the state `repeated` said so), and has confirmed that they want it once more.
    """
    chosen = (actions,) if isinstance(actions, ProposedAction) else tuple(actions)
    if len(chosen) > MOST_ACTIONS:
        return [_too_many(action) for action in chosen]
    proposal = Proposal(
        actions=chosen,
        reason=reason,
        evidence=tuple(evidence),
        again=again,
        **({} if holding_message is None else {"holding_message": holding_message}),
    )
    results = stop(proposal.model_dump(mode="json"))
    return [ActionResult.model_validate(result) for result in results]


def _too_many(action: ProposedAction) -> ActionResult:
    return ActionResult(
        id="-",
        name=action.name,
        arguments=action.arguments,
        state="refused",
        error=f"At most {MOST_ACTIONS} changes may be asked for at once. None of them was made.",
    )
