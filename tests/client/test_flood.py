"""More at once than can be served: each message is answered, or refused by name, soon; none is lost."""

import asyncio
import time
from collections import Counter

import pytest

from holdfast.client import HoldfastClient
from holdfast.domain.errors import ConversationBusy, Overloaded
from holdfast.runtime.settings import Settings
from holdfast.testing import Hold, eventually, is_triage, route, text
from tests.platform import Platform, open_platform

Ends = Counter[str]


async def end_of(platform: Platform, conversation: str, message_id: str, **options: object) -> str:
    """How a message ends: answered, or the name of its refusal."""
    try:
        sent = await platform.send(
            conversation, "Hello.", message_id=message_id, timeout=60, **options
        )
    except (ConversationBusy, Overloaded) as refused:
        return refused.code
    return sent.status


async def recorded(platform: Platform) -> Counter[str]:
    """The turns that were recorded, by their status."""
    rows = await platform.database.fetch(
        "select status, count(*) as turns from holdfast.turns where tenant = $1 group by 1",
        platform.tenant,
    )
    return Counter({row["status"]: row["turns"] for row in rows})


async def test_200_messages_at_once_to_one_conversation_are_answered_or_refused(
    platform: Platform,
) -> None:
    started = time.monotonic()
    ends = Counter(
        await asyncio.gather(*(end_of(platform, "c1", f"m{number}") for number in range(200)))
    )
    assert set(ends) == {"answered", "ConversationBusy"}
    assert ends["answered"] >= 6
    assert await recorded(platform) == {"answered": ends["answered"]}
    assert time.monotonic() - started < 15


async def test_a_conversation_that_other_processes_fill_is_busy_at_once(
    platform: Platform, stack_settings: Settings
) -> None:
    hold = Hold()
    platform.script = lambda request: (
        route("general") if is_triage(request) else text("Late.").held(hold)
    )
    settings = platform.settings
    async with (
        HoldfastClient.connect(settings, tenant=platform.tenant) as second,
        HoldfastClient.connect(settings, tenant=platform.tenant) as third,
    ):
        clients = (platform.client, second, third)

        async def send(number: int) -> str:
            try:
                sent = await clients[number % 3].send(
                    "c1", "Hello.", customer=platform.customer, message_id=f"m{number}", timeout=60
                )
            except ConversationBusy as busy:
                return busy.code
            return sent.status

        first = asyncio.create_task(send(0))
        await hold.arrived.wait()
        others = [asyncio.create_task(send(number)) for number in range(1, 30)]

        async def most_have_ended() -> bool:
            return sum(one.done() for one in others) >= 24

        await eventually(most_have_ended, within=60, what="the refusals")
        hold.release()
        ends = Counter(await asyncio.gather(first, *others))
    assert ends == {"answered": 6, "ConversationBusy": 24}


async def test_new_conversations_beyond_what_workers_can_do_are_refused_at_once(
    stack_settings: Settings, tenant: str
) -> None:
    async with open_platform(stack_settings, tenant, in_process=False) as platform:
        hold = Hold()
        platform.script = lambda request: (
            route("general") if is_triage(request) else text("Hello.").held(hold)
        )
        await platform.start_worker(HOLDFAST_CONCURRENT_SUBGRAPHS="10")
        sending = [
            asyncio.create_task(end_of(platform, f"c{number}", f"m{number}"))
            for number in range(100)
        ]

        async def refused() -> bool:
            return sum(one.done() for one in sending) >= 80

        await eventually(refused, within=10, what="the refusals")
        hold.release()
        ends = Counter(await asyncio.gather(*sending))
        assert ends == {"answered": 20, "Overloaded": 80}
        assert await recorded(platform) == {"answered": 20}
        # What was refused is answered when it comes again later.
        with_patience = [
            patiently(platform, f"c{number}", f"m{number}") for number in range(20, 60)
        ]
        assert await asyncio.gather(*with_patience) == ["answered"] * 40


async def patiently(platform: Platform, conversation: str, message_id: str) -> str:
    """Send a message as `Overloaded` asks for."""
    while True:
        try:
            sent = await platform.send(conversation, "Hello.", message_id=message_id)
        except Overloaded as refused:
            await asyncio.sleep(refused.retry_after)
        else:
            return sent.status


async def test_a_flooding_tenant_leaves_room_for_others(
    stack_settings: Settings, tenant: str
) -> None:
    async with open_platform(stack_settings, tenant, in_process=False) as platform:
        hold = Hold()
        platform.script = lambda request: (
            route("general") if is_triage(request) else text("Hello.").held(hold)
        )
        await platform.start_worker(HOLDFAST_CONCURRENT_SUBGRAPHS="5")
        flood = [
            asyncio.create_task(end_of(platform, f"c{number}", f"m{number}"))
            for number in range(40)
        ]
        await hold.arrived.wait()

        async def refused() -> bool:
            return sum(one.done() for one in flood) >= 30

        await eventually(refused, what="the refusals")
        async with HoldfastClient.connect(platform.settings, tenant=f"{tenant}-b") as other:
            accepted = await other.send("c1", "Hello.", customer="b", wait=False)
            assert accepted.status == "accepted"
            with pytest.raises(Overloaded):
                await platform.send("one-more", "Hello.")
            hold.release()
            await asyncio.gather(*flood)
            sent = await other.send("c1", "Hello.", customer="b", message_id=accepted.message_id)
            assert sent.status == "answered"


async def test_what_was_accepted_counts_until_it_is_answered_though_nobody_waits(
    stack_settings: Settings, tenant: str
) -> None:
    async with open_platform(stack_settings, tenant, in_process=False) as platform:
        hold = Hold()
        platform.script = lambda request: (
            route("general") if is_triage(request) else text("Hello.").held(hold)
        )
        await platform.start_worker(HOLDFAST_CONCURRENT_SUBGRAPHS="1")
        for number in range(2):
            await platform.send(f"c{number}", "Hello.", wait=False)
        async with HoldfastClient.connect(platform.settings, tenant=tenant) as second:

            async def is_full() -> bool:
                try:
                    await second.send("c3", "Hello.", customer="c", wait=False, message_id="m3")
                except Overloaded:
                    return True
                return False

            await eventually(is_full, within=5, what="the refusal")
            hold.release()

            async def has_room() -> bool:
                return not await is_full()

            await eventually(has_room, what="room for one more")
