"""The forms in which graphs are brought: what is taken as it is, and what is refused when it is loaded."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel

from holdfast import Escalation, Reply, Subgraph, TurnContext, TurnState, current_turn, propose
from holdfast.contract.subgraph import AnyGraph
from holdfast.domain.errors import BrokenContract, ConfigurationError
from holdfast.graphs.runner import SubgraphRunner
from tests.graphs.asking import Asker
from tests.graphs.running import Graph, Stepper, action, done, graph_of


@pytest.fixture
def stepper(asker: Asker) -> Stepper:
    return Stepper(asker)


async def greet(state: TurnState) -> dict[str, Any]:
    return {"outcome": Reply(text=f"You said: {state['transcript'][-1].text}")}


def greeter(node: Any = greet, state: type[TurnState] = TurnState) -> Graph:
    return graph_of(state, {"only": node}).add_edge(START, "only")


@pytest.mark.parametrize(
    "graph",
    [greeter, greeter(), greeter().compile(), lambda: greeter().compile()],
    ids=["a function of a builder", "a builder", "compiled", "a function of one compiled"],
)
async def test_a_graph_is_brought_in_any_form(
    stepper: Stepper, graph: AnyGraph | Callable[[], AnyGraph]
) -> None:
    assert (await stepper.step(graph)).outcome == Reply(text="You said: Hello.")


async def test_an_entrypoint_is_a_graph(stepper: Stepper) -> None:
    @task
    async def pay(name: str) -> str:
        (result,) = propose(action(name), reason="wanted")
        return str(result.result)

    @entrypoint()
    async def graph(given: dict[str, Any]) -> Reply:
        paid = await pay("pay")
        return Reply(text=f"{given['transcript'][-1].text} {paid}")

    proposal, snapshot = await stepper.proposal(graph)
    assert proposal.actions == (action("pay"),)
    end = await stepper.step(graph, snapshot=snapshot, results=done(proposal, "Paid."))
    assert end.outcome == Reply(text="Hello. Paid.")


class Question(BaseModel):
    """A state of its own."""

    words: str
    answer: str = ""


@dataclass
class Tenancy:
    """A context of its own."""

    shop: str
    color: str = "red"


async def test_state_and_context_of_their_own_are_mapped(stepper: Stepper) -> None:
    async def answer(state: Question, runtime: Runtime[Tenancy]) -> dict[str, str]:
        return {"answer": f"{state.words} {runtime.context.shop} {current_turn().customer}"}

    graph = StateGraph(Question, context_schema=Tenancy).add_node("answer", answer)
    end = await stepper.step(
        graph.add_edge(START, "answer"),
        map_input=lambda context, transcript: {"words": transcript[-1].text},
        map_output=lambda values: Reply(text=values["answer"]),
        map_context=lambda context: {"shop": context.tenant},
    )
    assert end.outcome == Reply(text="Hello. acme ann")


async def test_a_store_of_its_own_is_there(stepper: Stepper) -> None:
    async def recall(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
        assert runtime.store is not None
        found = await runtime.store.aget(("hours",), "monday")
        return {"outcome": Reply(text=found.value["open"] if found else "closed")}

    store = InMemoryStore()
    store.put(("hours",), "monday", {"open": "9 to 5"})
    end = await stepper.step(greeter(recall).compile(store=store))
    assert end.outcome == Reply(text="9 to 5")


async def test_a_node_that_blocks_runs_in_a_thread_and_may_propose(stepper: Stepper) -> None:
    threads: list[int] = []

    def blocking(state: TurnState) -> dict[str, Any]:
        threads.append(threading.get_ident())
        (result,) = propose(action("pay"), reason=current_turn().customer)
        return {"outcome": Reply(text=str(result.result))}

    proposal, snapshot = await stepper.proposal(greeter(blocking))
    end = await stepper.step(greeter(blocking), snapshot=snapshot, results=done(proposal, "paid"))
    assert end.outcome == Reply(text="paid")
    assert proposal.reason == "ann"
    assert threading.get_ident() not in threads


def nested(graph: Any) -> Graph:
    return graph_of(TurnState, {"inner": graph}).add_edge(START, "inner").add_edge("inner", END)


class Delta(TurnState):
    notes: Annotated[list[str], DeltaChannel(lambda old, new: [*old, *new])]


class NoTranscript(TypedDict):
    outcome: Reply


class NoOutcome(TypedDict):
    transcript: list[Any]


def of_state(state: Any, context: Any = None) -> AnyGraph:
    graph = StateGraph(state, context_schema=context)
    return graph.add_node("only", lambda state: {}).add_edge(START, "only")


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (greeter(state=Delta), "uses a DeltaChannel, whose history"),
        (nested(greeter(state=Delta).compile()), "uses a DeltaChannel in its node 'inner'"),
        (greeter().compile(checkpointer=InMemorySaver()), "has a checkpointer of its own: compile"),
        (
            nested(greeter().compile(checkpointer=InMemorySaver())),
            "has a checkpointer of its own in its node 'inner'",
        ),
        (greeter().compile(interrupt_before=["only"]), "stops by `interrupt_before` or"),
        (nested(greeter().compile(interrupt_after=["only"])), "stops by .* in its node 'inner'"),
        (of_state(MessagesState), "has .* 'transcript' in its input: .* `Subgraph.of_messages`"),
        (of_state(NoTranscript), "has no channel 'transcript' in its input"),
        (of_state(NoOutcome), "has no channel 'outcome' in its output"),
        (of_state(TurnState, Tenancy), "wants a Tenancy as its context: say `map_context`"),
        (of_state(TurnState, NoOutcome), "wants a NoOutcome as its context: say `map_context`"),
        (
            nested(greeter().compile(checkpointer=False)),
            "has a graph with checkpointer=False in its node 'inner': leave that out",
        ),
        (greeter().compile(cache=InMemoryCache()), "caches the results of nodes, by their input"),
        (lambda: "a graph", "is a str: `graph` is a StateGraph"),
    ],
)
def test_what_cannot_be_run_or_kept_is_refused_when_it_is_loaded(graph: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"subgraph 'brought' {problem}"):
        SubgraphRunner(Subgraph(name="brought", description="A graph.", graph=graph))


def test_a_graph_of_messages_has_messages() -> None:
    graph = of_state(TurnState)
    with pytest.raises(ConfigurationError, match="has no channel 'messages' in its input"):
        SubgraphRunner(Subgraph.of_messages(graph, name="brought", description="A graph."))


async def test_tasks_that_are_called_together_propose_one_after_another(stepper: Stepper) -> None:
    @task
    async def pay(name: str) -> str:
        (result,) = propose(action(name), reason="wanted")
        return str(result.result)

    @entrypoint()
    async def graph(given: dict[str, Any]) -> Reply:
        return Reply(text=" ".join(await asyncio.gather(pay("a"), pay("b"))))

    proposal, snapshot = await stepper.proposal(graph)
    while not isinstance(
        (end := await stepper.step(graph, snapshot=snapshot, results=done(proposal))).outcome, Reply
    ):
        proposal, snapshot = await stepper.proposal(
            graph, snapshot=snapshot, results=done(proposal)
        )
    assert end.outcome == Reply(text="a done b done")


async def test_a_value_that_cannot_be_kept_is_named_with_its_channel(stepper: Stepper) -> None:
    class Locked(TurnState):
        lock: Any

    async def lock(state: Locked) -> dict[str, Any]:
        return {"lock": asyncio.Lock(), "outcome": Reply(text="never")}

    with pytest.raises(BrokenContract, match="the Lock in channel 'lock' can't be kept"):
        await stepper.step(greeter(lock, Locked))


async def test_a_graph_that_goes_round_for_ever_breaks_the_contract(stepper: Stepper) -> None:
    graph = greeter().add_edge("only", "only").compile().with_config(recursion_limit=5)
    with pytest.raises(BrokenContract, match="did not end within its recursion limit"):
        await stepper.step(graph)


async def test_a_mapped_output_that_is_no_outcome_breaks_the_contract(stepper: Stepper) -> None:
    with pytest.raises(BrokenContract, match="'brought' ended without an outcome"):
        await stepper.step(greeter(), map_output=lambda values: "Hello.")
    with pytest.raises(
        BrokenContract, match="output of subgraph 'brought' can't be mapped: KeyError"
    ):
        await stepper.step(greeter(), map_output=lambda values: values["answer"])
    end = await stepper.step(greeter(), map_output=lambda values: Escalation(reason="so"))
    assert end.outcome == Escalation(reason="so")
