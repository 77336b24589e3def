"""Deliveries through Temporal and Postgres, to receivers that fail in every way."""

import asyncio
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

from holdfast.domain.identity import ConversationKey
from holdfast.notifications.batches import send_batch, sweep
from holdfast.store.deliveries import Batch
from holdfast.testing import eventually
from tests.notifications.notices import SECRET, email, notice, notifications, webhook
from tests.notifications.office import Office
from tests.notifications.receiving import Answered, Endpoint, endpoint, mailbox

_TENANT = SearchAttributeKey.for_keyword("HoldfastTenant")


def failing(times: int, status: int = 500) -> Callable[[int], Answered]:
    """A receiver that takes nothing at first."""
    return lambda number: Answered(status if number < times else 200)


async def test_a_receiver_that_fails_twice_gets_it_at_the_third_try_under_one_id(
    office: Office,
) -> None:
    async with endpoint() as receiver:
        receiver.script = failing(2)
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told):
            handle = await office.start((delivery,))
            await handle.result()
    assert [one.id for one in receiver.posted] == [delivery] * 3
    assert len({one.body for one in receiver.posted}) == 1
    for one in receiver.posted:
        Webhook(SECRET).verify(one.body, one.headers)
    record = await office.delivery(delivery)
    assert (record.state, record.attempts, record.last_status) == ("delivered", 3, 200)
    assert record.last_error is None
    assert record.settled_at is not None
    await office.replay(handle)


async def test_the_workflow_outlives_the_conversation_and_names_nobody(office: Office) -> None:
    reason = "Mara Example wants her money back"
    async with endpoint() as receiver:
        receiver.script = failing(1)
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant, reason=reason))
        async with office.working(told):
            handle = await office.start((delivery,))
            described = await handle.describe()
            assert described.typed_search_attributes.get(_TENANT) == office.tenant
            await handle.result()
        history = await handle.fetch_history()
    written = b"".join(event.SerializeToString() for event in history.events)
    assert delivery.encode() in written
    assert b"Mara" not in written
    assert b"/hooks" not in written
    assert await described.static_summary() == "Notifications of conversation c1"


async def test_a_hanging_receiver_keeps_nobody_else_from_being_told(office: Office) -> None:
    async with endpoint() as silent, endpoint() as receiver, mailbox() as mail:
        silent.script = lambda _: Answered(delay=None)
        told = notifications(
            office.tenant,
            webhook(silent.url, "silent"),
            webhook(receiver.url),
            email("lena@example.com", "omar@example.com"),
            smtp_port=mail.port,
        )
        deliveries = await office.enqueue(told, notice(office.tenant))
        async with office.working(told, timeout=30.0):
            await office.start(deliveries)

            async def all_others() -> bool:
                return len(await office.client.deliveries.list(state="delivered")) == 3

            await eventually(all_others)
        (waiting,) = await office.client.deliveries.list(state="pending")
    assert waiting.channel == "silent"
    assert sorted(to for (to,) in mail.recipients) == ["lena@example.com", "omar@example.com"]
    ids = {one["message-id"] for one in mail.mails} | {one.id for one in receiver.posted}
    assert len(ids) == 3


async def test_an_answer_that_comes_too_late_counts_as_none(office: Office) -> None:
    async with endpoint() as receiver:
        receiver.script = lambda number: Answered(delay=0.5 if number == 0 else 0.0)
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told, timeout=0.3):
            await (await office.start((delivery,))).result()
    assert [one.id for one in receiver.posted] == [delivery] * 2
    assert (await office.delivery(delivery)).attempts == 2


async def test_a_redirect_is_tried_again_where_it_was_sent(office: Office) -> None:
    async with endpoint() as receiver, endpoint() as elsewhere:
        receiver.script = lambda number: (
            Answered(307, (("location", elsewhere.url),)) if number == 0 else Answered()
        )
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told):
            await (await office.start((delivery,))).result()
    assert len(receiver.posted) == 2
    assert elsewhere.posted == []


async def test_a_receiver_that_is_gone_is_not_asked_again(office: Office) -> None:
    async with endpoint() as receiver:
        receiver.script = lambda _: Answered(410)
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told):
            await (await office.start((delivery,))).result()
    record = await office.delivery(delivery)
    assert (record.state, record.attempts, record.last_status) == ("dead", 1, 410)


async def _posted_twice(receiver: Endpoint) -> bool:
    return len(receiver.posted) == 2


async def test_what_nobody_takes_in_time_is_dead_until_it_is_redriven(office: Office) -> None:
    async with endpoint() as receiver:
        is_too_late = asyncio.Event()
        receiver.script = lambda number: Answered(503, delay=is_too_late if number else 0.0)
        told = notifications(office.tenant, webhook(receiver.url), patience=timedelta(days=1))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told, timeout=30.0):
            handle = await office.start((delivery,))
            await eventually(lambda: _posted_twice(receiver))
            await office.age(delivery)
            is_too_late.set()
            await handle.result()
            dead = await office.delivery(delivery)
            assert (dead.state, dead.attempts, dead.last_error) == ("dead", 2, "HTTP 503")

            receiver.script = lambda _: Answered()
            assert await office.client.deliveries.redrive([delivery]) == [delivery]
            delivered = await office.becomes(delivery, "delivered")
            await handle.result()
        await office.replay(handle)
    assert delivered.attempts == 3
    assert {one.id for one in receiver.posted} == {delivery}


