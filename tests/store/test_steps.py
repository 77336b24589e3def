"""The fence around a step: one owner, one commit."""

from collections.abc import AsyncIterator

import pytest

from holdfast.domain.activity_protocol import EndResult, TurnEnd
from holdfast.domain.conversation import CustomerMessage, TurnResult
from holdfast.domain.errors import StaleAttempt
from holdfast.domain.events import NewEvent, NewMessageSent
from holdfast.domain.identity import ConversationKey, TurnKey
from holdfast.domain.words import language_of
from holdfast.runtime.settings import Settings
from holdfast.store.conversations import open_conversation
from holdfast.store.events import read_events
from holdfast.store.pool import Connection, Pool, open_pool
from holdfast.store.steps import (
    NewMessage,
    StepAttempt,
    StepCommit,
    begin_step,
    commit_step,
    save_snapshot,
)
from holdfast.store.transcript import read_messages
from holdfast.store.turns import end_turn

MESSAGE = CustomerMessage(message_id="m1", customer="cust", text="hello")


@pytest.fixture
async def pool(stack_settings: Settings, tenant: str) -> AsyncIterator[Pool]:
    assert stack_settings.database_url is not None
    async with await open_pool(stack_settings.database_url.get_secret_value()) as opened:
        async with opened.acquire() as connection:
            await open_conversation(
                connection,
                ConversationKey(tenant, "c1"),
                customer="cust",
                message_id=None,
                language_of=language_of,
            )
        yield opened


def key(tenant: str, *, attempt: int = 1, run: str = "run-1", turn: int = 1) -> StepAttempt:
    return StepAttempt(
        tenant=tenant, conversation="c1", turn=turn, step=1, thread=1, run=run, attempt=attempt
    )


def reply(text: str) -> StepCommit:
    result = TurnResult(turn=1, status="answered", reply=text)
    return StepCommit(
        outcome=EndResult(result=result),
        turn_status="answered",
        turn_result=result,
        messages=(NewMessage(role="assistant", text=text),),
        events=(NewEvent(turn=1, data=NewMessageSent(role="assistant")),),
    )


async def texts(pool: Pool, tenant: str) -> list[str]:
    async with pool.acquire() as connection:
        return [one.text for one in await read_messages(connection, ConversationKey(tenant, "c1"))]


async def test_a_lower_attempt_cannot_commit_once_a_higher_one_has_begun(
    pool: Pool, tenant: str
) -> None:
    first, second = key(tenant), key(tenant, attempt=2)
    await begin_step(pool, first, subgraph="triage", message=MESSAGE)
    begun = await begin_step(pool, second, subgraph="triage", message=MESSAGE)
    assert [line.text for line in begun.transcript] == ["hello"]
    with pytest.raises(StaleAttempt):
        await commit_step(pool, first, reply("late"))
    assert not await save_snapshot(pool, first, b"late")
    await commit_step(pool, second, reply("right"))
    with pytest.raises(StaleAttempt):
        await commit_step(pool, first, reply("later"))
    assert await texts(pool, tenant) == ["hello", "right"]


async def test_a_lower_attempt_cannot_begin_again(pool: Pool, tenant: str) -> None:
    await begin_step(pool, key(tenant, attempt=2), subgraph="triage", message=MESSAGE)
    with pytest.raises(StaleAttempt):
        await begin_step(pool, key(tenant), subgraph="triage", message=MESSAGE)


async def test_an_attempt_after_the_commit_finds_the_recorded_outcome(
    pool: Pool, tenant: str
) -> None:
    await begin_step(pool, key(tenant), subgraph="triage", message=MESSAGE)
    outcome = await commit_step(pool, key(tenant), reply("hi"))
    assert isinstance(outcome, EndResult)
    assert outcome.result.reply_seq == 2
    again = await begin_step(pool, key(tenant, attempt=2), subgraph="triage", message=MESSAGE)
    assert again.outcome == outcome
    with pytest.raises(StaleAttempt):
        await commit_step(pool, key(tenant, attempt=2), reply("again"))


