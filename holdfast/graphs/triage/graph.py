"""The triage graph: assess the message, then route it, ask back, or call a person.

Where there is one agent, it gets the message, and no model is asked.

Where no model gives an assessment that can be used, the agent that answered last goes on; without one, the
customer is asked back, and then a person is called: nothing of the message is lost by that.
"""

from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from openai.types.chat import ChatCompletionMessageParam

from holdfast.contract.dialogue import dialogue
from holdfast.contract.subgraph import AgentCard, TurnContext, TurnState
from holdfast.domain.customer_texts import customer_text
from holdfast.domain.errors import ModelAnswerUnusable, ModelRefused
from holdfast.domain.outcomes import Escalation, Reply, Route
from holdfast.graphs.triage.assessment import PERSON, Assessment, assessment_among, prompt

SURE = 0.7
"""From this confidence on a message is routed; below it the customer is asked."""
SMALL_TALK = "general"
"""Not a topic to offer in a clarifying question."""
WINDOW = 6
"""Messages that triage sees: enough for a short answer to be understood."""


class TriageState(TurnState, total=False):
    assessment: Assessment | None
    """None where the models gave none that can be used."""


Update = dict[str, Any]


def first(
    state: TriageState, runtime: Runtime[TurnContext]
) -> Literal["assess", "route_to_the_only_agent"]:
    return "route_to_the_only_agent" if len(runtime.context.agents) == 1 else "assess"


def route_to_the_only_agent(state: TriageState, runtime: Runtime[TurnContext]) -> Update:
    (only,) = runtime.context.agents
    language = runtime.context.language
    return {"outcome": Route(agent=only.name, intent="-", confidence=1, language=language)}


async def assess(state: TriageState, runtime: Runtime[TurnContext]) -> Update:
    agents = runtime.context.agents
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": prompt(agents)},
        *dialogue(state["transcript"], latest=WINDOW, context=runtime.context),
    ]
    schema = assessment_among(tuple(agent.name for agent in agents))
    try:
        assessed = await runtime.context.model.structured(messages, schema)
    except (ModelAnswerUnusable, ModelRefused):
        return {"assessment": None}
    return {"assessment": Assessment.model_validate(assessed.model_dump())}


def after_assessment(
    state: TriageState, runtime: Runtime[TurnContext]
) -> Literal["route", "ask_back", "call_a_person"]:
    assessed = state["assessment"]
    if assessed is None and _in_charge(runtime.context):
        return "route"
    if assessed is None or assessed.confidence < SURE:
        return "ask_back" if runtime.context.asked_back == 0 else "call_a_person"
    return "call_a_person" if assessed.agent == PERSON else "route"


def route(state: TriageState, runtime: Runtime[TurnContext]) -> Update:
    context, assessed = runtime.context, state["assessment"]
    if assessed is None:
        assert context.agent is not None
        unread = Route(agent=context.agent, intent="-", confidence=0, language=context.language)
        return {"outcome": unread}
    return {
        "outcome": Route(
            agent=assessed.agent,
            intent=assessed.intent,
            confidence=assessed.confidence,
            priority=assessed.priority,
            language=assessed.language or context.language,
        )
    }


def ask_back(state: TriageState, runtime: Runtime[TurnContext]) -> Update:
    question = clarifying_question(runtime.context.agents, _language(state, runtime.context))
    return {"outcome": Reply(text=question, asks_back=True)}


def call_a_person(state: TriageState, runtime: Runtime[TurnContext]) -> Update:
    assessed = state["assessment"]
    if assessed is not None and assessed.confidence >= SURE:
        return {"outcome": Escalation(reason="The customer asked for a person.")}
    return {
        "outcome": Escalation(
            reason="The request stayed unclear after asking back: "
            + (assessed.intent if assessed else "no model could say what it is about"),
            text=customer_text("still_unclear", _language(state, runtime.context)),
        )
    }


def _language(state: TriageState, context: TurnContext) -> str:
    """The language of the message where the model could tell it, else that of the conversation."""
    assessed = state["assessment"]
    return (assessed and assessed.language) or context.language


def _in_charge(context: TurnContext) -> bool:
    return any(card.name == context.agent for card in context.agents)


def clarifying_question(agents: tuple[AgentCard, ...], language: str) -> str:
    """A question that names what the agents are there for."""
    topics = "\n".join(f"- {a.description}" for a in agents if a.name != SMALL_TALK)
    return f"{customer_text('ask_back', language)}\n{topics}"


def build() -> StateGraph[Any, TurnContext, Any, Any]:
    """START → assess → route | ask_back | call_a_person → END, or START → route_to_the_only_agent → END."""
    graph = StateGraph(TriageState, context_schema=TurnContext)
    graph.add_node(assess)
    graph.add_node(route_to_the_only_agent)
    graph.add_node(route)
    graph.add_node(ask_back)
    graph.add_node(call_a_person)
    graph.add_conditional_edges(START, first)
    graph.add_conditional_edges("assess", after_assessment)
    for last in ("route", "route_to_the_only_agent", "ask_back", "call_a_person"):
        graph.add_edge(last, END)
    return graph
