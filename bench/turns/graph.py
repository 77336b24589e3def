"""The same turn as an ordinary LangGraph graph, for those who run it without Holdfast.

Triage, and the five nodes of `bench.package` behind it: the same requests to the same model over the
same client, the same read. The conversation is in the state, as LangGraph's own guides have it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AnyMessage, BaseMessage, convert_to_messages
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from bench.package import TOOLS
from bench.package import package as bench_package
from holdfast.contract.subgraph import AgentCard
from holdfast.graphs.general import general
from holdfast.graphs.knowledge import knowledge
from holdfast.graphs.triage.assessment import Assessment, assessment_among, prompt
from holdfast.graphs.triage.graph import WINDOW
from holdfast.llm.request import ModelRequest
from holdfast.store.pool import Pool

_TENANT = "bench"
_CUSTOMER = "customer"
_MODEL = "instant"

_AGENTS = tuple(
    AgentCard(name=one.name, description=one.description)
    for one in (knowledge, general, *bench_package.subgraphs)
)

_ROLES: Mapping[str, str] = {"human": "user", "ai": "assistant"}


class State(TypedDict, total=False):
    """What the nodes hand on; `messages` is the conversation."""

    messages: Annotated[list[AnyMessage], add_messages]
    agent: str
    question: str
    total: int
    said: str
    calls: list[dict[str, Any]]


Update = dict[str, Any]
Metadata = Callable[[str], dict[str, Any]]


def _no_metadata(node: str) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Nodes:
    """The six nodes, and what they reach."""

    model: AsyncOpenAI
    reads: Pool

    async def triage(self, state: State) -> Update:
        """Which agent answers."""
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": prompt(_AGENTS)},
            *[_as_said(message) for message in _messages(state)[-WINDOW:]],
        ]
        schema = assessment_among(tuple(agent.name for agent in _AGENTS))
        request = ModelRequest.structured(messages, schema)
        completion = await self.model.chat.completions.create(model=_MODEL, **request.body)
        assessed: Assessment = schema.model_validate_json(
            completion.choices[0].message.content or ""
        )
        return {"agent": assessed.agent}

    async def understand(self, state: State) -> Update:
        """Take the question out of the conversation."""
        return {"question": str(_messages(state)[-1].content).strip()}

    async def look_up(self, state: State) -> Update:
        """The one read."""
        total = await self.reads.fetchval(
            "select coalesce(sum(amount), 0)::int from bench.effects where tenant = $1 and counter = $2",
            _TENANT,
            _CUSTOMER,
        )
        return {"total": total}

    async def think(self, state: State) -> Update:
        """The one call of the agent's model."""
        request = ModelRequest.chat(
            [
                {"role": "system", "content": f"The total is {state['total']}."},
                {"role": "user", "content": state["question"]},
            ],
            TOOLS,
        )
        completion = await self.model.chat.completions.create(model=_MODEL, **request.body)
        message = completion.choices[0].message
        calls = [call.to_dict() for call in message.tool_calls or ()]
        return {"said": message.content or "", "calls": calls}

    async def act(self, state: State) -> Update:
        """Nothing, as the messages of this measurement ask for nothing."""
        return {"calls": []}

    async def answer(self, state: State) -> Update:
        """Say it."""
        return {"messages": [{"role": "assistant", "content": state["said"]}]}


def build(nodes: Nodes, *, metadata: Metadata = _no_metadata) -> StateGraph[Any, Any, Any, Any]:
    """The graph, uncompiled; `metadata` is what each node carries."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    last = START
    for node in (
        nodes.triage,
        nodes.understand,
        nodes.look_up,
        nodes.think,
        nodes.act,
        nodes.answer,
    ):
        name = node.__name__
        graph.add_node(name, node, metadata=metadata(name))
        graph.add_edge(last, name)
        last = name
    graph.add_edge(last, END)
    return graph


def model_at(url: str) -> AsyncOpenAI:
    """The client of the model, without retries, as Holdfast has it."""
    return AsyncOpenAI(base_url=url, api_key="none", max_retries=0)


def _messages(state: State) -> list[BaseMessage]:
    """The conversation; a node that runs as an activity gets it as JSON."""
    return convert_to_messages(state["messages"])


def _as_said(message: BaseMessage) -> ChatCompletionMessageParam:
    content = str(message.content)
    if _ROLES[message.type] == "user":
        return {"role": "user", "content": content}
    return {"role": "assistant", "content": content}
