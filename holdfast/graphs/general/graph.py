"""The general graph: answer politely, or hand over what is another agent's."""

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from openai.types.chat import ChatCompletionMessageParam

from holdfast.contract.chat import Completion
from holdfast.contract.dialogue import (
    HAND_OVER_TO,
    agent_list,
    dialogue,
    handoff,
    handover_note,
    handover_tool,
)
from holdfast.contract.subgraph import TurnContext, TurnState
from holdfast.domain.customer_texts import customer_text
from holdfast.domain.outcomes import Handoff, Reply

_PROMPT = """\
You are the assistant that welcomes customers. Answer greetings, thanks and small talk in one or two
friendly sentences, in the language "{language}". You know nothing about the business itself: never
guess. What other agents are there for:

{agents}

When the message is clearly theirs, call {tool}. When it is nobody's, say so politely, and say what
you can help with.
{note}"""
WINDOW = 10


class GeneralState(TurnState, total=False):
    completion: Completion


Update = dict[str, Any]


async def respond(state: GeneralState, runtime: Runtime[TurnContext]) -> Update:
    context = runtime.context
    system = _PROMPT.format(
        language=context.language,
        agents=agent_list(context.agents) or "(none)",
        tool=HAND_OVER_TO,
        note=handover_note(context.note),
    )
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": system},
        *dialogue(state["transcript"], latest=WINDOW, context=context),
    ]
    tools = [handover_tool(context.agents)] if context.agents else []
    return {"completion": await context.model.chat(messages, tools=tools)}


def after_response(
    state: GeneralState, runtime: Runtime[TurnContext]
) -> Literal["hand_over", "answer"]:
    return "hand_over" if _handoff(state, runtime) else "answer"


def hand_over(state: GeneralState, runtime: Runtime[TurnContext]) -> Update:
    return {"outcome": _handoff(state, runtime)}


def answer(state: GeneralState, runtime: Runtime[TurnContext]) -> Update:
    text = state["completion"].text.strip()
    if not text:
        language, topics = runtime.context.language, agent_list(runtime.context.agents)
        text = customer_text("cannot_help", language)
        if topics:
            text += f" {customer_text('can_help_with', language)}\n{topics}"
    return {"outcome": Reply(text=text)}


def _handoff(state: GeneralState, runtime: Runtime[TurnContext]) -> Handoff | None:
    calls = [call for call in state["completion"].tool_calls if call.name == HAND_OVER_TO]
    return handoff(calls[0], runtime.context.agents) if calls else None


def build() -> StateGraph[Any, TurnContext, Any, Any]:
    """START → respond → answer | hand_over → END."""
    graph = StateGraph(GeneralState, context_schema=TurnContext)
    graph.add_node(respond)
    graph.add_node(answer)
    graph.add_node(hand_over)
    graph.add_edge(START, "respond")
    graph.add_conditional_edges("respond", after_response)
    graph.add_edge("answer", END)
    graph.add_edge("hand_over", END)
    return graph
