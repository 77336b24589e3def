"""The section `scaling`: turns a second with more workers, and what a turn takes from each server."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from pydantic import BaseModel, ConfigDict

from bench.report import Ratio, Section, Table, percentile
from bench.stack import BenchStack, CpuMeter, bench_stack
from holdfast.client import HoldfastClient
from holdfast.domain.identity import ConversationKey

NAME = "scaling"

TENANT = "scaling"
_TARGET = 1_000
"""Turns a second that the arithmetic is for."""

_WORKERS = (1, 2, 4)
_CONVERSATIONS = 60
_TURNS = 20

_QUICK_WORKERS = (1, 2)
_QUICK_CONVERSATIONS = 20
_QUICK_TURNS = 3

_WARM_UP_TURNS = 2

_GROUPS = ("workers", "temporal", "postgres", "client", "model")

_HOW = """\
{conversations} conversations at once, each with {turns} turns one after the other, after {warm_up} that are not \
timed, with fresh worker processes each time. The model answers at once. Workers, Temporal's dev server, Postgres, the \
model and the client share the {cores} cores of this machine: above some 90 % busy, it is the machine that is \
measured, and more workers only share it. `% busy with this` is what these processes used; the rest was \
somebody else's. Rows, transactions and WAL are what \
Postgres counts from before the workers start to after they have ended; state transitions and events are what \
Temporal counts, for one of the conversations. The last table is arithmetic: what a turn takes, times {target:,}, \
taken from the run with one worker; `docs/scaling.md` says how to read it."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """So many conversations at once, with so many timed turns each."""

    conversations: int
    turns: int


class Writes(BaseModel):
    """What Postgres has counted."""

    model_config = ConfigDict(frozen=True)

    transactions: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    wal_bytes: int
    stored_bytes: int

    def since(self, before: "Writes") -> "Writes":
        """What was added after `before`."""
        mine, earlier = self.model_dump(), before.model_dump()
        return Writes(**{name: mine[name] - earlier[name] for name in mine})


@dataclass(frozen=True, kw_only=True)
class History:
    """What Temporal has counted for a conversation."""

    transitions: int
    events: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A number of workers at a level."""

    workers: int
    latencies: Sequence[float]
    """In seconds, of single turns."""
    seconds: float
    cpu: dict[str, float]
    """CPU seconds of the timed turns, by group of processes."""
    busy: float
    """The share of the machine's cores that was busy, with whatever else ran on it."""
    cores: int
    written: Writes
    written_turns: int
    """The turns behind `written`: the timed ones, and those before."""
    history: History
    """Of a turn; over the timed turns of one conversation."""

    @property
    def own_share(self) -> float:
        """The share of the machine's cores that the measured processes have used."""
        return sum(self.cpu.values()) / (self.seconds * self.cores)

    @property
    def turns_a_second(self) -> float:
        """Timed turns, by the time they took."""
        return len(self.latencies) / self.seconds

    def cpu_seconds(self, group: str) -> float:
        """CPU seconds a turn."""
        return self.cpu[group] / len(self.latencies)


async def measure(*, quick: bool) -> Section:
    """Run all numbers of workers."""
    level = (
        Level(conversations=_QUICK_CONVERSATIONS, turns=_QUICK_TURNS)
        if quick
        else Level(conversations=_CONVERSATIONS, turns=_TURNS)
    )
    async with bench_stack() as stack:
        client = await stack.client(TENANT)
        measured = [
            await measure_workers(stack, client, level, workers=workers)
            for workers in (_QUICK_WORKERS if quick else _WORKERS)
        ]
    return section(measured, level)


async def measure_workers(
    stack: BenchStack, client: HoldfastClient, level: Level, *, workers: int
) -> Measured:
    """Start so many workers, measure, and end them."""
    conversations = [f"s-{workers}-{number}" for number in range(level.conversations)]
    before = await _writes(stack)
    for _ in range(workers):
        await stack.start_worker()
    await _converse_all(client, conversations, _WARM_UP_TURNS)
    history = await _history(stack, conversations[0])
    model = {"model": [psutil.Process(stack.model_pid)]}
    meter = CpuMeter({**stack.processes(), **model})
    psutil.cpu_percent()  # the next call tells the share since this one
    started = time.monotonic()
    latencies = await _converse_all(client, conversations, level.turns)
    seconds = time.monotonic() - started
    cpu, busy = meter.read(), psutil.cpu_percent() / 100
    grown = await _history(stack, conversations[0])
    await stack.stop_workers()  # whose connections tell Postgres what they have done as they end
    return Measured(
        workers=workers,
        latencies=latencies,
        seconds=seconds,
        cpu=cpu,
        busy=busy,
        cores=psutil.cpu_count() or 1,
        written=(await _writes(stack)).since(before),
        written_turns=level.conversations * (_WARM_UP_TURNS + level.turns),
        history=_a_turn(history, grown, level.turns),
    )


async def _converse_all(
    client: HoldfastClient, conversations: Sequence[str], turns: int
) -> list[float]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_converse(client, one, turns)) for one in conversations]
    return [latency for task in tasks for latency in task.result()]


