"""The agent that works with tools: it asks the model, reads and proposes until the model answers in words.

The model call, the reads and the proposal are nodes of their own: a proposal that comes back after days
runs its node again from the start, and must not repeat the others.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from openai.types.chat import ChatCompletionMessageParam
from pydantic import JsonValue, ValidationError

from holdfast.contract.action import AnyAction
from holdfast.contract.chat import Tool, ToolCall
from holdfast.contract.confirmation import take_again, with_again
from holdfast.contract.dialogue import (
    HAND_OVER_TO,
    dialogue,
    handoff,
    handover_note,
    handover_tool,
    last_words,
)
from holdfast.contract.exchange import Exchange, action_answer, answer_message, answered_calls
from holdfast.contract.read import AnyRead, ReadError
from holdfast.contract.subgraph import Subgraph, TurnContext, TurnOutcome, TurnState, propose
from holdfast.domain.errors import ConfigurationError
from holdfast.domain.failures import in_words
from holdfast.domain.outcomes import Escalation, ProposedAction, Reply

MODEL_CALLS = 16
"""The most model calls of the agent in a turn; then a person goes on."""
WINDOW = 30
"""Messages of the transcript that the model sees."""
_QUOTED_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True)
class Rationale:
    """Why an agent proposes something: `reason` and `evidence` are for the reviewer, `holding_message` is
    for the customer while a person has to decide; see `propose`."""

    reason: str
    evidence: tuple[str, ...] = ()
    holding_message: str | None = None


Prompt = Callable[[TurnContext], str]
Explain = Callable[[Exchange, Sequence[ProposedAction]], Rationale]
Conclude = Callable[[Exchange, str], TurnOutcome | None]


def _quote(exchange: Exchange, actions: Sequence[ProposedAction]) -> Rationale:
    return quoted(last_words(exchange.transcript))


def quoted(words: str) -> Rationale:
    """The customer's words as the reason."""
    return Rationale(reason=f"The customer wrote: “{words[:_QUOTED_CHARACTERS]}”")


def tool_agent(
    *,
    name: str,
    description: str,
    prompt: str | Prompt,
    reads: Sequence[AnyRead] = (),
    actions: Sequence[AnyAction] = (),
    window: int = WINDOW,
    explain: Explain = _quote,
    conclude: Conclude = lambda exchange, text: None,
) -> Subgraph:
    """An agent that calls tools in a loop, until the model answers in words.

    The calls of one answer are made in its order. Reads are answered at once; actions that stand next to
    each other are one proposal. What can't be used (an unknown tool, arguments that do not fit, more
    actions than a proposal may have) is told to the model as a call's answer, and so is a refusal. Where
    there are other agents, the model may hand over to one. After `MODEL_CALLS` a person goes on.

    Args:
        name: what a `Route` or `Handoff` calls the agent.
        description: one or two sentences that tell triage which messages belong to it.
        prompt: the system prompt, or what makes it for a turn. Why another agent handed the turn
            over, and what was done before, are added to it.
        reads: what it may look up.
        actions: what it may propose; they belong to the package's actions, too.
        window: how many of the transcript's latest messages the model sees.
        explain: why actions are proposed; by default the customer is quoted.
        conclude: what the model's last words become; None for the reply.

    Raises:
        ConfigurationError: two tools have one name.
    """
    tools = (
        *(_tool_of(one, lenient=one.lenient) for one in reads),
        *(with_again(_tool_of(one)) for one in actions),
    )
    names = [HAND_OVER_TO, *(tool.name for tool in tools)]
    if twice := sorted({one for one in names if names.count(one) > 1}):
        raise ConfigurationError(f"agent {name!r} has two tools named {', '.join(twice)}")
    agent = _ToolAgent(
        prompt=prompt,
        reads={one.name: one for one in reads},
        actions=frozenset(one.name for one in actions),
        tools=tools,
        window=window,
        explain=explain,
        conclude=conclude,
    )
    return Subgraph(name=name, description=description, graph=agent.graph)


def _tool_of(one: AnyRead | AnyAction, *, lenient: bool = False) -> Tool:
    return Tool.of(one.arguments, name=one.name, description=one.description, lenient=lenient)


class _State(TurnState, total=False):
    """`exchange` is the talk with the model in this turn, after the transcript; `calls` are those of its
    latest message that are not answered yet."""

    exchange: Annotated[list[ChatCompletionMessageParam], operator.add]
    calls: list[dict[str, Any]]


