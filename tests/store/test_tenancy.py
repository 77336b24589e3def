"""No function of the store sees or changes anything of another tenant, though all their ids are equal."""

import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest

import holdfast.store
from holdfast import Connection
from holdfast.domain.activity_protocol import EndResult
from holdfast.domain.conversation import TurnResult
from holdfast.domain.errors import LockTaken
from holdfast.domain.events import NewEvent, NewMessageSent, TurnEnded
from holdfast.domain.records import ApprovalFilter
from holdfast.domain.transitions import TakenDecision
from holdfast.domain.words import language_of
from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store import (
    action_history,
    actions,
    approvals,
    attempt_fence,
    audit,
    compensation,
    conversations,
    decisions,
    deliveries,
    events,
    fleet,
    handed_in,
    knowledge,
    llm_calls,
    notices,
    policies,
    statements,
    steps,
    subjects,
    transcript,
    turns,
    windows,
)
from holdfast.store.llm_calls import CallScope
from holdfast.store.pool import Pool, open_pool
from holdfast.store.steps import NewAction, NewMessage, StepCommit
from tests.notifications.notices import payload
from tests.store.twins import (
    ACCEPTED,
    ANSWERED,
    DEAD,
    DONE,
    PENDING,
    REQUEST_ID,
    RUNNING,
    WAITING,
    Twins,
    copy,
    decision,
    open_twins,
    recorded_call,
)

Asked = Callable[[Twins, Connection, str], Awaitable[object]]

_DAYS = timedelta(days=30)
_AT = datetime(2030, 1, 1, tzinfo=UTC)

READS: dict[str, Asked] = {
    "actions.read_actions": lambda t, c, tenant: actions.read_actions(c, t.key(tenant)),
    "actions.lock_action": lambda t, c, tenant: actions.lock_action(
        c, t.key(tenant).turn_key(DONE).step_key(1).action_key(0)
    ),
    "actions.proposal_of": lambda t, c, tenant: actions.proposal_of(
        c, t.key(tenant).turn_key(WAITING).step_key(1)
    ),
    "approvals.read_approval": lambda t, c, tenant: approvals.read_approval(
        c, tenant, t.approval(ACCEPTED)
    ),
    "approvals.list_approvals": lambda t, c, tenant: approvals.list_approvals(
        c, tenant, ApprovalFilter(state=None, conversation=t.conversation)
    ),
    "approvals.lock_approval": lambda t, c, tenant: approvals.lock_approval(
        c, tenant, t.approval(ACCEPTED)
    ),
    "decisions.taken_under": lambda t, c, tenant: _outcome(t, c, tenant),
    "decisions.read_taken": lambda t, c, tenant: decisions.read_taken(
        c, tenant, t.approval(ACCEPTED)
    ),
    "approvals.was_heard": lambda t, c, tenant: _heard(t, c, tenant),
    "decisions.room_for_refusals": lambda t, c, tenant: decisions.room_for_refusals(
        c, t.key(tenant), t.approval(WAITING), genuine=True
    ),
    "decisions.refusal_of": lambda t, c, tenant: decisions.refusal_of(
        c, tenant, decision(t, WAITING), by="desk"
    ),
    "audit.read_audit": lambda t, c, tenant: _said_in_audit(c, tenant),
    "audit.verify_audit": lambda t, c, tenant: _audited(c, tenant),
    "audit.is_seen": lambda t, c, tenant: audit.is_seen(
        c,
        tenant,
        t.approval(WAITING),
        reviewer="theirs-ann" if tenant == t.theirs else "ours-ann",
        digest="d",
    ),
    "audit.receipt_of": lambda t, c, tenant: audit.receipt_of(c, tenant, t.approval(WAITING)),
    "conversations.read_conversation": lambda t, c, tenant: conversations.read_conversation(
        c, t.key(tenant)
    ),
    "conversations.lock_conversation": lambda t, c, tenant: conversations.lock_conversation(
        c, t.key(tenant)
    ),
    "compensation.is_to_be_undone": lambda t, c, tenant: compensation.is_to_be_undone(
        c, tenant, t.action(DONE)
    ),
    "deliveries.state_of": lambda t, c, tenant: deliveries.state_of(c, tenant, DEAD),
    "deliveries.list_deliveries": lambda t, c, tenant: deliveries.list_deliveries(
        c, tenant, state=None, limit=1_000
    ),
    "deliveries.list_revived": lambda t, c, tenant: _revived(t, c, tenant),
    "events.read_events": lambda t, c, tenant: events.read_events(c, t.key(tenant)),
    "fleet.read_proposed": lambda t, c, tenant: fleet.read_proposed(
        c, t.key(tenant).turn_key(WAITING).step_key(1).action_key(0)
    ),
    "handed_in.is_left_to_silence": lambda t, c, tenant: _left_to_silence(t, c, tenant),
    "handed_in.was_passed_over": lambda t, c, tenant: _passed_over(t, c, tenant),
    "knowledge.search": lambda t, c, tenant: knowledge.search(c, tenant, "parcel"),
    "llm_calls.calls_of_thread": lambda t, c, tenant: llm_calls.calls_of_thread(c, t.scope(tenant)),
    "llm_calls.count_calls": lambda t, c, tenant: llm_calls.count_calls(c, t.key(tenant)),
    "notices.last_words": lambda t, c, tenant: notices.last_words(
        c, t.key(tenant).turn_key(RUNNING)
    ),
    "policies.read_policy_text": lambda t, c, tenant: _policy_texts(c, tenant),
    "action_history.account_of": lambda t, c, tenant: action_history.account_of(
        c, t.key(tenant).turn_key(DONE)
    ),
    "action_history.find_equal": lambda t, c, tenant: _equal(t, c, tenant, amount=3),
    "transcript.find_message": lambda t, c, tenant: transcript.find_message(
        c, t.key(tenant), REQUEST_ID
    ),
    "transcript.read_messages": lambda t, c, tenant: transcript.read_messages(c, t.key(tenant)),
    "transcript.read_message": lambda t, c, tenant: transcript.read_message(c, t.key(tenant), 1),
    "turns.find_turn": lambda t, c, tenant: turns.find_turn(c, t.key(tenant), f"m-{ANSWERED}"),
    "windows.sum_of_window": lambda t, c, tenant: windows.sum_of_window(
        c, tenant, amount=["args", "amount"], actions=["add"], within=_DAYS, customer="cust"
    ),
}

