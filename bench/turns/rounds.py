"""Drives contenders: rounds of turns in which each has its go, and one long conversation."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from bench.report import percentile
from bench.stack import BenchStack, CpuMeter
from bench.turns.contender import Contender, History

_SETTLE_SECONDS = 0.5
"""Between two goes, so that what a server still has to write for one is not on the next one's account."""


_WARM_UP_TURNS = 5


@dataclass(frozen=True, kw_only=True)
class Level:
    """So many conversations at a time, each with so many turns a round, one after the other."""

    conversations: int
    turns: int


@dataclass(kw_only=True)
class Measured:
    """What a contender did at a level, over all rounds. Latencies in seconds, of single turns."""

    contender: str
    conversations: int
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds of all turns, by process."""

    def latency_ms(self, share: float) -> float:
        """A percentile of the latencies."""
        return 1000 * percentile(self.latencies, share)

    @property
    def turns_a_second(self) -> float:
        """Turns, by the time that the rounds took."""
        return len(self.latencies) / self.seconds

    def cpu_ms(self, process: str) -> float:
        """CPU milliseconds a turn."""
        return 1000 * self.cpu[process] / len(self.latencies)


@dataclass(frozen=True, kw_only=True)
class LongConversation:
    """What one conversation added after its first turn: up to turn `early`, and up to turn `turns`."""

    contender: str
    early: int
    turns: int
    early_history: History | None
    history: History | None
    database_bytes: int | None


async def warm_up(contender: Contender) -> None:
    """Some turns that nobody counts, so that caches and prepared statements are there."""
    await _converse(contender, "warm-up", _WARM_UP_TURNS)


async def measure_level(
    stack: BenchStack, contenders: Sequence[Contender], level: Level, *, rounds: int
) -> list[Measured]:
    """All contenders at a level, side by side: a round is a go of each, begun by another each time.

    Every conversation has had a turn before it is measured.
    """
    measured = [
        Measured(contender=contender.name, conversations=level.conversations)
        for contender in contenders
    ]
    for contender in contenders:
        await _go(contender, level, turns=1)
    for number in range(rounds):
        for position in range(len(contenders)):
            index = (number + position) % len(contenders)
            await asyncio.sleep(_SETTLE_SECONDS)
            await _measure_go(stack, contenders[index], level, measured[index])
    return measured


async def converse_long(contender: Contender, *, early: int, turns: int) -> LongConversation:
    """One conversation of `turns` turns, counted from the end of its first one."""
    conversation = "long"
    await contender.send(conversation, _text(1))
    database, history = await contender.database_bytes(), await contender.history(conversation)
    early_history: History | None = None
    for turn in range(2, turns + 1):
        await contender.send(conversation, _text(turn))
        if turn == early:
            early_history = _added(history, await contender.history(conversation))
    grown = await contender.database_bytes()
    return LongConversation(
        contender=contender.name,
        early=early,
        turns=turns,
        early_history=early_history,
        history=_added(history, await contender.history(conversation)),
        database_bytes=None if grown is None or database is None else grown - database,
    )


async def _measure_go(
    stack: BenchStack, contender: Contender, level: Level, measured: Measured
) -> None:
    meter = CpuMeter(_processes(stack, contender))
    started = time.monotonic()
    measured.latencies += await _go(contender, level, turns=level.turns)
    measured.seconds += time.monotonic() - started
    for process, seconds in meter.read().items():
        measured.cpu[process] = measured.cpu.get(process, 0.0) + seconds


async def _go(contender: Contender, level: Level, *, turns: int) -> list[float]:
    """The latencies of `turns` turns in each conversation of the level."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_converse(contender, f"{level.conversations}-{number}", turns))
            for number in range(level.conversations)
        ]
    return [latency for task in tasks for latency in task.result()]


async def _converse(contender: Contender, conversation: str, turns: int) -> list[float]:
    latencies: list[float] = []
    for turn in range(turns):
        started = time.monotonic()
        await contender.send(conversation, _text(turn))
        latencies.append(time.monotonic() - started)
    return latencies


def _processes(stack: BenchStack, contender: Contender) -> dict[str, list[psutil.Process]]:
    return {**stack.processes(), "workers": contender.workers()}


def _text(turn: int) -> str:
    return f"Message {turn}: how much is on my account now, and what was added since last week?"


def _added(before: History | None, after: History | None) -> History | None:
    if before is None or after is None:
        return None
    return History(events=after.events - before.events, bytes=after.bytes - before.bytes)
