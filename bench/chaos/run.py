"""One run: the load and the harm side by side, then quiet, then the oracle."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench.chaos.client import Session
from bench.chaos.clients import ClientProcess, ConversationKey, Seen
from bench.chaos.crew import Crew
from bench.chaos.havoc import Havoc, conversations_of
from bench.chaos.journal import Journal
from bench.chaos.oracle.answers import (
    judge_answers,
    judge_repetitions,
    judge_streams,
    judge_unfinished,
)
from bench.chaos.oracle.evidence import write_evidence
from bench.chaos.oracle.histories import judge_histories
from bench.chaos.oracle.model_calls import ModelCalls, judge_model_calls
from bench.chaos.oracle.records import judge_records
from bench.chaos.oracle.shops import judge_shops
from bench.chaos.oracle.verdict import Verdict
from bench.chaos.plan import ConversationPlan, counter_plans
from bench.chaos.recovery import follow_up_seconds, recovery_seconds
from bench.chaos.report import ChaosReport, Durations, Problem
from bench.chaos.retail import RetailPlay, choose_plays, load_plays, problems_of
from bench.chaos.shopping import open_shops, shopper_plans
from bench.chaos.stack import LIMITS, TENANT, ChaosStack, chaos_stack
from bench.report import Machine, now

_CLIENTS = 2
_COUNTER_SLOTS = 6
_RETAIL_SLOTS = 2
_RETAIL_A_MINUTE = 12
_SHOPPING_SLOTS = 4
_SHOPPERS_A_MINUTE = 20
_QUIET_SECONDS = 120.0
"""How long conversations may take to come to their end, once nothing is harmed any more."""


async def run_chaos(
    *, seed: int, minutes: float, workers: int, evidence: Path | None = None
) -> ChaosReport:
    """Let conversations go on for some minutes while everything is killed, and judge the outcome.

    What is known of conversations with a problem is written to the folder `evidence`.
    """
    started, clock = now(), time.monotonic()
    seen, journal, verdict = Seen(), Journal(), Verdict()
    plays = choose_plays(seed, max(2, round(minutes * _RETAIL_A_MINUTE)))
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(chaos_stack(seed))
        if plays:
            await load_plays(stack, plays)
        shoppers = max(4, round(minutes * _SHOPPERS_A_MINUTE))
        async with stack.database.acquire() as connection:
            await open_shops(connection, shoppers)
        clients = _clients(stack, seed, plays, shoppers, seen)

        async def affected(pid: int) -> Sequence[ConversationKey]:
            return await conversations_of(stack, clients, pid)

        crew = Crew(
            workers,
            seed=seed,
            environment=stack.environment,
            folder=stack.folder,
            journal=journal,
            affected=affected,
        )
        exits.push_async_callback(crew.stop)
        for client in clients:
            exits.push_async_callback(client.stop)
        await crew.start()
        await asyncio.gather(*(client.start() for client in clients))
        _say(f"harm begins, seed {seed}, {minutes:g} minutes")
        havoc = Havoc(stack, crew, clients, journal, seed=seed)
        await havoc.wreak(time.monotonic() + 60 * minutes)
        crew.with_faults = False
        for client in clients:
            client.begin_no_more()
        _say(f"{journal.kills} kills; waiting for {_playing(clients)} conversations to end")
        await _quiet(clients)
        _say(f"{len(seen.finished)} conversations have ended; counting")
        recovery = await recovery_seconds(stack, seen, journal)
        follow_ups = await follow_up_seconds(stack, journal)
        calls = await _judge(stack, seen, journal, verdict, plays, seed)
        if evidence is not None:
            await write_evidence(stack, seen, verdict, evidence)
    for unexpected in journal.unexpected:
        verdict.diverged(unexpected)
    for line in crew.log if verdict.problems else ():
        print(line.rstrip(), file=sys.stderr)
    return ChaosReport(
        machine=Machine.here(),
        started=started,
        seed=seed,
        minutes=minutes,
        seconds=time.monotonic() - clock,
        workers=workers,
        at_once=_COUNTER_SLOTS + _RETAIL_SLOTS + _SHOPPING_SLOTS,
        turns_per_run=LIMITS.turns_per_run,
        harm=dict(journal.count()),
        kills=journal.kills,
        conversations=len(seen.plans),
        retail_tasks=len({play.tenant for play in plays} & {tenant for tenant, _ in seen.finished}),
        turns=verdict.checked["turns"],
        actions=verdict.checked["actions"],
        checked=dict(verdict.checked),
        model_calls=calls.made,
        model_calls_repeated=calls.repeated,
        model_call_keys_repeated=calls.keys_repeated,
        most_calls_of_a_key=calls.most,
        degraded_calls=calls.degraded,
        model_calls_repeated_after=dict(calls.repeated_after),
        recovery=tuple(Durations.of(victim, times) for victim, times in sorted(recovery.items())),
        follow_ups=tuple(
            Durations.of("harm meanwhile or shortly before" if harmed else "in peace", times)
            for harmed, times in sorted(follow_ups.items())
        ),
        lost=verdict.count("lost"),
        duplicated=verdict.count("duplicated"),
        diverged=verdict.count("diverged"),
        forbidden=verdict.count("forbidden"),
        problems=tuple(Problem(kind=kind, what=what) for kind, what in verdict.problems),
    )


def _clients(
    stack: ChaosStack, seed: int, plays: Sequence[RetailPlay], shoppers: int, seen: Seen
) -> list[ClientProcess]:
    """The clients, each with its share of the conversations."""
    slots: list[Iterator[ConversationPlan]] = [
        counter_plans(seed, slot, f"{TENANT}-{slot % 2}") for slot in range(_COUNTER_SLOTS)
    ]
    slots += [(play.plan() for play in plays[slot::_RETAIL_SLOTS]) for slot in range(_RETAIL_SLOTS)]
    slots += [shopper_plans(seed, shoppers)] * _SHOPPING_SLOTS
    return [
        ClientProcess(
            slots[number::_CLIENTS],
            session=Session(tenant=TENANT, limits=LIMITS),
            environment=stack.environment,
            seen=seen,
        )
        for number in range(_CLIENTS)
    ]


async def _quiet(clients: Sequence[ClientProcess]) -> None:
    """Wait until no conversation is under way; not forever, those that are left are lost."""
    deadline = time.monotonic() + _QUIET_SECONDS
    while _playing(clients):
        if time.monotonic() > deadline:
            for client in clients:
                client.signal(signal.SIGUSR1)
            await asyncio.sleep(1.0)
            return
        await asyncio.sleep(0.1)


def _playing(clients: Sequence[ClientProcess]) -> int:
    return sum(len(client.playing) for client in clients)


async def _judge(
    stack: ChaosStack,
    seen: Seen,
    journal: Journal,
    verdict: Verdict,
    plays: Sequence[RetailPlay],
    seed: int,
) -> ModelCalls:
    await judge_unfinished(stack, seen, verdict)
    await judge_answers(stack, seen, verdict)
    calls = await judge_model_calls(stack, journal, verdict)
    await judge_records(stack, seen, verdict)
    for play in plays:
        if (play.tenant, play.plan().conversation) in seen.finished:
            for problem in await problems_of(stack, play):
                verdict.diverged(problem)
    await judge_shops(stack, seen, verdict)
    await judge_streams(stack, seen, verdict, seed)
    await judge_repetitions(stack, seen, verdict, seed)
    await judge_histories(stack, verdict, seed)
    for said in stack.model.unknown:
        verdict.diverged(f"the model was asked about {said!r}, which nobody has said")
    return calls


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
