"""Floods of what a conversation refuses: recorded up to a bound, and the conversation goes on in a new run."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.domain import wire
from holdfast.domain.decision import Decision
from holdfast.domain.errors import InvalidStatement
from holdfast.domain.events import DecisionRefused
from holdfast.domain.limits import Limits
from holdfast.domain.records import ApprovalRecord
from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.testing import eventually, routed_to, text
from tests.platform import Platform, counting, open_platform

SHORT = Limits(events_per_run=100)
MANY = 300
MOST_IN_A_STREAM = 3_000
SEED = 20261127
PATIENCE = 90.0
"""Without a cache of workflows, on a busy machine, each signal has the whole run replayed."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def short(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A platform whose conversations continue as new after few events."""
    async with open_platform(stack_settings, tenant, limits=SHORT) as platform:
        yield platform


async def park(platform: Platform) -> ApprovalRecord:
    adding = [("add", {"counter": "c", "amount": 150})]
    platform.script = routed_to("counter", counting(adding, then="Settled."))
    parked = await platform.send("c1", "add")
    return await platform.client.approvals.get(parked.approvals[0])


async def run_of(platform: Platform) -> str | None:
    return (await platform.handle("c1").describe()).run_id


async def scheduled(platform: Platform, run: str | None) -> Counter[str]:
    """How many activities of each kind a run has scheduled."""
    handle = platform.temporal.get_workflow_handle(platform.handle("c1").id, run_id=run)
    history = await handle.fetch_history()
    return Counter(
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    )


async def refusals(platform: Platform) -> list[DecisionRefused]:
    events = [event.data async for event in platform.client.events("c1")]
    return [data for data in events if isinstance(data, DecisionRefused)]


async def moved(platform: Platform, *, since: str | None) -> None:
    async def another() -> bool:
        return await run_of(platform) != since

    await eventually(another, what="another run", within=PATIENCE)


async def decided(platform: Platform, approval: str) -> None:
    """Check that a reviewer's decision and a message are taken, and that it all replays."""
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )

    async def executed() -> bool:
        return await platform.effects() == [150]

    await eventually(executed, what="the approved action", within=PATIENCE)
    platform.script = routed_to("counter", lambda _: text("Still here."))
    assert (await platform.send("c1", "hello?", timeout=20)).reply == "Still here."
    await platform.replay("c1")


def accepting(approval: str, number: int, **changes: Any) -> Decision:
    fields = {"id": f"d{number}", "approval": approval, "kind": "accept", "reviewer": "eve"}
    return Decision.model_validate({**fields, "digest": "0" * 64, **changes})


async def test_signals_that_are_refused_are_recorded_up_to_a_bound_and_the_last_one_says_so(
    platform: Platform,
) -> None:
    """None is started for what is one too many, and the real decision waits for none of it."""
    record = await park(platform)
    run = await run_of(platform)
    for number in range(70):
        forged = accepting(f"ap_{number}", number)
        await platform.handle("c1").signal(wire.APPROVAL_DECISION, forged)
    await decided(platform, record.id)

    async def recorded() -> bool:
        return len(await refusals(platform)) == 50

    await eventually(recorded, what="the refusals", within=PATIENCE)
    assert (await scheduled(platform, run))[wire.RECORD_REFUSAL] == 50
    assert [one.last for one in await refusals(platform)] == [None] * 49 + [True]


async def test_signals_on_one_approval_that_are_too_many_are_dropped(
    stack_settings: Settings, tenant: str
) -> None:
    """They come while no worker runs, with everything in order that the workflow looks at."""
    async with open_platform(stack_settings, tenant, in_process=False) as platform:
        worker = await platform.start_worker()
        record = await park(platform)
        run = await run_of(platform)
        await worker.stop()
        for number in range(120):
            forged = accepting(
                record.id, number, digest=record.args_digest, roles=["counters"], statement="a.b.c"
            )
            await platform.handle("c1").signal(wire.APPROVAL_DECISION, forged)
        await platform.start_worker()

        async def refused() -> bool:
            return len(await refusals(platform)) == 50

        await eventually(refused, what="the refusals", within=PATIENCE)
        await decided(platform, record.id)
        taken_up = (await scheduled(platform, run))[wire.DECIDE_APPROVAL]
        assert taken_up == 51, "50 that wait, and the reviewer's own"