async def test_a_step_that_an_earlier_version_committed_names_its_reply(
    pool: Pool, tenant: str
) -> None:
    await begin_step(pool, key(tenant), subgraph="triage", message=MESSAGE)
    outcome = await commit_step(pool, key(tenant), reply("hi"))
    await pool.execute(
        "update holdfast.steps set reply_seq = null, "
        "outcome = jsonb_set(outcome, '{result,reply_seq}', '2') where tenant = $1",
        tenant,
    )
    again = await begin_step(pool, key(tenant, attempt=2), subgraph="triage", message=MESSAGE)
    assert again.outcome == outcome


async def test_a_run_that_was_reset_takes_over_from_the_one_before(pool: Pool, tenant: str) -> None:
    await begin_step(pool, key(tenant, attempt=3), subgraph="triage", message=MESSAGE)
    await begin_step(pool, key(tenant, run="run-2"), subgraph="triage", message=MESSAGE)
    with pytest.raises(StaleAttempt):
        await commit_step(pool, key(tenant, attempt=3), reply("old run"))
    await commit_step(pool, key(tenant, run="run-2"), reply("new run"))
    assert await texts(pool, tenant) == ["hello", "new run"]


async def cancel(connection: Connection, tenant: str, *, turn: int) -> TurnEnd:
    return await end_turn(
        connection,
        TurnKey(tenant, "c1", turn),
        status="cancelled",
        reason="test",
        message=MESSAGE,
        language_of=language_of,
    )


async def test_a_turn_that_was_ended_refuses_the_late_commit_of_its_step(
    pool: Pool, tenant: str
) -> None:
    await begin_step(pool, key(tenant), subgraph="triage", message=MESSAGE)
    async with pool.acquire() as connection:
        for _ in range(2):
            ended = await cancel(connection, tenant, turn=1)
            assert ended.result is not None
            assert ended.result.status == "cancelled"
    with pytest.raises(StaleAttempt):
        await commit_step(pool, key(tenant), reply("late"))
    assert await texts(pool, tenant) == ["hello"]
    async with pool.acquire() as connection:
        events = await read_events(connection, ConversationKey(tenant, "c1"))
    assert [event.type for event in events].count("turn_ended") == 1


async def test_a_step_that_ran_when_its_turn_was_ended_is_not_begun_again(
    pool: Pool, tenant: str
) -> None:
    await begin_step(pool, key(tenant), subgraph="triage", message=MESSAGE)
    async with pool.acquire() as connection:
        await cancel(connection, tenant, turn=1)
    with pytest.raises(StaleAttempt):
        await begin_step(pool, key(tenant, attempt=2), subgraph="triage", message=MESSAGE)


@pytest.mark.parametrize("message", [MESSAGE, None])
async def test_a_turn_that_has_ended_begins_no_step(
    pool: Pool, tenant: str, message: CustomerMessage | None
) -> None:
    async with pool.acquire() as connection:
        await cancel(connection, tenant, turn=1)
    with pytest.raises(StaleAttempt):
        await begin_step(pool, key(tenant), subgraph="triage", message=message)
    assert await texts(pool, tenant) == ["hello"]


async def test_a_turn_is_not_ended_for_a_message_that_had_another_one(
    pool: Pool, tenant: str
) -> None:
    await begin_step(pool, key(tenant), subgraph="triage", message=MESSAGE)
    await commit_step(pool, key(tenant), reply("hi"))
    async with pool.acquire() as connection:
        ended = await cancel(connection, tenant, turn=2)
    assert ended.result is None
    assert ended.repeated is not None
    assert ended.repeated.turn == 1
    assert ended.repeated.result is not None
    assert (ended.repeated.result.status, ended.repeated.result.reply) == ("answered", "hi")
    assert await texts(pool, tenant) == ["hello", "hi"]


async def test_a_known_message_id_is_found_and_nothing_is_begun(pool: Pool, tenant: str) -> None:
    await begin_step(pool, key(tenant), subgraph="triage", message=MESSAGE)
    await commit_step(pool, key(tenant), reply("hi"))
    begun = await begin_step(pool, key(tenant, turn=2), subgraph="triage", message=MESSAGE)
    assert begun.repeated is not None
    assert begun.repeated.turn == 1
    assert begun.repeated.result is not None
    assert begun.repeated.result.reply == "hi"
    assert await texts(pool, tenant) == ["hello", "hi"]
