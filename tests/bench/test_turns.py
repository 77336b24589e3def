"""The benchmark of the turn: that every contender does the same work, and how numbers are made of it."""

from contextlib import AsyncExitStack

import pytest

from bench.stack import bench_stack
from bench.turns.contender import Contender
from bench.turns.rounds import Level, Measured, converse_long, measure_level
from bench.turns.section import CONTENDERS


def test_latency_throughput_and_cpu_are_those_of_a_turn() -> None:
    measured = Measured(contender="one", conversations=2, latencies=[0.1, 0.2, 0.4, 0.3])
    measured.seconds, measured.cpu = 2.0, {"workers": 0.02}

    assert measured.latency_ms(0.5) == pytest.approx(200)
    assert measured.turns_a_second == pytest.approx(2)
    assert measured.cpu_ms("workers") == pytest.approx(5)


async def test_every_contender_answers_and_leaves_behind_what_it_says() -> None:
    async with bench_stack() as stack, AsyncExitStack() as contending:
        contenders: list[Contender] = [
            await contending.enter_async_context(kind.open(stack)) for kind in CONTENDERS
        ]

        answers = [await contender.send("c-1", "How much is it?") for contender in contenders]
        measured = await measure_level(stack, contenders, Level(conversations=2, turns=1), rounds=1)
        long = {one.name: await converse_long(one, early=2, turns=2) for one in contenders}

    assert answers == ["Done."] * len(contenders)
    assert [len(one.latencies) for one in measured] == [2] * len(contenders)
    assert all(one.cpu["client"] >= 0 and one.turns_a_second > 0 for one in measured)
    floor, ours, plugin, saver = (long[kind.name] for kind in CONTENDERS)
    assert floor.history is not None
    assert ours.history is not None
    assert plugin.history is not None
    assert saver.history is None
    assert floor.history.events <= ours.history.events < plugin.history.events
    assert floor.history.bytes < ours.history.bytes < plugin.history.bytes
    assert [one.database_bytes is None for one in (floor, ours, plugin, saver)] == [
        True,
        False,
        True,
        False,
    ]
