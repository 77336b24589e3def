"""The knowledge graph: find passages, answer from them alone, or say that there is nothing.

Without evidence there is no answer: no model is asked when nothing relevant was found, and an
answer that cites none of the passages is not sent.
"""

import logging
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from openai.types.chat import ChatCompletionMessageParam

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
from holdfast.domain.outcomes import Reply
from holdfast.domain.words import stems
from holdfast.graphs.knowledge.citations import cite, numbered
from holdfast.store.knowledge import Passage, SearchGaveUp, search

_logger = logging.getLogger(__name__)

RELEVANT = 0.1
"""The least rank (0 to 1) of a passage that counts as evidence."""
PASSAGES = 4
FEW_WORDS = 2
"""Fewer words with a meaning than these make a question a follow-up."""
WINDOW = 6

_PROMPT = """\
You answer questions from a help centre. Use nothing but the sources below, and put the number of the
source after each statement, as in "Within 30 days [1]." Answer in at most five sentences, in the
language "{language}". Where the sources do not answer the question, say so and cite nothing.
{handover}{note}

Sources:

{sources}"""
_HANDOVER = """\
A request about the customer's own matters, rather than a general question, belongs to another agent:
call {tool} then.
{agents}
"""


class KnowledgeState(TurnState, total=False):
    """`gave_up` marks a search that took too long and found nothing for that reason."""

    passages: list[Passage]
    gave_up: bool


Update = dict[str, Any]


async def retrieve(state: KnowledgeState, runtime: Runtime[TurnContext]) -> Update:
    """A follow-up question of few words is searched for together with the one before it."""
    context = runtime.context
    asked = [message.text for message in state["transcript"] if message.role == "customer"]
    query = " ".join(asked[-2:]) if len(stems(asked[-1])) < FEW_WORDS else asked[-1]
    try:
        async with context.reads.connection() as connection:
            found = await search(connection, context.tenant, query, limit=PASSAGES)
    except SearchGaveUp as gave_up:
        _logger.warning("%s/%s: %s", context.tenant, context.conversation, gave_up)
        return {"passages": [], "gave_up": True}
    return {"passages": [passage for passage in found if passage.rank >= RELEVANT]}


def after_retrieval(state: KnowledgeState) -> Literal["answer", "decline"]:
    return "answer" if state["passages"] else "decline"


async def answer(state: KnowledgeState, runtime: Runtime[TurnContext]) -> Update:
    """Sets no outcome where the model's answer is not backed by a passage."""
    context, passages = runtime.context, state["passages"]
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": _system(context, passages)},
        *dialogue(state["transcript"], latest=WINDOW, context=context),
    ]
    tools = [handover_tool(context.agents)] if context.agents else []
    completion = await context.model.chat(messages, tools=tools)
    for call in completion.tool_calls:
        if passed_on := handoff(call, context.agents):
            return {"outcome": passed_on}
    cited = cite(completion.text, passages)
    if not cited.citations:
        return {}
    return {"outcome": Reply(text=cited.text, citations=cited.citations)}


def after_answer(state: KnowledgeState) -> Literal["decline", "__end__"]:
    return "__end__" if "outcome" in state else "decline"


def decline(state: KnowledgeState, runtime: Runtime[TurnContext]) -> Update:
    text = customer_text(
        "search_gave_up" if state.get("gave_up") else "nothing_found", runtime.context.language
    )
    return {"outcome": Reply(text=text)}


def _system(context: TurnContext, passages: list[Passage]) -> str:
    handover = _HANDOVER.format(tool=HAND_OVER_TO, agents=agent_list(context.agents))
    return _PROMPT.format(
        language=context.language,
        handover=handover if context.agents else "",
        note=handover_note(context.note),
        sources=numbered(passages),
    )


def build() -> StateGraph[Any, TurnContext, Any, Any]:
    """START → retrieve → answer | decline, answer → decline | END."""
    graph = StateGraph(KnowledgeState, context_schema=TurnContext)
    graph.add_node(retrieve)
    graph.add_node(answer)
    graph.add_node(decline)
    graph.add_edge(START, "retrieve")
    graph.add_conditional_edges("retrieve", after_retrieval)
    graph.add_conditional_edges("answer", after_answer, {"decline": "decline", "__end__": END})
    graph.add_edge("decline", END)
    return graph
