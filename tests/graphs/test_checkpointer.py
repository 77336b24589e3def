"""Snapshots: what a step that died does not do again, when they are saved, and how large they are."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from langgraph.graph import END, START

from holdfast.contract.subgraph import TurnState, propose
from holdfast.domain.errors import StaleAttempt
from holdfast.domain.outcomes import Reply
from holdfast.graphs import runner
from holdfast.testing import eventually
from tests.graphs.asking import Asker
from tests.graphs.running import Graph, Notes, Stepper, action, done, graph_of, tell

WORK_SECONDS = 0.06
"""Longer than the pause after which a snapshot is worth its round trip."""


@pytest.fixture
def stepper(asker: Asker) -> Stepper:
    return Stepper(asker)


def working(stepper: Stepper, name: str, seconds: float = 0.0) -> Any:
    """A node that works for a while and notes its name."""

    async def node(state: Notes) -> dict[str, Any]:
        stepper.runs[name] += 1
        await asyncio.sleep(seconds)
        return {"notes": [name]}

    return node


def hanging_once(stepper: Stepper, name: str) -> Any:
    """A node that never ends in its first run."""

    async def node(state: Notes) -> dict[str, Any]:
        stepper.runs[name] += 1
        if stepper.runs[name] == 1:
            await asyncio.Event().wait()
        return {"notes": [name]}

    return node


def in_a_row(nodes: dict[str, Any]) -> Callable[[], Graph]:
    """The nodes one after another, and then the answer."""

    def graph() -> Graph:
        built = graph_of(Notes, {**nodes, "tell": tell})
        path = [START, *nodes, "tell", END]
        for one, other in pairwise(path):
            built.add_edge(one, other)
        return built

    return graph


async def die_after_saving(stepper: Stepper, graph: Callable[[], Graph], **options: Any) -> bytes:
    """Cancel the step once a snapshot was saved; that snapshot."""
    before = len(stepper.saved)

    async def saved() -> bool:
        return len(stepper.saved) > before

    step = asyncio.create_task(stepper.step(graph, **options))
    await eventually(saved)
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    return stepper.saved[-1]


async def test_a_step_that_died_goes_on_after_the_finished_supersteps(stepper: Stepper) -> None:
    graph = in_a_row(
        {
            "look": working(stepper, "look"),
            "think": working(stepper, "think", WORK_SECONDS),
            "hang": hanging_once(stepper, "hang"),
        }
    )
    snapshot = await die_after_saving(stepper, graph)
    end = await stepper.step(graph, snapshot=snapshot)
    assert end.outcome == Reply(text="hang; look; think")
    assert stepper.runs == {"look": 1, "think": 1, "hang": 2}


async def test_what_finished_beside_the_node_that_died_is_not_done_again(stepper: Stepper) -> None:
    def graph() -> Graph:
        nodes = {
            "think": working(stepper, "think", WORK_SECONDS),
            "beside": working(stepper, "beside"),
            "hang": hanging_once(stepper, "hang"),
            "tell": tell,
        }
        built = graph_of(Notes, nodes).add_edge(START, "think")
        built.add_edge("think", "beside").add_edge("think", "hang")
        return built.add_edge(["beside", "hang"], "tell").add_edge("tell", END)

    snapshot = await die_after_saving(stepper, graph)
    end = await stepper.step(graph, snapshot=snapshot)
    assert end.outcome == Reply(text="beside; hang; think")
    assert stepper.runs == {"think": 1, "beside": 1, "hang": 2}


async def test_a_nested_run_that_died_goes_on_inside(stepper: Stepper) -> None:
    inner = graph_of(
        Notes,
        {
            "think": working(stepper, "think", WORK_SECONDS),
            "hang": hanging_once(stepper, "hang"),
        },
    )
    nested = inner.add_edge(START, "think").add_edge("think", "hang").compile()
    graph = in_a_row({"first": working(stepper, "first"), "inner": nested})
    snapshot = await die_after_saving(stepper, graph)
    end = await stepper.step(graph, snapshot=snapshot)
    assert isinstance(end.outcome, Reply)
    assert {"first", "hang", "think"} <= set(end.outcome.text.split("; "))
    assert stepper.runs == {"first": 1, "think": 1, "hang": 2}


async def test_a_step_that_died_after_a_proposal_needs_its_results_no_more(
    stepper: Stepper,
) -> None:
    async def pay(state: Notes) -> dict[str, Any]:
        stepper.runs["pay"] += 1
        (result,) = propose(action("pay"), reason="It is due.")
        return {"notes": [str(result.result)]}

    graph = in_a_row(
        {
            "pay": pay,
            "think": working(stepper, "think", WORK_SECONDS),
            "hang": hanging_once(stepper, "hang"),
        }
    )
    proposal, snapshot = await stepper.proposal(graph)
    own = await die_after_saving(stepper, graph, snapshot=snapshot, results=done(proposal, "paid"))
    end = await stepper.step(graph, snapshot=own)
    assert end.outcome == Reply(text="hang; paid; think")
    assert stepper.runs == {"pay": 2, "think": 1, "hang": 2}


async def test_what_is_quick_to_do_again_is_not_saved(
    stepper: Stepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SNAPSHOT_PAUSE_SECONDS", 0.2)
    quick = {name: working(stepper, name) for name in ("look", "read", "check")}
    await stepper.step(in_a_row(quick))
    # Quick work lies behind the slow node, and nothing is behind the first one.
    await stepper.step(in_a_row({**quick, "slow": working(stepper, "slow", 0.5)}))
    assert stepper.saved == []


async def test_nothing_is_saved_of_work_after_which_the_graph_ends(
    stepper: Stepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SNAPSHOT_PAUSE_SECONDS", 0.2)
    nodes = {"slow": working(stepper, "slow", 0.35), "short": working(stepper, "short", 0.1)}
    assert (await stepper.step(in_a_row(nodes))).outcome == Reply(text="short; slow")
    assert stepper.saved == []


async def test_each_stretch_of_work_is_saved_once(stepper: Stepper) -> None:
    def working_on_until_saved(times: int) -> Any:
        async def saved() -> bool:
            return len(stepper.saved) >= times

        async def node(state: Notes) -> dict[str, Any]:
            await eventually(saved)
            await asyncio.sleep(3 * runner.SNAPSHOT_PAUSE_SECONDS)
            assert len(stepper.saved) == times
            return {"notes": [f"saved {times}"]}

        return node

    nodes = {"work": working(stepper, "work", WORK_SECONDS)}
    more = {f"on_{times}": working_on_until_saved(times) for times in (1, 2)}
    end = await stepper.step(in_a_row({**nodes, **more}))
    assert end.outcome == Reply(text="saved 1; saved 2; work")


async def test_a_snapshot_that_cannot_be_saved_ends_the_run(stepper: Stepper) -> None:
    ended: list[str] = []

    async def hang(state: Notes) -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hang")
        raise AssertionError

    class Refusing(Stepper):
        async def _save(self, snapshot: bytes) -> None:
            raise StaleAttempt("a newer attempt owns the step")

    graph = in_a_row({"think": working(stepper, "think", WORK_SECONDS), "hang": hang})
    with pytest.raises(StaleAttempt, match="a newer attempt"):
        await asyncio.wait_for(Refusing(stepper.asker).step(graph), 10)
    assert ended == ["hang"]


async def test_the_snapshot_of_a_small_graph_is_about_3_kb(stepper: Stepper) -> None:
    async def pay(state: Notes) -> dict[str, Any]:
        propose(action("pay"), reason="It is due.", evidence=["The invoice says so."])
        return {"notes": ["paid"]}

    names = ("look", "read", "check", "think")
    graph = in_a_row({**{name: working(stepper, name) for name in names}, "pay": pay})
    _, snapshot = await stepper.proposal(graph)
    assert 500 < len(snapshot) < 3_500


async def test_a_snapshot_does_not_grow_with_the_nested_runs_that_are_over(
    stepper: Stepper,
) -> None:
    async def look(state: TurnState) -> dict[str, Any]:
        return {"outcome": Reply(text="looked")}

    async def pay(state: Notes) -> dict[str, Any]:
        propose(action("pay"), reason="It is due.")
        return {}

    nested = graph_of(TurnState, {"look": look}).add_edge(START, "look").compile()

    async def size_after(runs: int) -> int:
        nodes = {f"look_{number}": nested for number in range(runs)}
        _, snapshot = await Stepper(stepper.asker).proposal(in_a_row({**nodes, "pay": pay}))
        return len(snapshot)

    assert await size_after(8) < await size_after(1) + 1_000