WRITES: dict[str, Asked] = {
    "actions.begin_execution": lambda t, c, tenant: actions.begin_execution(
        c, tenant, t.action(ACCEPTED), idempotency_key="key"
    ),
    "actions.take_back_execution": lambda t, c, tenant: _taken_back(t, c, tenant),
    "actions.begin_undoing": lambda t, c, tenant: actions.begin_undoing(c, tenant, t.action(DONE)),
    "actions.take_back_undoing": lambda t, c, tenant: _undoing_taken_back(t, c, tenant),
    "actions.mark_not_undone": lambda t, c, tenant: actions.mark_not_undone(
        c, tenant, t.action(DONE), error="no"
    ),
    "actions.end_execution": lambda t, c, tenant: _executed(t, c, tenant),
    "actions.mark_compensated": lambda t, c, tenant: actions.mark_compensated(
        c, tenant, t.action(DONE)
    ),
    "actions.set_open_actions": lambda t, c, tenant: actions.set_open_actions(
        c, t.key(tenant).turn_key(WAITING).step_key(1), state="rejected", error="no"
    ),
    "actions.replace_action": lambda t, c, tenant: actions.replace_action(
        c, tenant, t.approval(WAITING), _edited()
    ),
    "approvals.save_approval": lambda t, c, tenant: _saved(t, c, tenant),
    "approvals.mark_stale": lambda t, c, tenant: approvals.mark_stale(
        c, tenant, t.approval(ACCEPTED), "new"
    ),
    "decisions.record_taken": lambda t, c, tenant: _taken(t, c, tenant),
    "decisions.record_refused": lambda t, c, tenant: decisions.record_refused(
        c, tenant, decision(t, WAITING, id="d-2"), refusal="no", by="x", at=_AT
    ),
    "approvals.withdraw_orphans": lambda t, c, tenant: approvals.withdraw_orphans(
        c, t.key(tenant), reason="new"
    ),
    "attempt_fence.begin_attempt": lambda t, c, tenant: attempt_fence.begin_attempt(
        c, t.key(tenant), activity="a", attempt=9
    ),
    "attempt_fence.recorded_at": lambda t, c, tenant: attempt_fence.recorded_at(
        c, t.key(tenant), activity="b"
    ),
    "audit.append_audit": lambda t, c, tenant: audit.append_audit(
        c, t.key(tenant), kind="k", subject="s", data={}
    ),
    "audit.append_sighting": lambda t, c, tenant: audit.append_sighting(
        c,
        t.key(tenant),
        approval=t.approval(WAITING),
        reviewer="theirs-ann",
        digest="d",
    ),
    "conversations.open_conversation": lambda t, c, tenant: conversations.open_conversation(
        c, t.key(tenant), customer="cust", message_id=None, language_of=language_of
    ),
    "conversations.set_phase": lambda t, c, tenant: conversations.set_phase(
        c, t.key(tenant), "closed"
    ),
    "conversations.fork_conversation": lambda t, c, tenant: conversations.fork_conversation(
        c, t.key(tenant).turn_key(ANSWERED), "fork"
    ),
    "deliveries.insert_deliveries": lambda t, c, tenant: _delivery(t, c, tenant),
    "deliveries.begin_attempt": lambda t, c, tenant: deliveries.begin_attempt(c, tenant, PENDING),
    "deliveries.record_delivered": lambda t, c, tenant: deliveries.record_delivered(
        c, tenant, PENDING, status=200
    ),
    "deliveries.record_failed": lambda t, c, tenant: deliveries.record_failed(
        c, tenant, PENDING, status=500, error="new", final=True
    ),
    "deliveries.revive": lambda t, c, tenant: deliveries.revive(c, tenant, [DEAD], at_most=1_000),
    "events.append_events": lambda t, c, tenant: events.append_events(
        c, t.key(tenant), [NewEvent(turn=1, data=TurnEnded(status="answered"))]
    ),
    "fleet.note_handed_back": lambda t, c, tenant: fleet.note_handed_back(
        c, t.key(tenant), activity="a", attempt=1, lacking="x"
    ),
    "fleet.taken_up": lambda t, c, tenant: _taken_up(t, c, tenant),
    "handed_in.note_handed_in": lambda t, c, tenant: handed_in.note_handed_in(
        c, t.key(tenant), decision(t, WAITING, id="d-3", roles=("boss",))
    ),
    "knowledge.load_articles": lambda t, c, tenant: knowledge.load_articles(
        c, tenant, "counter", {}
    ),
    "llm_calls.save_call": lambda t, c, tenant: llm_calls.save_call(
        c,
        t.scope(tenant),
        recorded_call("new").model_copy(update={"occurrence": 2}),
        None,
    ),
    "notices.announce_delay": lambda t, c, tenant: notices.announce_delay(
        c, t.key(tenant).turn_key(RUNNING), "new"
    ),
    "policies.keep_policy": lambda t, c, tenant: _policy_kept(t, c, tenant),
    "action_history.end_open_actions": lambda t, c, tenant: action_history.end_open_actions(
        c, t.key(tenant), turn=None, reason="new"
    ),
    "statements.spend": lambda t, c, tenant: statements.spend(c, tenant, "new", by="x"),
    "steps.begin_step": lambda t, c, tenant: steps.begin_step(
        cast(Pool, c), t.attempt(tenant, attempt=2), subgraph="s", message=t.message()
    ),
    "steps.commit_step": lambda t, c, tenant: steps.commit_step(c, t.attempt(tenant), _answer()),
    "steps.save_snapshot": lambda t, c, tenant: steps.save_snapshot(
        cast(Pool, c), t.attempt(tenant), b"new"
    ),
    "transcript.append_message": lambda t, c, tenant: transcript.append_message(
        c, t.key(tenant).turn_key(RUNNING), NewMessage(role="assistant", text="new")
    ),
    "turns.end_lost_turns": lambda t, c, tenant: turns.end_lost_turns(
        c,
        t.key(tenant),
        besides=None,
        held=False,
        to_person=True,
        reason="new",
        language_of=language_of,
    ),
    "turns.end_turn": lambda t, c, tenant: turns.end_turn(
        c,
        t.key(tenant).turn_key(RUNNING),
        status="awaiting_human",
        reason="new",
        message=None,
        language_of=language_of,
    ),
}

