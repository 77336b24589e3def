"""Events as they lie in Postgres, beside those of other versions."""

from collections.abc import AsyncIterator

import pytest

from holdfast.domain.conversation import CustomerMessage
from holdfast.domain.events import MessageReceived, MessageSent, NewEvent, TurnEnded
from holdfast.domain.identity import ConversationKey, TurnKey
from holdfast.domain.words import language_of
from holdfast.runtime.settings import Settings
from holdfast.store.conversations import open_conversation
from holdfast.store.events import append_events, read_events
from holdfast.store.pool import Connection, open_pool
from holdfast.store.turns import end_turn

MESSAGE = CustomerMessage(message_id="m1", customer="cust", text="hello")


@pytest.fixture
async def connection(stack_settings: Settings, tenant: str) -> AsyncIterator[Connection]:
    assert stack_settings.database_url is not None
    async with (
        await open_pool(stack_settings.database_url.get_secret_value()) as pool,
        pool.acquire() as opened,
    ):
        await open_conversation(
            opened,
            ConversationKey(tenant, "c1"),
            customer="cust",
            message_id=None,
            language_of=language_of,
        )
        yield opened


async def test_a_message_that_no_graph_has_seen_is_announced_like_every_other(
    connection: Connection, tenant: str
) -> None:
    await end_turn(
        connection,
        TurnKey(tenant, "c1", 1),
        status="failed",
        reason="no worker",
        message=MESSAGE,
        language_of=language_of,
    )
    _, received, sent, ended = await read_events(connection, ConversationKey(tenant, "c1"))
    assert received.data == MessageReceived(message_id="m1", message=1)
    assert sent.data == MessageSent(role="assistant", message=2)
    assert ended.data == TurnEnded(status="failed", reason="no worker")
    stored = await connection.fetchval(
        "select data from holdfast.events where tenant = $1 and type = 'message_received'", tenant
    )
    assert stored == {"message_id": "m1", "role": "customer", "message": 1}


async def test_kinds_and_fields_of_a_later_version_are_left_out(
    connection: Connection, tenant: str
) -> None:
    ended = NewEvent(turn=1, data=TurnEnded(status="answered"))
    await append_events(connection, ConversationKey(tenant, "c1"), [ended, ended])
    await connection.execute(
        "update holdfast.events set type = 'turn_weighed', data = '{}' "
        "where tenant = $1 and seq = 2",
        tenant,
    )
    await connection.execute(
        "update holdfast.events set data = data || '{\"grams\": 5}' where tenant = $1 and seq = 3",
        tenant,
    )
    _, last = await read_events(connection, ConversationKey(tenant, "c1"))
    assert (last.seq, last.data) == (3, TurnEnded(status="answered"))