async def test_a_redriven_delivery_is_sent_by_its_batch_where_that_still_runs(
    office: Office,
) -> None:
    async with endpoint() as gone, endpoint() as slow:
        gone.script = failing(1, 410)
        slow.script = failing(2)
        told = notifications(office.tenant, webhook(gone.url, "gone"), webhook(slow.url, "slow"))
        deliveries = await office.enqueue(told, notice(office.tenant))
        async with office.working(told):
            handle = await office.start(deliveries)

            async def one_is_dead() -> bool:
                return bool(await office.client.deliveries.list(state="dead"))

            await eventually(one_is_dead)
            run = (await handle.describe()).run_id
            assert len(await office.client.deliveries.redrive_all()) == 1
            await handle.result()
        assert (await handle.describe()).run_id == run
    assert {one.state for one in await office.client.deliveries.list()} == {"delivered"}
    await office.replay(handle)


async def test_a_redrive_is_not_lost_on_a_workflow_that_does_not_know_of_the_end_yet(
    office: Office,
) -> None:
    async with endpoint() as receiver:
        receiver.script = lambda number: Answered(410 if number == 0 else 200, delay=0.3)
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.delivering(told):
            async with office.deciding():
                handle = await office.start((delivery,))

                async def is_being_sent() -> bool:
                    return bool(receiver.posted)

                await eventually(is_being_sent)
            await office.becomes(delivery, "dead")
            await office.client.deliveries.redrive([delivery])
            async with office.deciding():
                await handle.result()
    assert (await office.delivery(delivery)).state == "delivered"
    await office.replay(handle)


async def test_a_channel_that_left_the_configuration_makes_its_deliveries_dead(
    office: Office,
) -> None:
    async with endpoint() as receiver:
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(notifications(office.tenant, webhook(receiver.url, "other"))):
            await (await office.start((delivery,))).result()
    record = await office.delivery(delivery)
    assert record.state == "dead"
    assert "put it back" in str(record.last_error)
    assert receiver.posted == []


async def test_a_delivered_one_is_not_sent_again_by_another_run(office: Office) -> None:
    async with endpoint() as receiver:
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told):
            for _ in range(2):
                await (await office.start((delivery,))).result()
    assert len(receiver.posted) == 1


async def test_a_sender_that_is_killed_after_sending_sends_again_under_the_same_id(
    office: Office, tmp_path: Path
) -> None:
    marker = tmp_path / "died"
    async with endpoint() as receiver:
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        process = await office.sender_process(
            receiver.url, HOLDFAST_FAULT=f"after_sending:{marker}"
        )
        try:
            async with office.deciding():
                handle = await office.start((delivery,))
                assert await process.wait() == -signal.SIGKILL
            assert (await office.delivery(delivery)).state == "pending"
            async with office.working(told):
                await handle.result()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert [one.id for one in receiver.posted] == [delivery] * 2
    assert (await office.delivery(delivery)).state == "delivered"


async def test_a_receiver_that_was_down_loses_nothing(office: Office) -> None:
    async with endpoint() as receiver:
        pass
    told = notifications(office.tenant, webhook(receiver.url))
    (delivery,) = await office.enqueue(told, notice(office.tenant))
    async with office.working(told):
        handle = await office.start((delivery,))

        async def tried() -> bool:
            return (await office.delivery(delivery)).attempts > 0

        await eventually(tried)
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", receiver.port)
        async with server:
            await handle.result()
    assert [one.id for one in receiver.posted] == [delivery]


async def test_the_sweep_sends_what_was_forgotten_and_leaves_alone_what_is_under_way(
    office: Office,
) -> None:
    day = timedelta(days=1)
    queue = office.settings.task_queue
    async with endpoint() as receiver:
        told = notifications(office.tenant, webhook(receiver.url))
        (young,) = await office.enqueue(told, notice(office.tenant, occurrence="young"))
        (old,) = await office.enqueue(told, notice(office.tenant, occurrence="old"))
        await office.age(old)
        async with office.working(told):
            assert await sweep(office.temporal, office.pool, queue, older=day) == 1
            await office.sending(old).result()
            assert await sweep(office.temporal, office.pool, queue, older=day) == 0
    assert [one.id for one in receiver.posted] == [old]
    assert (await office.delivery(young)).attempts == 0


async def test_a_batch_that_is_started_twice_is_sent_once(office: Office) -> None:
    async with endpoint() as receiver:
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        batch = Batch(
            key=ConversationKey(office.tenant, "c1"), batch=delivery, deliveries=(delivery,)
        )
        for _ in range(3):
            await send_batch(office.temporal, office.settings.task_queue, batch)
        async with office.working(told):
            handle = office.sending(delivery)
            await handle.result()
        assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
        await office.replay(handle)
    assert len(receiver.posted) == 1


@pytest.mark.parametrize("status", [400, 404, 429])
async def test_a_client_error_is_tried_again_too(office: Office, status: int) -> None:
    async with endpoint() as receiver:
        receiver.script = failing(1, status)
        told = notifications(office.tenant, webhook(receiver.url))
        (delivery,) = await office.enqueue(told, notice(office.tenant))
        async with office.working(told):
            await (await office.start((delivery,))).result()
    assert (await office.delivery(delivery)).state == "delivered"