_LOCKS = {
    "action_history.lock_repeats",
    "subjects.lock_subjects",
    "subjects.require_no_call",
    "windows.lock_windows",
}


async def _heard(twins: Twins, connection: Connection, tenant: str) -> object:
    approval = await approvals.lock_approval(connection, tenant, twins.approval(WAITING))
    return await approvals.was_heard(connection, tenant, approval, now=approval.expires_at)


async def _left_to_silence(twins: Twins, connection: Connection, tenant: str) -> object:
    await connection.execute(
        """
        update holdfast.approvals set approval = approval || '{"on_expiry": "allow"}'
         where tenant = $1 and id = $2
        """,
        tenant,
        twins.approval(WAITING),
    )
    return await handed_in.is_left_to_silence(
        connection, twins.key(tenant), twins.approval(WAITING)
    )


async def _passed_over(twins: Twins, connection: Connection, tenant: str) -> object:
    said = decision(twins, WAITING, id="d-3", roles=("boss",))
    before = await handed_in.was_passed_over(connection, tenant, said.approval, said.roles)
    await handed_in.note_handed_in(connection, twins.key(tenant), said)
    return before, await handed_in.was_passed_over(connection, tenant, said.approval, said.roles)


async def _equal(twins: Twins, connection: Connection, tenant: str, *, amount: int) -> object:
    return await action_history.find_equal(
        connection,
        twins.key(tenant).turn_key(RUNNING),
        customer="cust",
        name="add",
        arguments={"counter": "theirs" if tenant == twins.theirs else "ours", "amount": amount},
        is_equal=lambda other: False,
        within=_DAYS,
    )


