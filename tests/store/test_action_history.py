"""What a step finds of actions that were done before, and that it finds the same on every try."""

from collections.abc import AsyncIterator

import pytest

from holdfast import ActionDescription
from holdfast.domain.conversation import CustomerMessage
from holdfast.domain.identity import ConversationKey, TurnKey
from holdfast.domain.ids import derived_id
from holdfast.domain.outcomes import RecordedActionState
from holdfast.domain.words import language_of
from holdfast.runtime.settings import Settings
from holdfast.store.action_history import StandingAction, account_of
from holdfast.store.conversations import open_conversation
from holdfast.store.pool import Pool, open_pool
from holdfast.store.steps import StepAttempt, begin_step


@pytest.fixture
async def pool(stack_settings: Settings, tenant: str) -> AsyncIterator[Pool]:
    assert stack_settings.database_url is not None
    async with await open_pool(stack_settings.database_url.get_secret_value()) as opened:
        for conversation, customer in (("c1", "ann"), ("c2", "ann"), ("c3", "bob")):
            async with opened.acquire() as connection:
                await open_conversation(
                    connection,
                    ConversationKey(tenant, conversation),
                    customer=customer,
                    message_id=None,
                    language_of=language_of,
                )
        yield opened


async def record(
    pool: Pool,
    tenant: str,
    turn: int,
    *,
    conversation: str = "c1",
    customer: str = "ann",
    state: RecordedActionState = "executed",
    approval: str | None = None,
    age: str = "0 s",
    proposed: str | None = None,
    sent: str | None = None,
) -> str:
    """An action as a turn leaves it, `age` ago: what was `proposed` before that, what has the state `sent`
    of an execution on another system."""
    name = derived_id("act", tenant, conversation, turn)
    await pool.execute(
        f"""
        insert into holdfast.actions
            (tenant, id, conversation, turn, step, index, name, arguments, verdict, state, approval,
             customer, created_at, updated_at)
        values ($1, $2, $3, $4, 2, 0, 'send_money', '{{"n": 1}}', 'allow', $5, $6, $7,
                now() - interval '{proposed or age}', now() - interval '{age}')
        """,
        tenant,
        name,
        conversation,
        turn,
        state,
        approval,
        customer,
    )
    if sent is not None:
        await pool.execute(
            "insert into holdfast.executions (tenant, action, idempotency_key, state, subject) "
            "values ($1, $2, $2, $3, 'customer/ann')",
            tenant,
            name,
            sent,
        )
    return name


async def standing(
    pool: Pool, tenant: str, *, attempt: int = 1, step: int = 1, turn: int = 9
) -> tuple[StandingAction, ...]:
    key = StepAttempt(
        tenant=tenant, conversation="c1", turn=turn, step=step, thread=1, run="r", attempt=attempt
    )
    message = CustomerMessage(message_id=f"m{turn}", customer="ann", text="hello")
    begun = await begin_step(pool, key, subgraph="triage", message=message if step == 1 else None)
    return begun.standing


async def test_a_step_finds_what_stands_and_waits_for_its_customer(pool: Pool, tenant: str) -> None:
    done = await record(pool, tenant, 1, age="300 d")
    await record(pool, tenant, 2, state="denied")
    failed = await record(pool, tenant, 3, state="failed", sent="failed")
    own = await record(pool, tenant, 5, state="failed")
    kept = await record(pool, tenant, 6, sent="not_undone")
    undoing = await record(pool, tenant, 7, sent="undoing")
    waiting = await record(pool, tenant, 4, state="proposed", approval="ap")
    other = await record(pool, tenant, 1, conversation="c2", age="1 h", proposed="3 d")
    await record(pool, tenant, 2, conversation="c2", age="25 h")
    theirs = await record(
        pool, tenant, 3, conversation="c2", state="proposed", approval="ap", age="9 d"
    )
    await record(pool, tenant, 1, conversation="c3", customer="bob")
    found = await standing(pool, tenant)
    seen = {one.id: (past := one.seen()) and past.state for one in found}
    assert seen == {
        done: "executed",
        failed: "unclear",
        own: None,
        kept: "not_undone",
        undoing: "under_way",
        waiting: "waiting",
        other: "executed",
        theirs: "waiting",
    }
    assert {one.title for one in found} == {"Send money"}


async def test_a_step_finds_the_same_on_every_try_and_where_it_goes_on(
    pool: Pool, tenant: str
) -> None:
    done = await record(pool, tenant, 1)
    assert [one.id for one in await standing(pool, tenant)] == [done]
    await record(pool, tenant, 1, conversation="c2")
    assert [one.id for one in await standing(pool, tenant, attempt=2)] == [done]
    assert [one.id for one in await standing(pool, tenant, step=2)] == [done]
    assert len(await standing(pool, tenant, turn=10)) == 2


async def test_only_the_newest_are_found(pool: Pool, tenant: str) -> None:
    for turn in range(1, 15):
        await record(pool, tenant, turn)
    found = await standing(pool, tenant, turn=20)
    assert sorted(one.turn for one in found) == list(range(5, 15))


@pytest.mark.parametrize(
    ("language", "titles", "read"),
    [
        ("de", {"en": "Send it", "de": "Es senden"}, "Es senden"),
        ("fr", {"en": "Send it", "de": "Es senden"}, "Send it"),
        ("de", {"fr": "Envoyer"}, "Send 5 to Bo"),
        ("de", {}, "Send 5 to Bo"),
    ],
)
async def test_the_account_names_actions_in_the_customers_language(
    pool: Pool, tenant: str, language: str, titles: dict[str, str], read: str
) -> None:
    done = await record(pool, tenant, 1)
    waiting = [await record(pool, tenant, turn, state="proposed") for turn in (2, 3)]
    described = ActionDescription(title="Send 5 to Bo", customer_title=titles)
    await pool.execute(
        "update holdfast.actions set description = $2 where tenant = $1",
        tenant,
        described.model_dump(mode="json"),
    )
    await pool.execute(
        "update holdfast.conversations set language = $2 where tenant = $1", tenant, language
    )
    async with pool.acquire() as connection:
        account = await account_of(connection, TurnKey(tenant, "c1", 1))
    assert [(one.id, one.title) for one in account.actions] == [(done, read)]
    assert [(one.id, one.title) for one in account.waiting] == [(one, read) for one in waiting]
