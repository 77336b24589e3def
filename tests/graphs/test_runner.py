"""A brought graph's steps: where they stop, where they go on, and what they do not do again."""

import asyncio
from typing import Annotated, Any

import pytest
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.graph import END, START
from langgraph.types import Send, interrupt

from holdfast.contract.subgraph import Subgraph, TurnState, propose
from holdfast.domain.errors import BrokenContract, ConfigurationError
from holdfast.domain.outcomes import ActionResult, Proposal, ProposedAction, Reply
from holdfast.graphs.checkpointer import SnapshotSaver
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


def proposing(*actions: ProposedAction, **options: Any) -> Any:
    """A node that proposes these, and notes their results."""

    async def node(state: Notes) -> dict[str, Any]:
        reason = f"{actions[0].name} is wanted"
        results = propose(actions, reason=reason, **options)
        return {"notes": [f"{one.name}: {one.result}" for one in results]}

    return node


def side_by_side(**nodes: Any) -> Graph:
    """A graph whose nodes run at once, and whose notes are told in the end."""
    built = graph_of(Notes, {**nodes, "tell": tell})
    for name in nodes:
        built.add_edge(START, name)
    return built.add_edge([*nodes], "tell").add_edge("tell", END)


async def test_parallel_proposals_are_one_in_a_stable_order_each_with_its_own_results(
    stepper: Stepper,
) -> None:
    async def watch(state: Notes) -> dict[str, Any]:
        stepper.runs["watch"] += 1
        return {"notes": ["watched"]}

    def graph() -> Graph:
        return side_by_side(
            ship=proposing(action("ship"), evidence=["paid", "packed"]),
            watch=watch,
            pay=proposing(
                action("reserve"), action("pay"), evidence=["paid"], holding_message="Wait."
            ),
        )

    proposal, snapshot = await stepper.proposal(graph)
    assert [one.name for one in proposal.actions] == ["reserve", "pay", "ship"]
    assert proposal.reason == "reserve is wanted\nship is wanted"
    assert proposal.evidence == ("paid", "packed")
    assert proposal.holding_message == "Wait."
    end = await stepper.step(graph, snapshot=snapshot, results=done(proposal))
    assert end.outcome == Reply(
        text="pay: pay done; reserve: reserve done; ship: ship done; watched"
    )
    assert stepper.runs["watch"] == 1


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b")])
async def test_nested_branches_propose_in_the_order_of_their_nodes_whichever_is_first(
    stepper: Stepper, order: tuple[str, ...]
) -> None:
    def slow(name: str) -> Any:
        node = proposing(action(name))

        async def later(state: Notes) -> Any:
            await asyncio.sleep(0.05 * order.index(name))
            return await node(state)

        return later

    inner = side_by_side(**{name: slow(name) for name in "abc"}).compile()

    def graph() -> Graph:
        return graph_of(Notes, {"inner": inner}).add_edge(START, "inner")

    proposal, snapshot = await stepper.proposal(graph)
    assert [one.name for one in proposal.actions] == ["a", "b", "c"]
    end = await stepper.step(graph, snapshot=snapshot, results=done(proposal))
    assert end.outcome == Reply(text="a: a done; b: b done; c: c done")


async def test_branches_of_a_send_propose_in_the_order_of_the_sends(stepper: Stepper) -> None:
    names = ["f", "b", "e", "a", "d", "c"]

    async def work(state: dict[str, str]) -> dict[str, Any]:
        (result,) = propose(action(state["name"]), reason="each")
        return {"notes": [str(result.result)]}

    def graph() -> Graph:
        built = graph_of(Notes, {"work": work, "tell": tell}).add_edge("work", "tell")
        return built.add_conditional_edges(
            START, lambda state: [Send("work", {"name": name}) for name in names], ["work"]
        )

    proposal, snapshot = await stepper.proposal(graph)
    assert [one.name for one in proposal.actions] == names
    end = await stepper.step(graph, snapshot=snapshot, results=done(proposal))
    assert end.outcome == Reply(text="; ".join(f"{name} done" for name in sorted(names)))


@pytest.mark.parametrize(
    "second",
    [
        proposing(*[action("b")] * 5),
        proposing(*[action("b")] * 4, again=True),
    ],
    ids=["too many for one", "one that is wanted again"],
)
async def test_what_does_not_fit_into_one_proposal_comes_after_it(
    stepper: Stepper, second: Any
) -> None:
    def graph() -> Graph:
        return side_by_side(a=proposing(*[action("a")] * 6), b=second)

    first, snapshot = await stepper.proposal(graph)
    assert {one.name for one in first.actions} == {"a"}
    rest, snapshot = await stepper.proposal(graph, snapshot=snapshot, results=done(first))
    assert {one.name for one in rest.actions} == {"b"}
    assert (first.again, rest.again) == (False, len(rest.actions) == 4)
    end = await stepper.step(graph, snapshot=snapshot, results=done(rest))
    assert isinstance(end.outcome, Reply)
    assert end.outcome.text.count("a: a done") == 6
    assert end.outcome.text.count("b: b done") == len(rest.actions)


async def test_a_snapshot_that_waits_for_one_of_several_proposals_goes_on_with_that(
    stepper: Stepper,
) -> None:
    """They used to be served one after another, in the order of their interrupts' ids."""

    def graph() -> Graph:
        return side_by_side(ship=proposing(action("ship")), pay=proposing(action("pay")))

    _, snapshot = await stepper.proposal(graph)
    waiting = {
        value[0].id: value[0].value["actions"][0]["name"]
        for _, _, writes in SnapshotSaver(snapshot).contents()
        for channel, value in writes
        if channel == INTERRUPT
    }
    served = waiting[min(waiting)]
    alone = [ActionResult(id="a", name=served, arguments={}, state="executed", result="first")]
    rest, snapshot = await stepper.proposal(graph, snapshot=snapshot, results=alone)
    assert [one.name for one in rest.actions] == [
        name for name in waiting.values() if name != served
    ]
    end = await stepper.step(graph, snapshot=snapshot, results=done(rest, "then"))
    assert end.outcome == Reply(
        text="; ".join(
            sorted(f"{one}: {'first' if one == served else 'then'}" for one in waiting.values())
        )
    )


async def test_a_node_that_catches_its_own_interrupt_is_named(stepper: Stepper) -> None:
    async def careful(state: Notes) -> dict[str, Any]:
        try:
            propose(action("pay"), reason="pay")
        except Exception:
            return {"notes": ["something went wrong"]}
        return {"notes": ["paid"]}

    with pytest.raises(BrokenContract, match="'brought' went on although `propose` had stopped"):
        await stepper.step(lambda: side_by_side(careful=careful))
    with pytest.raises(BrokenContract, match="'brought' went on although `propose` had stopped"):
        await stepper.step(lambda: side_by_side(careful=careful, pay=proposing(action("pay"))))


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