async def _taken_up(twins: Twins, connection: Connection, tenant: str) -> None:
    name = "handed-back"
    for each in (twins.theirs, twins.ours):
        await fleet.note_handed_back(
            connection, twins.key(each), activity=name, attempt=1, lacking="x"
        )
    before = await twins.rows_of(connection, twins.theirs)
    await fleet.taken_up(connection, twins.key(tenant), activity=name)
    assert await twins.rows_of(connection, twins.theirs) == before
    await connection.execute(
        "delete from holdfast.attempts where tenant = $1 and activity = 'handed-back'", twins.theirs
    )


async def _outcome(twins: Twins, connection: Connection, tenant: str) -> object:
    _, taken = await decisions.read_taken(connection, tenant, twins.approval(ACCEPTED))
    return await decisions.taken_under(connection, tenant, taken[0].decision)


async def _revived(twins: Twins, connection: Connection, tenant: str) -> object:
    at = await connection.fetchval(
        "select driven_at from holdfast.deliveries where tenant = $1 and id = $2", tenant, DEAD
    )
    return await deliveries.list_revived(connection, tenant, at=at)


async def _said_in_audit(connection: Connection, tenant: str) -> object:
    return [(one.seq, one.kind, one.data) for one in await audit.read_audit(connection, tenant)]


async def _audited(connection: Connection, tenant: str) -> object:
    report = await audit.verify_audit(connection, tenant)
    return report.entries, report.head


async def _policy_texts(connection: Connection, tenant: str) -> object:
    digests = await connection.fetch(
        "select digest from holdfast.policies where tenant = $1", tenant
    )
    assert digests
    return [await policies.read_policy_text(connection, tenant, row["digest"]) for row in digests]


async def _executed(twins: Twins, connection: Connection, tenant: str) -> None:
    action = twins.action(ACCEPTED)
    for each in (twins.theirs, twins.ours):
        await actions.begin_execution(connection, each, action, idempotency_key="key")
    before = await twins.rows_of(connection, twins.theirs)
    await actions.end_execution(connection, tenant, action, state="executed", result=1, error=None)
    assert await twins.rows_of(connection, twins.theirs) == before
    await connection.execute(
        "delete from holdfast.executions where tenant = $1 and action = $2", twins.theirs, action
    )


