"""What an agent builder writes against: the subgraph, its context and state, and `propose`.

A subgraph is an ordinary LangGraph graph. It reads `transcript` from its state and ends with an
`outcome` in it; what a node needs from outside comes in as `runtime.context`, a `TurnContext`. It
never changes the world: a node calls `propose`, and the platform executes what policy and
reviewers let through.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Protocol, TypedDict

from langgraph.graph import StateGraph
from langgraph.types import interrupt

from holdfast.contract.chat import ChatModel
from holdfast.contract.connection import Connection
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import (
    MOST_ACTIONS,
    ActionResult,
    Escalation,
    Handoff,
    Proposal,
    ProposedAction,
    Reply,
    Route,
)
from holdfast.domain.past import PastAction

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


@dataclass(frozen=True, kw_only=True)
class Subgraph:
    """A LangGraph graph under a name.

    Args:
        name: what a `Route` or `Handoff` calls it.
        description: one or two sentences that tell triage which messages belong to it.
        graph: builds the graph, uncompiled; called once in each process.
    """

    name: str
    description: str
    graph: Callable[[], StateGraph[Any, TurnContext, Any, Any]]


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
    results = interrupt(proposal.model_dump(mode="json"))
    return [ActionResult.model_validate(result) for result in results]


def _too_many(action: ProposedAction) -> ActionResult:
    return ActionResult(
        id="-",
        name=action.name,
        arguments=action.arguments,
        state="refused",
        error=f"At most {MOST_ACTIONS} changes may be asked for at once. None of them was made.",
    )
