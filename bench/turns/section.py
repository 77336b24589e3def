"""The section `turns`: what a turn of Holdfast costs beside what else there is."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from bench.report import Cell, Ratio, Section, Table
from bench.stack import bench_stack
from bench.turns.contender import Contender, History
from bench.turns.floor import Floor
from bench.turns.holdfast import Holdfast
from bench.turns.plugin import Plugin
from bench.turns.rounds import (
    Level,
    LongConversation,
    Measured,
    converse_long,
    measure_level,
    warm_up,
)
from bench.turns.saver import Saver

NAME = "turns"

CONTENDERS = (Floor, Holdfast, Plugin, Saver)

_ROUNDS = 3
_LEVELS = (
    Level(conversations=1, turns=30),
    Level(conversations=20, turns=6),
    Level(conversations=100, turns=3),
)
_EARLY = 11
_LONG = 101

_QUICK_ROUNDS = 1
_QUICK_LEVELS = (Level(conversations=1, turns=5), Level(conversations=10, turns=2))
_QUICK_EARLY = 3
_QUICK_LONG = 21

_PROCESSES = ("workers", "temporal", "postgres", "client")

_HOW = """\
The model answers at once, over HTTP, from a process of its own that is on nobody's account. A turn is a \
message of a customer, triage with one structured call of the model, and a graph of five nodes with one \
read and one call, whose answer the client waits for. Beside Holdfast: `{floor}`, an update of a running \
workflow that runs one activity which does nothing; `{plugin}`, the same graph with triage as its first \
node, a node an activity, and an in-memory saver in the workflow; `{saver}`, the same graph with its own \
Postgres saver, without Temporal, behind a socket. Each has one worker process, as it comes out of its own \
guide; all share one Temporal and one Postgres, which force everything to disk, and the driver's client. \
They alternate (rounds: {rounds}, each begun by another one), after a turn of each conversation that is \
not counted. The plugin and the saver keep the conversation in the graph's state (`add_messages`), so \
their cost grows with it; the long conversation shows how. CPU is that of the whole process, so it \
includes what an idle worker polls meanwhile. Bytes of history are what the server counts; bytes in \
Postgres are of all tables, indexes and toast, each rewritten before it is measured."""

_MeasureT = TypeVar("_MeasureT", Measured, LongConversation)


async def measure(*, quick: bool) -> Section:
    """Run all contenders."""
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    levels = _QUICK_LEVELS if quick else _LEVELS
    early = _QUICK_EARLY if quick else _EARLY
    long = _QUICK_LONG if quick else _LONG
    measured: list[Measured] = []
    async with bench_stack() as stack, AsyncExitStack() as contending:
        contenders: list[Contender] = [
            await contending.enter_async_context(kind.open(stack)) for kind in CONTENDERS
        ]
        for contender in contenders:
            await warm_up(contender)
        for level in levels:
            measured += await measure_level(stack, contenders, level, rounds=rounds)
        # Last, as the first pages of every table and index are counted by nobody's turns then.
        conversations = [
            await converse_long(contender, early=early, turns=long) for contender in contenders
        ]
    return Section(
        name=NAME,
        title="Overhead of a turn",
        how=_HOW.format(floor=Floor.name, plugin=Plugin.name, saver=Saver.name, rounds=rounds),
        ratios=(*_speed(measured, levels), *_sizes(conversations)),
        tables=(_speed_table(measured), _cpu_table(measured), _size_table(conversations)),
    )


def _speed(measured: Sequence[Measured], levels: Sequence[Level]) -> list[Ratio]:
    ratios: list[Ratio] = []
    for level in levels:
        at = [one for one in measured if one.conversations == level.conversations]
        ours, floor, plugin, saver = (
            _of(at, kind.name) for kind in (Holdfast, Floor, Plugin, Saver)
        )
        alone = level.conversations == 1
        where = "alone" if alone else f"of {level.conversations} conversations at once"
        ratios += [
            Ratio(
                name=f"p50 of a turn, {where}: Holdfast / floor",
                value=ours.latency_ms(0.5) / floor.latency_ms(0.5),
                aim=2.0 if alone else None,
            ),
            Ratio(
                name=f"p50 of a turn, {where}: Holdfast / Postgres saver",
                value=ours.latency_ms(0.5) / saver.latency_ms(0.5),
            ),
            Ratio(
                name=f"turns a second, {where}: Holdfast / plugin",
                value=ours.turns_a_second / plugin.turns_a_second,
                aim=2.0,
                better="higher",
            ),
        ]
    return ratios


def _sizes(conversations: Sequence[LongConversation]) -> list[Ratio]:
    ours, plugin, saver = (_of(conversations, kind.name) for kind in (Holdfast, Plugin, Saver))
    ratios: list[Ratio] = []
    for turns, mine, theirs in (
        (ours.early - 1, ours.early_history, plugin.early_history),
        (ours.turns - 1, ours.history, plugin.history),
    ):
        assert mine is not None
        assert theirs is not None
        ratios.append(
            Ratio(
                name=f"bytes of history a turn, over {turns} turns: Holdfast / plugin",
                value=mine.bytes / theirs.bytes,
                aim=0.25,
            )
        )
    assert ours.database_bytes is not None
    assert saver.database_bytes is not None
    ratios.append(
        Ratio(
            name=f"bytes in Postgres a turn, over {ours.turns - 1} turns: Holdfast / Postgres saver",
            value=ours.database_bytes / saver.database_bytes,
            aim=0.2,
        )
    )
    return ratios


def _speed_table(measured: Sequence[Measured]) -> Table:
    return Table(
        title="Latency and throughput",
        columns=("", "conversations at once", "turns", "p50 ms", "p95 ms", "turns a second"),
        rows=tuple(
            (
                one.contender,
                one.conversations,
                len(one.latencies),
                one.latency_ms(0.5),
                one.latency_ms(0.95),
                one.turns_a_second,
            )
            for one in measured
        ),
    )


def _cpu_table(measured: Sequence[Measured]) -> Table:
    return Table(
        title="CPU milliseconds a turn",
        columns=("", "conversations at once", "worker", "Temporal", "Postgres", "client", "all"),
        rows=tuple(
            (
                one.contender,
                one.conversations,
                *(one.cpu_ms(process) for process in _PROCESSES),
                sum(one.cpu_ms(process) for process in _PROCESSES),
            )
            for one in measured
        ),
    )


def _size_table(conversations: Sequence[LongConversation]) -> Table:
    early, turns = conversations[0].early - 1, conversations[0].turns - 1
    return Table(
        title="What a turn of one conversation leaves behind, without its first turn",
        columns=(
            "",
            f"events of history, {early} turns",
            f"bytes of history, {early} turns",
            f"events of history, {turns} turns",
            f"bytes of history, {turns} turns",
            f"bytes in Postgres, {turns} turns",
        ),
        rows=tuple(
            (
                one.contender,
                *_a_turn(one.early_history, early),
                *_a_turn(one.history, turns),
                None if one.database_bytes is None else one.database_bytes / turns,
            )
            for one in conversations
        ),
    )


def _a_turn(history: History | None, turns: int) -> tuple[Cell, Cell]:
    if history is None:
        return None, None
    return history.events / turns, history.bytes / turns


def _of(measures: Sequence[_MeasureT], contender: str) -> _MeasureT:
    return next(one for one in measures if one.contender == contender)
