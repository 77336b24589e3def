"""The orders graph: a loop of model call, reads and proposals until the model answers in words.

The model call, the reads and the proposal are nodes of their own: a proposal that comes back after
days runs its node again from the start, and must not repeat the others.
"""

import json
import operator
from typing import Annotated, Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from openai.types.chat import ChatCompletionMessageParam

from holdfast import (
    Escalation,
    Reply,
    ToolCall,
    TurnContext,
    TurnState,
    dialogue,
    handoff,
    propose,
    take_again,
)
from holdfast_shop.orders.prompt import system_prompt
from holdfast_shop.orders.toolbox import (
    TRANSFER,
    as_text,
    kind_of,
    proposed,
    run_read,
    told,
    tools_for,
)
from holdfast_shop.orders.wording import evidence_from, holding_message, proposal_reason

MODEL_CALLS = 16
"""The most model calls in a turn; then a person goes on."""
ACTIONS_AT_ONCE = 10
WINDOW = 30


class OrdersState(TurnState, total=False):
    """`exchange` is the talk with the model in this turn, after the transcript."""

    exchange: Annotated[list[ChatCompletionMessageParam], operator.add]


Update = dict[str, Any]


async def think(state: OrdersState, runtime: Runtime[TurnContext]) -> Update:
    context = runtime.context
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": system_prompt(context)},
        *dialogue(state["transcript"], latest=WINDOW, context=context),
        *state.get("exchange", []),
    ]
    completion = await context.model.chat(messages, tools=tools_for(context))
    return {"exchange": [completion.as_message()]}


async def read(state: OrdersState, runtime: Runtime[TurnContext]) -> Update:
    """Answers the calls up to the next one that is not a read, in order."""
    answers = [
        _answer(call, as_text(await run_read(call, runtime.context))) for call in _next_calls(state)
    ]
    return {"exchange": answers}


def act(state: OrdersState, runtime: Runtime[TurnContext]) -> Update:
    """Proposes the writes that stand next to each other together."""
    calls, again = take_again(_next_calls(state)[:ACTIONS_AT_ONCE])
    actions = proposed(calls)
    looked_up = _results(state)
    results = propose(
        actions,
        reason=proposal_reason(actions, _asked(state), looked_up),
        evidence=evidence_from(looked_up),
        holding_message=holding_message(actions, looked_up, runtime.context.language),
        again=again,
    )
    return {
        "exchange": [
            _answer(call, as_text(told(result)))
            for call, result in zip(calls, results, strict=True)
        ]
    }


def pass_on(state: OrdersState, runtime: Runtime[TurnContext]) -> Update:
    """Ends the turn as a handoff, or tells the model that there is no such agent."""
    calls = _next_calls(state)
    outcome = handoff(calls[0], runtime.context.agents)
    if outcome is not None:
        return {"outcome": outcome}
    return {"exchange": [_answer(call, '{"error": "There is no such agent."}') for call in calls]}


def conclude(state: OrdersState) -> Update:
    """The model's words are the reply, or the farewell of a transfer to a person."""
    text = _text(state["exchange"][-1]).strip()
    summary = _transfer_summary(state)
    if summary is not None:
        return {"outcome": Escalation(reason=summary, text=text)}
    if not text:
        return {"outcome": Escalation(reason="The model gave an empty answer.")}
    return {"outcome": Reply(text=text)}


def give_up(state: OrdersState) -> Update:
    reason = _transfer_summary(state) or f"No answer after {MODEL_CALLS} model calls in one turn."
    return {"outcome": Escalation(reason=reason)}


Next = Literal["think", "read", "act", "pass_on", "conclude", "give_up", "__end__"]


def where_next(state: OrdersState) -> Next:
    if "outcome" in state:
        return "__end__"
    exchange = state["exchange"]
    if exchange[-1]["role"] == "assistant" and not _calls(exchange[-1]):
        return "conclude"
    pending = _next_calls(state)
    if not pending:
        return "give_up" if _model_calls(state) >= MODEL_CALLS else "think"
    match kind_of(pending[0]):
        case "read":
            return "read"
        case "write":
            return "act"
        case "pass_on":
            return "pass_on"


def _next_calls(state: OrdersState) -> list[ToolCall]:
    """The unanswered calls up to the first one of another kind than the first."""
    answered: set[str] = set()
    pending: list[ToolCall] = []
    for message in reversed(state["exchange"]):
        # Ids count within one completion only; some providers use them again in the next.
        if message["role"] == "assistant":
            pending = [call for call in _calls(message) if call.id not in answered]
            break
        if message["role"] == "tool":
            answered.add(message["tool_call_id"])
    kinds = [kind_of(call) for call in pending]
    end = next((at for at, kind in enumerate(kinds) if kind != kinds[0]), len(pending))
    return pending[:end]


def _calls(message: ChatCompletionMessageParam) -> list[ToolCall]:
    if message["role"] != "assistant":
        return []
    return [
        ToolCall(
            id=call["id"],
            name=call["function"]["name"],
            arguments=json.loads(call["function"]["arguments"]),
        )
        for call in message.get("tool_calls", ())
        if call["type"] == "function"
    ]


def _answer(call: ToolCall, text: str) -> ChatCompletionMessageParam:
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def _results(state: OrdersState) -> list[tuple[str, Any]]:
    """The answered calls of this turn, by the names of their tools."""
    names: dict[str, str] = {}
    found: list[tuple[str, Any]] = []
    for message in state["exchange"]:
        names.update((call.id, call.name) for call in _calls(message))
        if message["role"] == "tool":
            try:
                found.append((names[message["tool_call_id"]], json.loads(_text(message))))
            except ValueError:
                continue
    return found


def _transfer_summary(state: OrdersState) -> str | None:
    for message in state["exchange"]:
        for call in _calls(message):
            if call.name == TRANSFER:
                return str(call.arguments.get("summary") or "The customer needs a person.")
    return None


def _model_calls(state: OrdersState) -> int:
    return sum(message["role"] == "assistant" for message in state["exchange"])


def _text(message: ChatCompletionMessageParam) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _asked(state: OrdersState) -> str:
    """The customer's request: the latest message, and those that it answers a question about."""
    said: list[str] = []
    for message in reversed(state["transcript"]):
        if message.role == "customer":
            said.insert(0, message.text)
        elif "?" not in message.text:
            break
    return " … ".join(said)


def build() -> StateGraph[Any, TurnContext, Any, Any]:
    """START → think → read | act | pass_on | conclude | give_up; read and act lead back."""
    graph = StateGraph(OrdersState, context_schema=TurnContext)
    graph.add_node(think)
    graph.add_node(read)
    graph.add_node(act)
    graph.add_node(pass_on)
    graph.add_node(conclude)
    graph.add_node(give_up)
    graph.add_edge(START, "think")
    for step in ("think", "read", "act", "pass_on"):
        graph.add_conditional_edges(step, where_next)
    graph.add_edge("conclude", END)
    graph.add_edge("give_up", END)
    return graph