async def _taken_back(twins: Twins, connection: Connection, tenant: str) -> None:
    change = "update holdfast.executions set state = $2 where tenant = $1"
    for each in (twins.theirs, twins.ours):
        await connection.execute(change, each, "sending")
    before = await twins.rows_of(connection, twins.theirs)
    await actions.take_back_execution(connection, tenant, twins.action(DONE))
    assert await twins.rows_of(connection, twins.theirs) == before
    await connection.execute(change, twins.theirs, "executed")


async def _undoing_taken_back(twins: Twins, connection: Connection, tenant: str) -> None:
    change = (
        "update holdfast.executions set state = $2, undo_tries = $3, error = $4 where tenant = $1"
    )
    for each in (twins.theirs, twins.ours):
        await connection.execute(change, each, "undoing", 1, "stays")
    before = await twins.rows_of(connection, twins.theirs)
    await actions.take_back_undoing(connection, tenant, twins.action(DONE))
    assert await twins.rows_of(connection, twins.theirs) == before
    await connection.execute(change, twins.theirs, "executed", 0, None)


async def _saved(twins: Twins, connection: Connection, tenant: str) -> object:
    approval = await approvals.lock_approval(connection, tenant, twins.approval(WAITING))
    return await approvals.save_approval(connection, tenant, approval.withdraw())


async def _taken(twins: Twins, connection: Connection, tenant: str) -> None:
    approval = await approvals.lock_approval(connection, tenant, twins.approval(WAITING))
    taken = TakenDecision(decision=decision(twins, WAITING), at=_AT)
    await decisions.record_taken(connection, tenant, taken, approval)


async def _delivery(twins: Twins, connection: Connection, tenant: str) -> None:
    data = payload(approval=twins.approval(WAITING), conversation=twins.conversation)
    new = deliveries.NewDelivery(
        id="dl-new",
        batch="b",
        kind="webhook",
        channel="new",
        recipient=None,
        payload=data,
        patience=_DAYS,
    )
    await deliveries.insert_deliveries(connection, tenant, [new])


async def _policy_kept(twins: Twins, connection: Connection, tenant: str) -> None:
    policy = twins.resources.registry.policy(tenant, "add")
    other = policy.model_copy(update={"digest": "another"})
    await policies.keep_policy(cast(Pool, connection), tenant, other)


def _edited() -> NewAction:
    return NewAction(
        id="act", index=0, name="add", arguments={}, facts={}, verdict="approve", state="proposed"
    )


def _answer() -> StepCommit:
    result = TurnResult(turn=RUNNING, status="answered", reply="new")
    return StepCommit(
        outcome=EndResult(result=result),
        turn_status="answered",
        turn_result=result,
        agent="new",
        summary=steps.Summary(text="new", through=1),
        messages=(NewMessage(role="assistant", text="new"),),
        events=(NewEvent(turn=RUNNING, data=NewMessageSent(role="assistant")),),
    )


@pytest.fixture
async def twins(stack_settings: Settings, tmp_path: Path) -> AsyncIterator[Twins]:
    async with open_twins(stack_settings, tmp_path) as opened:
        yield opened


@pytest.fixture
async def owner(stack_settings: Settings) -> AsyncIterator[Connection]:
    pool = await open_pool(require_migration_url(stack_settings), min_size=0, max_size=1)
    async with pool, pool.acquire() as connection:
        yield connection


class _Undone(Exception):
    """So that a transaction is rolled back."""


async def _in_vain(connection: Connection, work: Callable[[], Awaitable[Any]]) -> Any:
    """What `work` gives, in a transaction that is rolled back."""
    results = []
    try:
        async with connection.transaction():
            results.append(await work())
            raise _Undone
    except _Undone:
        return results[0]


async def test_no_read_finds_another_tenants_rows(twins: Twins, owner: Connection) -> None:
    async def answers(tenant: str) -> dict[str, str]:
        return {
            name: str(await _in_vain(owner, lambda read=read: read(twins, owner, tenant)))  # type: ignore[misc]
            for name, read in READS.items()
        }

    alone = await answers(twins.theirs)
    await copy(twins, owner)
    for name, answer in (await answers(twins.ours)).items():
        expected = alone[name].replace(twins.theirs, twins.ours).replace("theirs", "ours")
        assert answer == expected, name


