"""The section `waiting`: what conversations that wait for approvals cost, and how fast a decision wakes them."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.footprint import PARTS, Footprint, footprint_of
from bench.model import PROPOSE
from bench.report import Ratio, Section, Table, percentile
from bench.stack import BenchStack, bench_stack
from holdfast.client import HoldfastClient
from holdfast.domain.review import Accept, Reviewer

NAME = "waiting"

_TENANT = "waiting"
_AT_ONCE = 60
_SETTLE_SECONDS = 3.0
"""Before memory is read, so that what a server still does for the last conversations is done."""

_MESSAGES_BEFORE = 2
"""The customer's, and the one that says that a colleague is asked."""
_LOOK_SECONDS = 0.005
_COUNT_SECONDS = 0.1
_FOLLOW_UP_SECONDS = 60.0

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Level:
    """So many conversations wait; of them, `woken` are woken alone in each way, and `decided` at once."""

    parked: int
    cached: int
    """How many conversations the worker keeps in memory."""
    woken: int
    decided: int
    warm_ups: int = 20
    """Conversations that are parked and woken before anything is measured."""

    @property
    def evicts(self) -> bool:
        """Whether the first conversations are out of the worker's memory once the last are parked."""
        return self.parked >= self.cached + 2 * self.woken


_LEVELS = (
    Level(parked=1_000, cached=1_000, woken=50, decided=900),
    Level(parked=10_000, cached=1_000, woken=50, decided=1_000),
)
_QUICK_LEVELS = (
    Level(parked=20, cached=60, woken=4, decided=12),
    Level(parked=100, cached=60, woken=4, decided=40),
)

_HOW = """\
The first turn of every conversation proposes an action that a person has to approve; {at_once} at once are begun \
until so many wait. One worker keeps {cached:,} conversations in memory. Memory is what processes hold before the \
first and after the last (resident; pages that Postgres' processes share count once); files are those of Postgres' \
database and of the dev server's SQLite. Then conversations are woken alone, one after the other: the time from the \
decision to the customer's follow-up message, with the action executed between. `cached` are those that were \
parked last; `evicted` are out of the worker's memory, so it reads their history first; `worker restarted` were \
cached by a worker that was killed, and are woken once another one has started; each waits a second for the dead one. \
Last, \
{decided} are decided on, {at_once} at once, until all have their follow-up messages."""


@dataclass(frozen=True, kw_only=True)
class Waited:
    """A level. Times in seconds."""

    level: Level
    parking: float
    """How long it took until all were parked."""
    before: Footprint
    after: Footprint
    cached: Sequence[float]
    evicted: Sequence[float]
    """Empty where the worker's memory holds all."""
    restarted: Sequence[float]
    decisions: Sequence[float]
    """From sending a decision to its receipt, of those that were taken at once."""
    deciding: float
    """How long it took until all of these had their follow-up messages."""


@dataclass(frozen=True)
class _Parked:
    conversation: str
    approval: str


async def measure(*, quick: bool) -> Section:
    """Let conversations wait, on a stack of its own for each number of them."""
    waited: list[Waited] = []
    for level in _QUICK_LEVELS if quick else _LEVELS:
        async with bench_stack() as stack:
            waited.append(await wait(stack, level))
    return section(waited)


async def wait(stack: BenchStack, level: Level) -> Waited:
    """Park the conversations of a level, and wake some of them."""
    cache = {"HOLDFAST_MAX_CACHED_WORKFLOWS": str(level.cached)}
    await stack.start_worker(**cache)
    client = await stack.client(_TENANT)
    await _warm_up(client, level.warm_ups)
    before = await footprint_of(stack)
    started = time.monotonic()
    parked = await _park_all(client, [f"w-{number}" for number in range(level.parked)])
    parking = time.monotonic() - started
    await asyncio.sleep(_SETTLE_SECONDS)
    after = await footprint_of(stack)
    # From the end and from the start of the list: what was parked last is in memory.
    cached = [await _wake(client, parked.pop()) for _ in range(level.woken)]
    evicted = (
        [await _wake(client, parked.pop(0)) for _ in range(level.woken)] if level.evicts else []
    )
    await stack.stop_workers()
    await stack.start_worker(**cache)
    restarted = [await _wake(client, parked.pop()) for _ in range(level.woken)]
    started = time.monotonic()
    decisions = await _decide_all(stack, client, parked[: level.decided])
    return Waited(
        level=level,
        parking=parking,
        before=before,
        after=after,
        cached=cached,
        evicted=evicted,
        restarted=restarted,
        decisions=decisions,
        deciding=time.monotonic() - started,
    )


async def _warm_up(client: HoldfastClient, conversations: int) -> None:
    for one in await _park_all(client, [f"warm-{number}" for number in range(conversations)]):
        await _wake(client, one)


async def _park_all(client: HoldfastClient, conversations: Sequence[str]) -> list[_Parked]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def park(conversation: str) -> _Parked:
        async with slots:
            sent = await client.send(conversation, f"{PROPOSE} 5", customer="customer")
        if sent.status != "awaiting_approval":
            raise RuntimeError(f"the turn of {conversation} ended {sent.status}")
        return _Parked(conversation, sent.approvals[0])

    return await asyncio.gather(*(park(one) for one in conversations))


