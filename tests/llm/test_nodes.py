"""Model calls inside of graphs: each execution of a node finds its own calls again, and no others."""

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import task
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy, Send, interrupt

from holdfast.llm.ledger import MemoryLedger
from holdfast.llm.model import LedgeredModel
from holdfast.testing import Hold, ScriptedModel, last_message, text
from tests.llm.conftest import OpenClient


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    topic: str


@dataclass(frozen=True)
class Context:
    model: LedgeredModel


CONFIG: Any = {"configurable": {"thread_id": "1"}}


async def ask(model: LedgeredModel, what: str) -> str:
    return (await model.chat([{"role": "user", "content": what}])).text


async def echo(state: State, runtime: Runtime[Context]) -> State:
    return {"said": [await ask(runtime.context.model, "same")]}


def numbered() -> Any:
    """Answers that are all different."""
    count = 0

    def answer(request: dict[str, Any]) -> Any:
        nonlocal count
        count += 1
        return text(f"{last_message(request)} {count}")

    return answer


def graph_of(**nodes: Any) -> StateGraph[State, Context, State, State]:
    graph: StateGraph[State, Context, State, State] = StateGraph(State, context_schema=Context)
    for name, node in nodes.items():
        graph.add_node(name, node)
    return graph


def names(ledger: MemoryLedger) -> list[str]:
    return sorted(call.node for call in ledger.calls)


async def test_a_node_that_runs_again_after_an_interrupt_finds_its_call(
    open_client: OpenClient,
) -> None:
    async def propose(state: State, runtime: Runtime[Context]) -> State:
        before = await ask(runtime.context.model, "plan")
        decided = interrupt(before)
        after = await ask(runtime.context.model, "explain")
        return {"said": [before, decided, after]}

    graph = graph_of(first=echo, propose=propose)
    graph.add_edge(START, "first")
    graph.add_edge("first", "propose")
    compiled = graph.compile(checkpointer=InMemorySaver())
    ledger = MemoryLedger()
    async with ScriptedModel(numbered()) as model:
        client = open_client(model)
        await compiled.ainvoke({}, CONFIG, context=Context(LedgeredModel(client, ledger)))
        resumed_ledger = MemoryLedger(ledger.calls, step=2)
        resumed = LedgeredModel(client, resumed_ledger)
        state = await compiled.ainvoke(Command(resume="yes"), CONFIG, context=Context(resumed))
    assert state["said"] == ["same 1", "plan 2", "yes", "explain 3"]
    assert (resumed.usage.found, resumed.usage.calls) == (1, 1)
    assert names(resumed_ledger) == ["first:1", "propose:2", "propose:2"]
    assert model.most_repeated == 1


async def test_a_nested_node_that_runs_again_after_an_interrupt_finds_its_call(
    open_client: OpenClient,
) -> None:
    async def propose(state: State, runtime: Runtime[Context]) -> State:
        return {"said": [await ask(runtime.context.model, "plan"), interrupt("?")]}

    inner = graph_of(think=echo, propose=propose)
    inner.add_edge(START, "think")
    inner.add_edge("think", "propose")
    outer = graph_of(start=echo, agent=inner.compile())
    outer.add_edge(START, "start")
    outer.add_edge("start", "agent")
    compiled = outer.compile(checkpointer=InMemorySaver())
    ledger = MemoryLedger()
    async with ScriptedModel(numbered()) as model:
        client = open_client(model)
        rounds: list[State | Command[Any]] = [{}, Command(resume="yes")]
        for given in rounds:
            await compiled.ainvoke(given, CONFIG, context=Context(LedgeredModel(client, ledger)))
    assert names(ledger) == ["agent.propose:2", "agent.think:1", "start:1"]
    assert len(model.requests) == 3


