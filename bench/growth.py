"""The section `growth`: whether a turn costs after 500 others what it cost after 10."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.report import Ratio, Section, Table, percentile
from bench.stack import BenchStack, bench_stack
from bench.turns.contender import History, history_of
from bench.turns.tables import bytes_of_schemas
from holdfast.client import HoldfastClient
from holdfast.domain.identity import ConversationKey
from holdfast.domain.limits import Limits
from holdfast.store.migrate import CORE_SCHEMA

NAME = "growth"

_TENANT = "growth"
_FLAT = 1.1


@dataclass(frozen=True, kw_only=True)
class Window:
    """Turns of every conversation, both ends included."""

    first: int
    last: int

    @property
    def turns(self) -> int:
        """How many they are."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which turns are measured: their latency and history, and what they take in Postgres.

    The windows come in the order early, early_stored, late_stored, late. `early` and `late` must not
    reach over the end of a run, as their history is measured within one.
    """

    conversations: int
    turns_per_run: int
    early: Window
    early_stored: Window
    late_stored: Window
    late: Window


_FULL = Plan(
    conversations=5,
    turns_per_run=Limits().turns_per_run,
    early=Window(first=6, last=20),
    early_stored=Window(first=21, last=70),
    late_stored=Window(first=436, last=485),
    late=Window(first=491, last=505),
)
_QUICK = Plan(
    conversations=3,
    turns_per_run=20,
    early=Window(first=3, last=7),
    early_stored=Window(first=8, last=13),
    late_stored=Window(first=43, last=48),
    late=Window(first=53, last=57),
)

_HOW = """\
{conversations} conversations of {turns} turns, all messages equally long. Their turns {early} and {late} are sent \
alone, one conversation after the other, and timed; among the late ones, turns {early} of new conversations \
are sent in alternation, so that a server that has become slower is told from a conversation that has. Bytes of \
history are what the server counts from before a window to after it, within one run (a run has {turns_per_run} \
turns). Bytes in Postgres are of all tables, indexes and toast, each rewritten before it is measured, over turns \
{early_stored} and {late_stored}."""


@dataclass(kw_only=True)
class Measured:
    """What the turns of a window cost. Latencies in seconds, of single turns."""

    latencies: list[float] = field(default_factory=list)
    history_events: int = 0
    history_bytes: int = 0

    @property
    def turns(self) -> int:
        """How many turns these are."""
        return len(self.latencies)

    def latency_ms(self, share: float) -> float:
        """A percentile of the latencies."""
        return 1000 * percentile(self.latencies, share)


@dataclass(frozen=True, kw_only=True)
class Grown:
    """What was found."""

    plan: Plan
    early: Measured
    late: Measured
    fresh: Measured
    """The early turns of conversations that began when the others were at their end."""
    early_stored: float
    """Bytes in Postgres a turn."""
    late_stored: float
    runs: Sequence[History]
    """Of the first conversation."""


async def measure(*, quick: bool) -> Section:
    """Hold some long conversations."""
    plan = _QUICK if quick else _FULL
    async with bench_stack() as stack:
        return section(await grow(stack, plan))


async def grow(stack: BenchStack, plan: Plan) -> Grown:
    """Hold the conversations of a plan."""
    await stack.start_worker()
    limits = Limits(turns_per_run=plan.turns_per_run)
    driver = _Driver(stack, await stack.client(_TENANT, limits))
    old = [f"old-{number}" for number in range(plan.conversations)]
    new = [f"new-{number}" for number in range(plan.conversations)]
    await driver.advance(["warm-up"], plan.early.last)
    await driver.advance(old, plan.early.first - 1)
    early, late, fresh = Measured(), Measured(), Measured()
    for one in old:
        await driver.measure(one, plan.early, early)
    early_stored = await driver.stored(old, plan.early_stored)
    late_stored = await driver.stored(old, plan.late_stored)
    await driver.advance(old, plan.late.first - 1)
    await driver.advance(new, plan.early.first - 1)
    for one, beside in zip(old, new, strict=True):
        await driver.measure(one, plan.late, late)
        await driver.measure(beside, plan.early, fresh)
    return Grown(
        plan=plan,
        early=early,
        late=late,
        fresh=fresh,
        early_stored=early_stored,
        late_stored=late_stored,
        runs=await driver.runs(old[0]),
    )


class _Driver:
    """Sends messages, and knows how far each conversation is."""

    def __init__(self, stack: BenchStack, client: HoldfastClient) -> None:
        self._stack = stack
        self._client = client
        self._turns: Counter[str] = Counter()

    async def advance(self, conversations: Sequence[str], turn: int) -> None:
        """Bring the conversations to the end of a turn, all at once."""
        await asyncio.gather(*(self._advance(one, turn) for one in conversations))

    async def measure(self, conversation: str, window: Window, measured: Measured) -> None:
        """Send the turns of a window, which is next, and add what they cost."""
        workflow = ConversationKey(_TENANT, conversation).workflow_id
        before = await history_of(self._stack.temporal, workflow)
        while self._turns[conversation] < window.last:
            started = time.monotonic()
            await self._send(conversation)
            measured.latencies.append(time.monotonic() - started)
        after = await history_of(self._stack.temporal, workflow)
        measured.history_events += after.events - before.events
        measured.history_bytes += after.bytes - before.bytes

    async def stored(self, conversations: Sequence[str], window: Window) -> float:
        """Bytes in Postgres that a turn of a window takes."""
        await self.advance(conversations, window.first - 1)
        before = await self._bytes()
        await self.advance(conversations, window.last)
        return (await self._bytes() - before) / (window.turns * len(conversations))

    async def runs(self, conversation: str) -> list[History]:
        """The histories of the conversation's runs, the first one first."""
        temporal, workflow = (
            self._stack.temporal,
            ConversationKey(_TENANT, conversation).workflow_id,
        )
        runs = [run async for run in temporal.list_workflows(f'WorkflowId = "{workflow}"')]
        described = [
            await temporal.get_workflow_handle(workflow, run_id=run.run_id).describe()
            for run in sorted(runs, key=lambda run: run.start_time)
        ]
        return [
            History(events=run.history_length, bytes=run.raw_info.history_size_bytes)
            for run in described
        ]

    async def _advance(self, conversation: str, turn: int) -> None:
        while self._turns[conversation] < turn:
            await self._send(conversation)

    async def _send(self, conversation: str) -> None:
        self._turns[conversation] += 1
        text = f"Message {self._turns[conversation]:03}: how much is on my account by now?"
        sent = await self._client.send(conversation, text, customer="customer")
        if sent.status != "answered":
            raise RuntimeError(f"the turn of {conversation} ended {sent.status}")

    async def _bytes(self) -> int:
        return await bytes_of_schemas(self._stack.database, CORE_SCHEMA, "bench")