async def _decide(client: HoldfastClient, parked: _Parked) -> None:
    status = await client.approvals.decide(
        parked.approval, Accept(), by=Reviewer("reviewer", roles=("reviewer",)), timeout=120.0
    )
    if status.state != "accepted":
        raise RuntimeError(f"approval {parked.approval} is {status.state}")


async def _wake(client: HoldfastClient, parked: _Parked) -> float:
    """Seconds from the decision to the follow-up message."""
    started = time.monotonic()
    async with asyncio.timeout(_FOLLOW_UP_SECONDS):
        await _decide(client, parked)
        while True:
            if await client.messages(parked.conversation, after=_MESSAGES_BEFORE):
                return time.monotonic() - started
            await asyncio.sleep(_LOOK_SECONDS)


async def _decide_all(
    stack: BenchStack, client: HoldfastClient, parked: Sequence[_Parked]
) -> list[float]:
    """The seconds of each decision; returns once all have their follow-up messages."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def decide(one: _Parked) -> float:
        async with slots:
            started = time.monotonic()
            await _decide(client, one)
            return time.monotonic() - started

    answered = await _answered(stack)
    seconds = await asyncio.gather(*(decide(one) for one in parked))
    async with asyncio.timeout(_FOLLOW_UP_SECONDS):
        while True:
            if await _answered(stack) == answered + len(parked):
                return seconds
            await asyncio.sleep(_COUNT_SECONDS)


async def _answered(stack: BenchStack) -> int:
    count: int = await stack.database.fetchval(
        "select count(*) from holdfast.turns where tenant = $1 and status = 'answered'", _TENANT
    )
    return count


def section(waited: Sequence[Waited]) -> Section:
    """The numbers as a section."""
    few, many = waited[0], waited[-1]
    return Section(
        name=NAME,
        title="Waiting",
        how=_HOW.format(
            at_once=_AT_ONCE,
            cached=many.level.cached,
            decided=" or ".join(f"{one.level.decided:,}" for one in waited),
        ),
        ratios=(
            Ratio(
                name=f"p50 to wake one, cached, of {many.level.parked:,} / of {few.level.parked:,}",
                value=percentile(many.cached, 0.5) / percentile(few.cached, 0.5),
            ),
            Ratio(
                name=f"p50 to wake one of {many.level.parked:,}, evicted / cached",
                value=percentile(many.evicted, 0.5) / percentile(many.cached, 0.5),
            ),
            Ratio(
                name=f"decisions carried out a second, of {many.level.parked:,} / of {few.level.parked:,}",
                value=_decided_a_second(many) / _decided_a_second(few),
                better="higher",
            ),
        ),
        tables=(
            _memory_table(waited),
            _slope_table(few, many),
            _wake_table(waited),
            _rates_table(waited),
        ),
    )


def _decided_a_second(waited: Waited) -> float:
    return len(waited.decisions) / waited.deciding


def _memory_table(waited: Sequence[Waited]) -> Table:
    return Table(
        title="MiB, before the first and with all parked",
        columns=(
            "",
            *(
                heading
                for one in waited
                for heading in (f"before {one.level.parked:,}", f"{one.level.parked:,} parked")
            ),
        ),
        rows=tuple(
            (
                name,
                *(
                    part(footprint) / _MIB
                    for one in waited
                    for footprint in (one.before, one.after)
                ),
            )
            for name, part in PARTS
        ),
    )


def _slope_table(few: Waited, many: Waited) -> Table:
    parked = many.level.parked - few.level.parked
    return Table(
        title="KiB that one more parked conversation takes",
        columns=(
            "",
            f"of the first {few.level.parked:,}",
            f"of the {parked:,} after them",
        ),
        rows=tuple(
            (
                name,
                _added(few, part) / few.level.parked / 1024,
                (_added(many, part) - _added(few, part)) / parked / 1024,
            )
            for name, part in PARTS
        ),
    )


def _added(waited: Waited, part: Callable[[Footprint], int]) -> int:
    return part(waited.after) - part(waited.before)


def _wake_table(waited: Sequence[Waited]) -> Table:
    return Table(
        title="From a decision to the follow-up message, alone",
        columns=("parked", "", "woken", "p50 ms", "p95 ms"),
        rows=tuple(
            (
                f"{one.level.parked:,}",
                way,
                len(seconds),
                1000 * percentile(seconds, 0.5),
                1000 * percentile(seconds, 0.95),
            )
            for one in waited
            for way, seconds in (
                ("cached", one.cached),
                ("evicted", one.evicted),
                ("worker restarted", one.restarted),
            )
            if seconds
        ),
    )


def _rates_table(waited: Sequence[Waited]) -> Table:
    return Table(
        title=f"Parking and deciding, {_AT_ONCE} at once",
        columns=(
            "parked",
            "seconds to park all",
            "parked a second",
            "decided",
            "seconds until all are carried out",
            "decided a second",
            "p50 ms of a decision",
            "p95 ms of a decision",
        ),
        rows=tuple(
            (
                f"{one.level.parked:,}",
                one.parking,
                one.level.parked / one.parking,
                len(one.decisions),
                one.deciding,
                _decided_a_second(one),
                1000 * percentile(one.decisions, 0.5),
                1000 * percentile(one.decisions, 0.95),
            )
            for one in waited
        ),
    )
