"""A brought graph's steps: where they stop, where they go on, and what they do not do again."""

import asyncio
from typing import Annotated, Any

import pytest
from langgraph.channels import DeltaChannel
from langgraph.graph import END, START
from langgraph.types import interrupt

from holdfast.contract.subgraph import Subgraph, TurnState, propose
from holdfast.domain.errors import BrokenContract, ConfigurationError
from holdfast.domain.outcomes import Proposal, Reply
from holdfast.graphs.runner import SubgraphRunner
from holdfast.testing import eventually
from tests.graphs.asking import Asker
from tests.graphs.running import Graph, Notes, Stepper, action, done, graph_of, tell


@pytest.fixture
def stepper(asker: Asker) -> Stepper:
    return Stepper(asker)


def asking(stepper: Stepper, name: str) -> Any:
    """A node that proposes the action of its own name, and notes the result."""

    async def node(state: Notes) -> dict[str, Any]:
        stepper.runs[name] += 1
        (result,) = propose(action(name), reason=f"{name} is wanted")
        return {"notes": [f"{name}: {result.result}"]}

    return node


async def test_a_proposal_ends_the_step_and_its_results_go_into_the_next(stepper: Stepper) -> None:
    def graph() -> Graph:
        built = graph_of(Notes, {"pay": asking(stepper, "pay"), "tell": tell})
        return built.add_edge(START, "pay").add_edge("pay", "tell").add_edge("tell", END)

    proposal, snapshot = await stepper.proposal(graph)
    assert proposal.actions == (action("pay"),)
    assert proposal.reason == "pay is wanted"
    end = await stepper.step(graph, snapshot=snapshot, results=done(proposal, "paid"))
    assert end.outcome == Reply(text="pay: paid")
    assert end.snapshot is None
    assert stepper.runs["pay"] == 2


@pytest.mark.parametrize("nesting", ["as a node", "called by a node"])
async def test_a_nested_graph_proposes_and_goes_on_where_it_stopped(
    stepper: Stepper, nesting: str
) -> None:
    async def before(state: Notes) -> dict[str, Any]:
        stepper.runs["before"] += 1
        return {"notes": ["prepared"]}

    inner = graph_of(Notes, {"before": before, "pay": asking(stepper, "pay")})
    nested = inner.add_edge(START, "before").add_edge("before", "pay").compile()

    async def call(state: Notes) -> dict[str, Any]:
        stepper.runs["call"] += 1
        values = await nested.ainvoke({"transcript": state["transcript"]})
        return {"notes": values["notes"]}

    def graph() -> Graph:
        built = graph_of(Notes, {"inner": nested if nesting == "as a node" else call, "tell": tell})
        return built.add_edge(START, "inner").add_edge("inner", "tell").add_edge("tell", END)

    proposal, snapshot = await stepper.proposal(graph)
    assert proposal.actions == (action("pay"),)
    end = await stepper.step(graph, snapshot=snapshot, results=done(proposal, "paid"))
    assert end.outcome == Reply(text="pay: paid; prepared")
    assert stepper.runs["before"] == 1
    assert stepper.runs["pay"] == 2


async def test_parallel_proposals_are_served_one_after_another_each_with_its_own_results(
    stepper: Stepper,
) -> None:
    async def watch(state: Notes) -> dict[str, Any]:
        stepper.runs["watch"] += 1
        return {"notes": ["watched"]}

    def graph() -> Graph:
        names = ("pay", "ship")
        nodes = {name: asking(stepper, name) for name in names} | {"watch": watch, "tell": tell}
        built = graph_of(Notes, nodes)
        for name in (*names, "watch"):
            built.add_edge(START, name)
        return built.add_edge([*names, "watch"], "tell").add_edge("tell", END)

    first, snapshot = await stepper.proposal(graph)
    second, snapshot = await stepper.proposal(graph, snapshot=snapshot, results=done(first))
    assert {first.actions[0].name, second.actions[0].name} == {"pay", "ship"}
    end = await stepper.step(graph, snapshot=snapshot, results=done(second))
    assert end.outcome == Reply(text="pay: pay done; ship: ship done; watched")
    assert stepper.runs["watch"] == 1
    assert stepper.runs[first.actions[0].name] == 2


