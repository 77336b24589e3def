"""The section `overload`: more messages than the machine can answer, and a tenant who floods beside another."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bench.report import Ratio, Section, Table, percentile
from bench.stack import BenchStack, bench_stack
from holdfast.client import HoldfastClient
from holdfast.domain.errors import ConversationBusy, HoldfastError, Overloaded

NAME = "overload"

_FLOOD, _QUIET = "flood", "quiet"
_STEPS_AT_A_TIME = 8
_PEERS = 14
"""With the other tenant fewer than are let in (two for each step), so that none of them is refused."""

_FACTORS = (2, 5, 10)
_SECONDS = 20.0
_QUICK_SECONDS = 3.0
_CONVERSATIONS_A_SECOND = 20
"""Conversations that messages go to, for each second of a level."""
_PAUSE_SECONDS = 0.2
"""Between two messages of the quiet tenant."""

_HOW = """\
One worker that runs {steps} steps at a time, and a model that answers at once, share the machine with Temporal's \
dev server, Postgres and the client. The peak is what {peers} customers get who each wait for the answer and write \
again, for {seconds:g} s, in conversations that have all been opened before. Then messages come at a multiple of \
that rate, whether or not earlier ones are answered, to {conversations} conversations in turn; who is refused \
doesn't come again. Goodput is what was answered within the level, by its time. A message is lost that was let in \
and got no answer, or has another number of turns in Postgres than answers. Beside each level another tenant sends a \
message, waits for its answer, and goes on {pause:g} s later; its p95 at the multiples is compared with that beside \
the peak, where the machine is as busy."""


@dataclass
class Level:
    """What came of the messages of one level; latencies in seconds."""

    name: str
    offered: int = 0
    seconds: float = 0.0
    in_time: int = 0
    answered: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    refusing: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    turns: int = 0
    quiet: list[float] = field(default_factory=list)
    quiet_refused: int = 0

    @property
    def goodput(self) -> float:
        """Answers a second, of those that came within the level."""
        return self.in_time / self.seconds

    @property
    def lost(self) -> int:
        """Messages that were let in without an answer, or turns that nobody was told of."""
        return len(self.failed) + abs(self.turns - len(self.answered))


async def measure(*, quick: bool) -> Section:
    """Run the peak and all multiples."""
    seconds = _QUICK_SECONDS if quick else _SECONDS
    async with bench_stack() as stack:
        await stack.start_worker(HOLDFAST_CONCURRENT_SUBGRAPHS=str(_STEPS_AT_A_TIME))
        alone, peak, levels = await measure_levels(
            stack, seconds, _FACTORS[:1] if quick else _FACTORS
        )
    return section(alone, peak, levels, seconds)


async def measure_levels(
    stack: BenchStack, seconds: float, factors: Sequence[int]
) -> tuple[Level, Level, list[Level]]:
    """The quiet tenant alone, the peak, and each multiple of it."""
    flood, quiet = await stack.client(_FLOOD), await stack.client(_QUIET)
    numbers, conversations = count(), _conversations(seconds)
    under_way: set[asyncio.Task[None]] = set()

    async def level(name: str, load: Callable[[Level], Awaitable[None]]) -> Level:
        measured = Level(name=name)
        before = await _turns(stack)
        beside = asyncio.create_task(_write_quietly(quiet, measured))
        started = time.monotonic()
        await load(measured)
        measured.seconds = time.monotonic() - started
        measured.in_time = len(measured.answered)
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        await asyncio.gather(*under_way)
        measured.turns = await _turns(stack) - before
        return measured

    async def nothing(measured: Level) -> None:
        await asyncio.sleep(seconds)

    def write(measured: Level) -> Coroutine[Any, Any, None]:
        measured.offered += 1
        number = next(numbers)
        return _send(flood, f"c-{number % conversations}", number, measured)

    def closed(goes_on: Callable[[Level], bool]) -> Callable[[Level], Awaitable[None]]:
        async def load(measured: Level) -> None:
            async def customer() -> None:
                while goes_on(measured):
                    await write(measured)

            await asyncio.gather(*(customer() for _ in range(_PEERS)))

        return load

    def for_a_while() -> Callable[[Level], bool]:
        end = time.monotonic() + seconds
        return lambda _: time.monotonic() < end

    def multiple(rate: float) -> Callable[[Level], Awaitable[None]]:
        async def load(measured: Level) -> None:
            started = time.monotonic()
            while (elapsed := time.monotonic() - started) < seconds:
                while measured.offered < elapsed * rate:
                    sending = asyncio.create_task(write(measured))
                    under_way.add(sending)
                    sending.add_done_callback(under_way.discard)
                await asyncio.sleep(0.005)

        return load

    await level("warm-up", closed(lambda measured: measured.offered < conversations))
    alone = await level("alone", nothing)
    peak = await level("peak", closed(for_a_while()))
    return (
        alone,
        peak,
        [await level(f"{factor} ×", multiple(factor * peak.goodput)) for factor in factors],
    )


def _conversations(seconds: float) -> int:
    return int(_CONVERSATIONS_A_SECOND * seconds)


async def _send(client: HoldfastClient, conversation: str, number: int, measured: Level) -> None:
    started = time.monotonic()
    try:
        sent = await client.send(
            conversation,
            f"Message {number}: how much is it by now?",
            customer="customer",
            message_id=f"m-{number}",
        )
    except (Overloaded, ConversationBusy) as refused:
        measured.refused[refused.code] = measured.refused.get(refused.code, 0) + 1
        measured.refusing.append(time.monotonic() - started)
    except HoldfastError as error:
        measured.failed.append(repr(error))
    else:
        if sent.status == "answered":
            measured.answered.append(time.monotonic() - started)
        else:
            measured.failed.append(sent.status)


async def _write_quietly(client: HoldfastClient, measured: Level) -> None:
    for number in count():
        started = time.monotonic()
        try:
            await client.send(
                "quiet", f"{measured.name} {number}: how much is it by now?", customer="customer"
            )
        except Overloaded as refused:
            measured.quiet_refused += 1
            await asyncio.sleep(refused.retry_after)
        else:
            measured.quiet.append(time.monotonic() - started)
            await asyncio.sleep(_PAUSE_SECONDS)


async def _turns(stack: BenchStack) -> int:
    turns: int = await stack.database.fetchval(
        "select count(*) from holdfast.turns where tenant = $1 and status = 'answered'", _FLOOD
    )
    return turns


def section(alone: Level, peak: Level, levels: Sequence[Level], seconds: float) -> Section:
    """The numbers as a section."""
    ratios: list[Ratio] = []
    for one in levels:
        ratios += [
            Ratio(
                name=f"goodput at {one.name} / peak",
                value=one.goodput / peak.goodput,
                aim=0.8,
                better="higher",
            ),
            Ratio(name=f"lost at {one.name}", value=one.lost, aim=0),
            Ratio(
                name=f"another tenant's p95 at {one.name} / beside the peak",
                value=percentile(one.quiet, 0.95) / percentile(peak.quiet, 0.95),
                aim=2,
            ),
        ]
    return Section(
        name=NAME,
        title="Overload",
        how=_HOW.format(
            steps=_STEPS_AT_A_TIME,
            seconds=seconds,
            peers=_PEERS,
            conversations=_conversations(seconds),
            pause=_PAUSE_SECONDS,
        ),
        ratios=tuple(ratios),
        tables=(_table(peak, levels), _quiet_table(alone, peak, levels)),
    )


def _table(peak: Level, levels: Sequence[Level]) -> Table:
    return Table(
        title="What came of the messages",
        columns=(
            "offered",
            "messages",
            "a second",
            "answers a second",
            "accepted p50 ms",
            "accepted p95 ms",
            "refused",
            "refused p95 ms",
            "lost",
        ),
        rows=tuple(
            (
                one.name,
                one.offered,
                one.offered / one.seconds,
                one.goodput,
                1000 * percentile(one.answered, 0.5),
                1000 * percentile(one.answered, 0.95),
                ", ".join(f"{code} {times}" for code, times in one.refused.items()) or "none",
                1000 * percentile(one.refusing, 0.95) if one.refusing else None,
                one.lost,
            )
            for one in (peak, *levels)
        ),
    )


def _quiet_table(alone: Level, peak: Level, levels: Sequence[Level]) -> Table:
    return Table(
        title="Another tenant beside it",
        columns=("beside", "its messages", "p50 ms", "p95 ms", "refused"),
        rows=tuple(
            (
                name,
                len(one.quiet),
                1000 * percentile(one.quiet, 0.5),
                1000 * percentile(one.quiet, 0.95),
                one.quiet_refused,
            )
            for name, one in (("nothing", alone), *((one.name, one) for one in (peak, *levels)))
        ),
    )