def section(grown: Grown) -> Section:
    """The numbers as a section."""
    plan, early, late, fresh = grown.plan, grown.early, grown.late, grown.fresh
    return Section(
        name=NAME,
        title="Growth",
        how=_HOW.format(turns=plan.late.last, **vars(plan)),
        ratios=(
            Ratio(
                name=f"p50 of turns {plan.late} / of turns {plan.early} of new conversations",
                value=late.latency_ms(0.5) / fresh.latency_ms(0.5),
                aim=_FLAT,
            ),
            Ratio(
                name=f"p50 of turns {plan.late} / of turns {plan.early} of the same conversations",
                value=late.latency_ms(0.5) / early.latency_ms(0.5),
                aim=_FLAT,
            ),
            Ratio(
                name=f"bytes of history a turn, turns {plan.late} / turns {plan.early}",
                value=late.history_bytes / early.history_bytes,
                aim=_FLAT,
            ),
            Ratio(
                name=f"bytes in Postgres a turn, turns {plan.late_stored} / turns {plan.early_stored}",
                value=grown.late_stored / grown.early_stored,
                aim=_FLAT,
            ),
        ),
        tables=(_windows_table(grown), _stored_table(grown), _runs_table(grown)),
    )


def _windows_table(grown: Grown) -> Table:
    plan = grown.plan
    windows = (
        (f"turns {plan.early}", grown.early),
        (f"turns {plan.late}", grown.late),
        (f"turns {plan.early}, new conversations", grown.fresh),
    )
    return Table(
        title="A turn alone",
        columns=("", "turns", "p50 ms", "p95 ms", "events of history", "bytes of history"),
        rows=tuple(
            (
                name,
                one.turns,
                one.latency_ms(0.5),
                one.latency_ms(0.95),
                one.history_events / one.turns,
                one.history_bytes / one.turns,
            )
            for name, one in windows
        ),
    )


def _stored_table(grown: Grown) -> Table:
    return Table(
        title="Bytes in Postgres a turn",
        columns=("", "turns", "bytes"),
        rows=tuple(
            (f"turns {window}", window.turns * grown.plan.conversations, stored)
            for window, stored in (
                (grown.plan.early_stored, grown.early_stored),
                (grown.plan.late_stored, grown.late_stored),
            )
        ),
    )


def _runs_table(grown: Grown) -> Table:
    return Table(
        title="The runs of one of the conversations",
        columns=("run", "events of history", "bytes of history"),
        rows=tuple(
            (f"{number}", run.events, run.bytes) for number, run in enumerate(grown.runs, start=1)
        ),
    )