async def test_no_write_changes_another_tenants_rows(twins: Twins, owner: Connection) -> None:
    await copy(twins, owner)
    theirs, ours = [await twins.rows_of(owner, one) for one in (twins.theirs, twins.ours)]
    for name, write in WRITES.items():

        async def work(write: Asked = write) -> tuple[str, dict[str, str], dict[str, str]]:
            answer = str(await write(twins, owner, twins.ours))
            rows = [await twins.rows_of(owner, one) for one in (twins.theirs, twins.ours)]
            return answer, rows[0], rows[1]

        answer, theirs_then, ours_then = await _in_vain(owner, work)
        assert theirs_then == theirs, name
        assert ours_then != ours, f"{name} changes nothing"
        assert "theirs" not in answer.replace("words of theirs", ""), name


async def test_what_another_tenant_has_heard_or_done_is_not_heard_or_done(
    twins: Twins, owner: Connection
) -> None:
    await copy(twins, owner)

    async def work() -> None:
        ours = twins.ours
        said = decision(twins, WAITING, id="d-3", roles=("boss",))
        await handed_in.note_handed_in(owner, twins.key(twins.theirs), said)
        await owner.execute("set local session_replication_role = replica")
        await owner.execute("delete from holdfast.audit where tenant = $1", ours)
        await owner.execute("delete from holdfast.decisions where tenant = $1", ours)
        await owner.execute("delete from holdfast.actions where tenant = $1", ours)
        assert await _heard(twins, owner, twins.theirs)
        assert not await _heard(twins, owner, ours)
        assert await _left_to_silence(twins, owner, twins.theirs)
        assert not await handed_in.is_left_to_silence(
            owner, twins.key(ours), twins.approval(WAITING)
        )
        assert not await compensation.is_to_be_undone(owner, ours, twins.action(DONE))
        for tenant, passed_over in ((twins.theirs, True), (ours, False)):
            assert passed_over == await handed_in.was_passed_over(
                owner, tenant, said.approval, said.roles
            )

    await _in_vain(owner, work)


@pytest.mark.parametrize(
    "lock", [action_history.lock_repeats, subjects.lock_subjects, windows.lock_windows]
)
async def test_no_lock_is_in_the_way_of_another_tenant(
    stack_settings: Settings, owner: Connection, lock: Callable[..., Awaitable[None]]
) -> None:
    async with (
        asyncpg.create_pool(require_migration_url(stack_settings), min_size=1) as pool,
        owner.transaction(),
        pool.acquire() as other,
        other.transaction(),
    ):
        await lock(owner, "one", ["same"])
        await other.execute("set local lock_timeout = '5s'")
        await lock(other, "another", ["same"])


async def test_no_call_is_in_the_way_of_another_tenant(twins: Twins, owner: Connection) -> None:
    async def work() -> None:
        await actions.begin_execution(
            owner, twins.theirs, twins.action(ACCEPTED), idempotency_key="key", subject="same"
        )
        await owner.execute(
            "update holdfast.actions set state = 'proposed' where tenant = $1", twins.theirs
        )
        with pytest.raises(LockTaken):
            await subjects.require_no_call(owner, twins.theirs, ["same"])
        await subjects.require_no_call(owner, twins.ours, ["same"])

    await _in_vain(owner, work)


def test_every_function_of_a_tenant_is_looked_at() -> None:
    found = set()
    for module in pkgutil.iter_modules(holdfast.store.__path__):
        loaded = importlib.import_module(f"holdfast.store.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.iscoroutinefunction):
            parameters = inspect.signature(function).parameters
            scope = parameters.get("scope")
            of_a_tenant = {"tenant", "key"} & parameters.keys() or (
                scope is not None and scope.annotation is CallScope
            )
            if of_a_tenant and function.__module__ == loaded.__name__ and name[0] != "_":
                found.add(f"{module.name}.{name}")
    assert found == READS.keys() | WRITES.keys() | _LOCKS