async def test_a_steady_stream_of_signals_keeps_neither_messages_nor_the_next_run(
    short: Platform,
) -> None:
    """Most of it can only be refused by looking at it: everything is in order but the statement."""
    record = await park(short)
    first = await run_of(short)
    rng = random.Random(SEED)
    over = asyncio.Event()

    async def flood() -> None:
        for number in range(MOST_IN_A_STREAM):
            approval = rng.choice([record.id, record.id, record.id, f"ap_{number}"])
            forged = accepting(
                approval, number, digest=record.args_digest, roles=["counters"], statement="a.b.c"
            )
            await short.handle("c1").signal(wire.APPROVAL_DECISION, forged)
            if over.is_set():
                return
            await asyncio.sleep(0.03 * rng.random())

    short.script = routed_to("counter", lambda _: text("Still here."))
    flooding = asyncio.create_task(flood())
    for number in range(4):
        assert (await short.send("c1", f"hello {number}", timeout=60)).reply == "Still here."
    if short.settings.max_cached_workflows:
        # Without a cache each task replays the run, and more comes meanwhile.
        await moved(short, since=first)
        assert not flooding.done(), "it moved on only when nothing came any more"
    over.set()
    await flooding
    await moved(short, since=first)
    counted = await scheduled(short, first)
    assert counted[wire.DECIDE_APPROVAL] <= 50
    assert counted[wire.RECORD_REFUSAL] <= 200
    await decided(short, record.id)


async def test_a_signed_decision_counts_behind_forged_ones(platform: Platform) -> None:
    record = await park(platform)
    shared = {"digest": record.args_digest, "roles": ["counters"]}
    for number in range(40):
        forged = accepting(record.id, number, statement="a.b.c", **shared)
        await platform.handle("c1").signal(wire.APPROVAL_DECISION, forged)
    signed = platform.signed(accepting(record.id, 40, reviewer="rita", **shared))
    await platform.handle("c1").signal(wire.APPROVAL_DECISION, signed)

    async def executed() -> bool:
        return await platform.effects() == [150]

    await eventually(executed, what="the approved action", within=PATIENCE)
    await platform.replay("c1")


async def test_decisions_that_were_refused_count_against_the_bound_of_a_run(
    platform: Platform,
) -> None:
    """Sent one after the other, so that never two of them wait."""
    record = await park(platform)
    run = await run_of(platform)
    for number in range(60):
        forged = accepting(
            record.id, number, digest=record.args_digest, roles=["counters"], statement="a.b.c"
        )
        await platform.handle("c1").signal(wire.APPROVAL_DECISION, forged)
        looked_at = min(number + 1, 50)

        async def refused(count: int = looked_at) -> bool:
            return len(await refusals(platform)) == count

        await eventually(refused, what="the refusal", within=PATIENCE)
    await decided(platform, record.id)
    assert (await scheduled(platform, run))[wire.DECIDE_APPROVAL] == 51


@pytest.mark.parametrize("signal", [wire.APPROVAL_DECISION, wire.UPGRADE, wire.CLOSE, "unknown"])
async def test_a_parked_conversation_that_is_only_sent_signals_continues_as_new(
    short: Platform, signal: str
) -> None:
    record = await park(short)
    run = await run_of(short)
    for number in range(MANY):
        junk = accepting(f"ap_{number}", number) if signal == wire.APPROVAL_DECISION else 5
        await short.handle("c1").signal(signal, junk)
    await moved(short, since=run)
    assert (await scheduled(short, run))[wire.RECORD_REFUSAL] <= 50
    await decided(short, record.id)


async def test_updates_that_are_taken_and_then_refused_lose_none_over_a_new_run(
    short: Platform,
) -> None:
    record = await park(short)
    run = await run_of(short)
    for _ in range(40):
        with pytest.raises(InvalidStatement):
            await short.client.approvals.decide(
                record.id, Accept(), by=Reviewer("rita", roles=["counters"]), statement="a.b.c"
            )
    await moved(short, since=run)
    await decided(short, record.id)