async def _converse(client: HoldfastClient, conversation: str, turns: int) -> list[float]:
    latencies: list[float] = []
    for turn in range(turns):
        started = time.monotonic()
        sent = await client.send(
            conversation, f"Message {turn}: how much is it by now?", customer="customer"
        )
        if sent.status != "answered":
            raise RuntimeError(f"the turn of {conversation} ended {sent.status}")
        latencies.append(time.monotonic() - started)
    return latencies


async def _writes(stack: BenchStack) -> Writes:
    row = await stack.database.fetchrow(
        """
        select xact_commit as transactions, tup_inserted as rows_inserted,
               tup_updated as rows_updated, tup_deleted as rows_deleted,
               (pg_current_wal_insert_lsn() - '0/0')::bigint as wal_bytes,
               pg_database_size(current_database()) as stored_bytes
          from pg_stat_database where datname = current_database()
        """
    )
    assert row is not None
    return Writes(**row)


async def _history(stack: BenchStack, conversation: str) -> History:
    handle = stack.temporal.get_workflow_handle(ConversationKey(TENANT, conversation).workflow_id)
    info = (await handle.describe()).raw_info
    return History(
        transitions=info.state_transition_count,
        events=info.history_length,
        bytes=info.history_size_bytes,
    )


def _a_turn(before: History, after: History, turns: int) -> History:
    return History(
        transitions=round((after.transitions - before.transitions) / turns),
        events=round((after.events - before.events) / turns),
        bytes=round((after.bytes - before.bytes) / turns),
    )


def section(measured: Sequence[Measured], level: Level) -> Section:
    """The numbers as a section."""
    alone = measured[0]
    return Section(
        name=NAME,
        title="Scale-out",
        how=_HOW.format(
            conversations=level.conversations,
            turns=level.turns,
            warm_up=_WARM_UP_TURNS,
            cores=alone.cores,
            target=_TARGET,
        ),
        ratios=tuple(
            Ratio(
                name=f"turns a second, {one.workers} workers / 1 worker",
                value=one.turns_a_second / alone.turns_a_second,
                better="higher",
            )
            for one in measured[1:]
        ),
        tables=(_speed_table(measured), _cpu_table(measured), needs_table(alone, _TARGET)),
    )


def _speed_table(measured: Sequence[Measured]) -> Table:
    return Table(
        title="More workers on one machine",
        columns=(
            "workers",
            "turns",
            "turns a second",
            "p50 ms",
            "p95 ms",
            "% of all cores busy",
            "% busy with this",
        ),
        rows=tuple(
            (
                f"{one.workers}",
                len(one.latencies),
                one.turns_a_second,
                1000 * percentile(one.latencies, 0.5),
                1000 * percentile(one.latencies, 0.95),
                100 * one.busy,
                100 * one.own_share,
            )
            for one in measured
        ),
    )


def _cpu_table(measured: Sequence[Measured]) -> Table:
    return Table(
        title="CPU milliseconds a turn",
        columns=("workers", "workers'", "Temporal's", "Postgres'", "client's", "model's", "all"),
        rows=tuple(
            (
                f"{one.workers}",
                *(1000 * one.cpu_seconds(group) for group in _GROUPS),
                1000 * sum(one.cpu_seconds(group) for group in _GROUPS),
            )
            for one in measured
        ),
    )


def needs_table(measured: Measured, target: int) -> Table:
    """What a turn takes, and what `target` turns a second therefore need."""
    turns = measured.written_turns
    written, history = measured.written, measured.history
    day = target * 86_400 / 1e9
    cores = tuple(
        (f"CPU of {name}", seconds * 1000, "ms", seconds * target, "cores")
        for name, seconds in (
            ("workers", measured.cpu_seconds("workers")),
            ("Temporal (dev server on SQLite)", measured.cpu_seconds("temporal")),
            ("Postgres", measured.cpu_seconds("postgres")),
            ("the client", measured.cpu_seconds("client")),
        )
    )
    rates = tuple(
        (name, count, "", count * target, "a second")
        for name, count in (
            ("transactions in Postgres", written.transactions / turns),
            ("rows inserted", written.rows_inserted / turns),
            ("rows updated", written.rows_updated / turns),
            ("rows deleted", written.rows_deleted / turns),
            ("state transitions in Temporal", float(history.transitions)),
            ("events of history", float(history.events)),
        )
    )
    wal = written.wal_bytes / turns
    stored = written.stored_bytes / turns
    return Table(
        title=f"What a turn takes, and what {target:,} turns a second need",
        columns=("", "a turn", "unit", f"{target:,} turns a second", "unit"),
        rows=(
            *cores,
            *rates,
            ("WAL of Postgres", wal, "bytes", wal * target / 1e6, "MB a second"),
            ("tables and indexes", stored, "bytes", stored * day, "GB a day"),
            ("history", float(history.bytes), "bytes", history.bytes * day, "GB a day"),
        ),
    )