async def test_a_node_that_proposes_twice_gets_the_results_of_each(stepper: Stepper) -> None:
    async def node(state: Notes) -> dict[str, Any]:
        (first,) = propose(action("reserve"), reason="first this")
        (second,) = propose(action("charge"), reason="then that")
        return {"notes": [f"1 {first.result}", f"2 {second.result}"]}

    def graph() -> Graph:
        built = graph_of(Notes, {"node": node, "tell": tell})
        return built.add_edge(START, "node").add_edge("node", "tell").add_edge("tell", END)

    first, snapshot = await stepper.proposal(graph)
    second, snapshot = await stepper.proposal(graph, snapshot=snapshot, results=done(first))
    assert [first.reason, second.reason] == ["first this", "then that"]
    end = await stepper.step(graph, snapshot=snapshot, results=done(second))
    assert end.outcome == Reply(text="1 reserve done; 2 charge done")


async def test_the_same_results_can_be_given_again_to_a_step_that_died(stepper: Stepper) -> None:
    def graph() -> Graph:
        built = graph_of(Notes, {"pay": asking(stepper, "pay"), "tell": tell})
        return built.add_edge(START, "pay").add_edge("pay", "tell").add_edge("tell", END)

    proposal, snapshot = await stepper.proposal(graph)
    ends = [
        await stepper.step(graph, snapshot=snapshot, results=done(proposal, "paid"))
        for _ in range(2)
    ]
    assert ends[0] == ends[1]


def outcome_of(node: Any) -> Graph:
    return graph_of(Notes, {"only": node}).add_edge(START, "only").add_edge("only", END)


async def test_a_graph_that_interrupts_itself_in_another_way_is_refused(stepper: Stepper) -> None:
    async def only(state: Notes) -> dict[str, Any]:
        return {"notes": [interrupt("may I?")]}

    with pytest.raises(BrokenContract, match=r"'brought' interrupted itself.*through `propose`"):
        await stepper.step(lambda: outcome_of(only))


@pytest.mark.parametrize(
    "ends_with",
    [
        {},
        {"outcome": "Hello."},
        {"outcome": {"kind": "reply"}},
        {"outcome": Proposal(actions=(action("pay"),), reason="unasked")},
    ],
    ids=["nothing", "words", "half a reply", "a proposal that was not proposed"],
)
async def test_a_graph_that_ends_without_an_outcome_is_refused(
    stepper: Stepper, ends_with: dict[str, Any]
) -> None:
    async def only(state: Notes) -> dict[str, Any]:
        return {"notes": ["."], **ends_with}

    with pytest.raises(BrokenContract, match="'brought' ended without an outcome"):
        await stepper.step(lambda: outcome_of(only))


async def test_what_a_node_raises_reaches_the_caller(stepper: Stepper) -> None:
    async def only(state: Notes) -> dict[str, Any]:
        raise KeyError("the node is broken")

    with pytest.raises(KeyError, match="the node is broken"):
        await stepper.step(lambda: outcome_of(only))


@pytest.mark.parametrize("nested", [False, True], ids=["outside", "nested"])
def test_a_graph_whose_history_would_be_lost_is_refused_when_it_is_loaded(nested: bool) -> None:
    class Delta(TurnState):
        notes: Annotated[list[str], DeltaChannel(lambda old, new: [*old, *new])]

    async def answer(state: Delta) -> dict[str, Any]:
        return {"outcome": Reply(text="; ".join(state["notes"]))}

    def graph() -> Graph:
        built = graph_of(Delta, {"answer": answer}).add_edge(START, "answer")
        if not nested:
            return built
        return graph_of(TurnState, {"inner": built.compile()}).add_edge(START, "inner")

    with pytest.raises(ConfigurationError, match="'brought' uses a DeltaChannel"):
        SubgraphRunner(Subgraph(name="brought", description="A graph.", graph=graph))


async def test_progress_names_the_nodes_that_run(stepper: Stepper) -> None:
    may_end = {"quick": asyncio.Event(), "slow": asyncio.Event()}

    def waiting(name: str) -> Any:
        async def node(state: Notes) -> dict[str, Any]:
            await may_end[name].wait()
            return {"notes": [name]}

        return node

    def graph() -> Graph:
        built = graph_of(Notes, {**{name: waiting(name) for name in may_end}, "tell": tell})
        for name in may_end:
            built.add_edge(START, name)
        return built.add_edge(list(may_end), "tell").add_edge("tell", END)

    async def runs(*names: str) -> bool:
        return set(stepper.progress.nodes) == set(names)

    step = asyncio.create_task(stepper.step(graph))
    await eventually(lambda: runs("quick", "slow"))
    since = stepper.progress.since
    may_end["quick"].set()
    await eventually(lambda: runs("slow"))
    assert stepper.progress.since > since
    may_end["slow"].set()
    assert (await step).outcome == Reply(text="quick; slow")
    assert stepper.progress.nodes == ()