_Update = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _ToolAgent:
    """The nodes, and what `tool_agent` was given."""

    prompt: str | Prompt
    reads: Mapping[str, AnyRead]
    actions: frozenset[str]
    tools: tuple[Tool, ...]
    window: int
    explain: Explain
    conclude: Conclude

    async def think(self, state: _State, runtime: Runtime[TurnContext]) -> _Update:
        """Ask the model; an answer without calls ends the turn."""
        context, exchange = runtime.context, state.get("exchange", [])
        if sum(message["role"] == "assistant" for message in exchange) >= MODEL_CALLS:
            reason = f"No answer after {MODEL_CALLS} model calls in one turn."
            return {"outcome": Escalation(reason=reason)}
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": self._system(context)},
            *dialogue(state["transcript"], latest=self.window, context=context),
            *exchange,
        ]
        tools = (*self.tools, handover_tool(context.agents)) if context.agents else self.tools
        completion = await context.model.chat(messages, tools=tools)
        update: _Update = {
            "exchange": [completion.as_message()],
            "calls": [
                {**call.model_dump(mode="json"), "is_action": call.name in self.actions}
                for call in completion.tool_calls
            ],
        }
        if not completion.tool_calls:
            text = completion.text.strip()
            update["outcome"] = self.conclude(_exchange_of(state, context), text) or _reply(text)
        return update

    async def read(self, state: _State, runtime: Runtime[TurnContext]) -> _Update:
        """Answer the calls before the next action, in order; an outcome among the answers ends the turn."""
        said: list[ChatCompletionMessageParam] = []
        for call in _next_calls(state, are_actions=False):
            answer = await self._answer(call, runtime.context)
            if isinstance(answer, TurnOutcome):
                return {"exchange": said, "calls": [], "outcome": answer}
            said.append(answer_message(call, answer))
        return {"exchange": said, "calls": state["calls"][len(said) :]}

    async def act(self, state: _State, runtime: Runtime[TurnContext]) -> _Update:
        """Propose the actions that stand next to each other together."""
        calls, again = take_again(_next_calls(state, are_actions=True))
        actions = [ProposedAction(name=call.name, arguments=call.arguments) for call in calls]
        rationale = self.explain(_exchange_of(state, runtime.context), actions)
        results = propose(
            actions,
            reason=rationale.reason,
            evidence=rationale.evidence,
            holding_message=rationale.holding_message,
            again=again,
        )
        said = [
            answer_message(call, action_answer(result, call.arguments))
            for call, result in zip(calls, results, strict=True)
        ]
        return {"exchange": said, "calls": state["calls"][len(said) :]}

    def next_node(self, state: _State) -> str:
        """Where the next call is answered; back to the model, where all are."""
        if "outcome" in state:
            return END
        if not state["calls"]:
            return "think"
        return "act" if state["calls"][0]["is_action"] else "read"

    def graph(self) -> StateGraph[Any, TurnContext, Any, Any]:
        """START → think → read | act, which lead back, until there is an outcome."""
        graph = StateGraph(_State, context_schema=TurnContext)
        graph.add_edge(START, "think")
        for name, node in (("think", self.think), ("read", self.read), ("act", self.act)):
            graph.add_node(name, node)
            graph.add_conditional_edges(name, self.next_node, ["think", "read", "act", END])
        return graph

    def _system(self, context: TurnContext) -> str:
        prompt = self.prompt if isinstance(self.prompt, str) else self.prompt(context)
        return "\n".join(part for part in (prompt, handover_note(context.note)) if part)

    async def _answer(self, call: ToolCall, context: TurnContext) -> JsonValue | TurnOutcome:
        if call.name == HAND_OVER_TO:
            return handoff(call, context.agents) or {"error": "There is no such agent."}
        read = self.reads.get(call.name)
        if read is None:
            return {"error": f"There is no tool {call.name!r}."}
        try:
            arguments = read.arguments.model_validate(call.arguments)
        except ValidationError as error:
            return {"error": f"The arguments do not fit: {in_words(error)}"}
        try:
            return await read.run(context, arguments)
        except ReadError as error:
            return {"error": str(error)}


def _reply(text: str) -> TurnOutcome:
    try:
        return Reply(text=text)
    except ValidationError:  # there is nothing to read in it
        return Escalation(reason="The model gave an empty answer.")


def _next_calls(state: _State, *, are_actions: bool) -> list[ToolCall]:
    """The calls of one kind that come next. Which kind they are was decided when the model made them: a
    proposal goes on as it was made, also where this version has other actions."""
    alike = takewhile(lambda call: call["is_action"] == are_actions, state["calls"])
    return [ToolCall.model_validate(call) for call in alike]


def _exchange_of(state: _State, context: TurnContext) -> Exchange:
    return Exchange(
        context=context,
        transcript=state["transcript"],
        calls=answered_calls(state.get("exchange", [])),
    )
