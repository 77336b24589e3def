"""The triage graph: assess the message, then route it, ask back, or call a person."""

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from openai.types.chat import ChatCompletionMessageParam

from holdfast.domain.outcomes import Escalation, Reply, Route
from holdfast.subgraphs.contract import AgentCard, TurnContext, TurnState
from holdfast.subgraphs.dialogue import dialogue
from holdfast.subgraphs.triage.assessment import PERSON, Assessment, assessment_among, prompt

SURE = 0.7
"""From this confidence on a message is routed; below it the customer is asked."""
SMALL_TALK = "general"
"""Not a topic to offer in a clarifying question."""
WINDOW = 6
"""Messages that triage sees: enough for a short answer to be understood."""


class TriageState(TurnState, total=False):
    assessment: Assessment


Update = dict[str, Any]


async def assess(state: TriageState, runtime: Runtime[TurnContext]) -> Update:
    agents = runtime.context.agents
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": prompt(agents)},
        *dialogue(state["transcript"], latest=WINDOW, context=runtime.context),
    ]
    schema = assessment_among(tuple(agent.name for agent in agents))
    assessed = await runtime.context.model.structured(messages, schema)
    return {"assessment": Assessment.model_validate(assessed.model_dump())}


def after_assessment(
    state: TriageState, runtime: Runtime[TurnContext]
) -> Literal["route", "ask_back", "call_a_person"]:
    assessed = state["assessment"]
    if assessed.confidence < SURE:
        return "ask_back" if runtime.context.asked_back == 0 else "call_a_person"
    return "call_a_person" if assessed.agent == PERSON else "route"


def route(state: TriageState) -> Update:
    assessed = state["assessment"]
    return {
        "outcome": Route(
            agent=assessed.agent,
            intent=assessed.intent,
            confidence=assessed.confidence,
            priority=assessed.priority,
            language=assessed.language,
        )
    }


def ask_back(state: TriageState, runtime: Runtime[TurnContext]) -> Update:
    return {"outcome": Reply(text=clarifying_question(runtime.context.agents), asks_back=True)}


def call_a_person(state: TriageState) -> Update:
    assessed = state["assessment"]
    if assessed.confidence >= SURE:
        return {"outcome": Escalation(reason="The customer asked for a person.")}
    return {
        "outcome": Escalation(
            reason=f"The request stayed unclear after asking back: {assessed.intent}",
            text="I am still not sure that I understand you, so I am handing you over to a "
            "colleague, who will answer you here.",
        )
    }


def clarifying_question(agents: tuple[AgentCard, ...]) -> str:
    """A question that names what the agents are there for."""
    topics = "\n".join(f"- {a.description}" for a in agents if a.name != SMALL_TALK)
    return (
        "I am not sure that I understood you. Could you tell me in a few more words what it is "
        f"about? I can help with:\n{topics}"
    )


def build() -> StateGraph[Any, TurnContext, Any, Any]:
    """START → assess → route | ask_back | call_a_person → END."""
    graph = StateGraph(TriageState, context_schema=TurnContext)
    graph.add_node(assess)
    graph.add_node(route)
    graph.add_node(ask_back)
    graph.add_node(call_a_person)
    graph.add_edge(START, "assess")
    graph.add_conditional_edges("assess", after_assessment)
    for last in ("route", "ask_back", "call_a_person"):
        graph.add_edge(last, END)
    return graph