async def test_an_attempt_that_starts_over_finds_every_finished_call(
    open_client: OpenClient,
) -> None:
    async def fork(state: State) -> list[Send]:
        return [Send("branch", {"topic": str(number)}) for number in range(3)]

    async def branch(state: State, runtime: Runtime[Context]) -> State:
        return {"said": [await ask(runtime.context.model, state["topic"])]}

    graph = graph_of(left=echo, right=echo, branch=branch)
    for side in ("left", "right"):
        graph.add_edge(START, side)
    graph.add_conditional_edges("left", fork, ["branch"])
    compiled = graph.compile()
    ledger = MemoryLedger()
    async with ScriptedModel(numbered()) as model:
        client = open_client(model)
        states = [
            await compiled.ainvoke({}, context=Context(LedgeredModel(client, ledger)))
            for _ in range(2)
        ]
    assert states[0] == states[1]
    assert names(ledger) == ["branch:2#0", "branch:2#1", "branch:2#2", "left:1", "right:1"]
    assert len(model.requests) == 5


async def test_parallel_nodes_call_at_the_same_time(open_client: OpenClient) -> None:
    holds = {"left": Hold(), "right": Hold()}

    def ask_own(name: str) -> Any:
        async def node(state: State, runtime: Runtime[Context]) -> State:
            return {"said": [await ask(runtime.context.model, name)]}

        return node

    graph = graph_of(left=ask_own("left"), right=ask_own("right"))
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    script = ScriptedModel(lambda request: text("done").held(holds[last_message(request)]))
    async with script as model:
        node_model = LedgeredModel(open_client(model), MemoryLedger())
        run = asyncio.create_task(graph.compile().ainvoke({}, context=Context(node_model)))
        for hold in holds.values():
            await hold.arrived.wait()
        for hold in holds.values():
            hold.release()
        assert (await run)["said"] == ["done", "done"]


async def test_a_loop_asks_anew_in_every_round(open_client: OpenClient) -> None:
    def again(state: State) -> str:
        return "agent" if len(state["said"]) < 3 else END

    graph = graph_of(agent=echo)
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", again, ["agent", END])
    ledger = MemoryLedger()
    async with ScriptedModel(numbered()) as model:
        state = await graph.compile().ainvoke(
            {}, context=Context(LedgeredModel(open_client(model), ledger))
        )
    assert state["said"] == ["same 1", "same 2", "same 3"]
    assert names(ledger) == ["agent:1", "agent:2", "agent:3"]


async def test_graphs_and_tasks_that_a_node_starts_itself_have_names_of_their_own(
    open_client: OpenClient,
) -> None:
    inner = graph_of(think=echo)
    inner.add_edge(START, "think")
    nested = inner.compile()

    async def start_twice(state: State, runtime: Runtime[Context]) -> State:
        await nested.ainvoke({}, context=runtime.context)
        await nested.ainvoke({}, context=runtime.context)

        @task
        async def job() -> str:
            return await ask(runtime.context.model, "same")

        await asyncio.gather(job(), job())
        return {}

    graph = graph_of(outer=start_twice)
    graph.add_edge(START, "outer")
    ledger = MemoryLedger()
    async with ScriptedModel(numbered()) as model:
        await graph.compile().ainvoke(
            {}, context=Context(LedgeredModel(open_client(model), ledger))
        )
    assert names(ledger) == [
        "outer.1.think:1",
        "outer.job:1#0",
        "outer.job:1#1",
        "outer.think:1",
    ]


async def test_a_node_that_langgraph_retries_finds_its_call(open_client: OpenClient) -> None:
    runs = 0

    async def stumble(state: State, runtime: Runtime[Context]) -> State:
        nonlocal runs
        runs += 1
        said = await ask(runtime.context.model, "same")
        if runs == 1:
            raise ConnectionError
        return {"said": [said]}

    graph = graph_of()
    graph.add_node(
        "stumble", stumble, retry_policy=RetryPolicy(initial_interval=0.01, jitter=False)
    )
    graph.add_edge(START, "stumble")
    ledger = MemoryLedger()
    async with ScriptedModel(numbered()) as model:
        state = await graph.compile().ainvoke(
            {}, context=Context(LedgeredModel(open_client(model), ledger))
        )
    assert (runs, state["said"], len(model.requests)) == (2, ["same 1"], 1)


@pytest.mark.parametrize("calls", [1, 2])
async def test_outside_of_a_graph_the_node_is_a_dash(open_client: OpenClient, calls: int) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel(numbered()) as model:
        node = LedgeredModel(open_client(model), ledger)
        for _ in range(calls):
            await ask(node, "same")
    assert names(ledger) == ["-"] * calls
