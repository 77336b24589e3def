"""How an action ends is in its record, in an event and in the audit, once; and what may not run does not."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from httpx2 import HTTPStatusError

from holdfast.domain.errors import NotApproved
from holdfast.domain.identity import TurnKey
from holdfast.store.action_history import account_of
from holdfast.store.faults import pausing
from holdfast.store.subjects import lock_subjects
from holdfast.testing import eventually
from tests.activities.desk import Desk, Opening
from tests.activities.test_remote_actions import OtherSystem, other_system

ASKING = "name: one\nversion: 1\nactions: {add: {approve: {roles: [boss]}}}\n"


SENDING = "name: one\nversion: 1\nrepeats: {call: allow}\nactions: {call: allow, note: allow, unsettle: allow}\n"


def call(system: OtherSystem) -> tuple[str, dict[str, Any]]:
    return "call", {"url": system.url}


def add(amount: int, counter: str = "c") -> tuple[str, dict[str, Any]]:
    return "add", {"counter": counter, "amount": amount}


async def effects(desk: Desk) -> list[int]:
    rows = await desk.resources.pool.fetch(
        "select amount from counter.effects where tenant = $1 order by amount", desk.tenant
    )
    return [row["amount"] for row in rows]


async def told(desk: Desk) -> list[tuple[str, str | None, str | None]]:
    """The events about actions and approvals, with the state and the reason that they say."""
    rows = await desk.resources.pool.fetch(
        "select type, data from holdfast.events where tenant = $1"
        " and (type like 'action\\_%' or type = 'approval_stale')"
        " order by seq",
        desk.tenant,
    )
    return [
        (
            row["type"],
            row["data"].get("state"),
            row["data"].get("error") or row["data"].get("reason"),
        )
        for row in rows
    ]


async def audited(desk: Desk) -> list[tuple[str, Any]]:
    """The entries of the audit about actions and stale approvals."""
    rows = await desk.resources.pool.fetch(
        "select kind, data from holdfast.audit where tenant = $1"
        " and (kind like 'action\\_%' or kind = 'approval_stale') order by seq",
        desk.tenant,
    )
    return [(row["kind"], row["data"]) for row in rows]


async def test_an_executed_action_is_told_and_audited_once(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(5))
    for _ in range(2):
        assert await desk.execute(asked) == ["executed"]
    assert await effects(desk) == [5]
    assert await desk.states(asked) == [("executed", None)]
    (execution,) = await desk.resources.pool.fetch(
        "select action, idempotency_key, state from holdfast.executions where tenant = $1",
        desk.tenant,
    )
    assert execution["idempotency_key"] == execution["action"]
    assert execution["state"] == "executed"
    assert await told(desk) == [("action_executed", "executed", None)]
    assert await audited(desk) == [
        (
            "action_executed",
            {"name": "add", "arguments": {"counter": "c", "amount": 5}, "approval": None},
        )
    ]


async def test_what_follows_a_refused_action_is_not_attempted_and_what_came_before_is_undone(
    opening: Opening,
) -> None:
    desk = await opening()
    async with other_system(409) as system:
        asked = await desk.propose("c1", add(5), ("send", {"url": system.url}), add(6))
        assert await desk.execute(asked) == ["executed", "refused"]
    refusal = "the other system refused"
    assert await desk.states(asked) == [
        ("compensated", None),
        ("refused", refusal),
        ("not_attempted", "An earlier action of the same proposal did not succeed."),
    ]
    assert await effects(desk) == []
    assert [(await desk.undo(asked, index)).state for index in (0, 2)] == [
        "compensated",
        "not_attempted",
    ]
    assert await told(desk) == [
        ("action_executed", "executed", None),
        ("action_not_executed", "refused", refusal),
        ("action_compensated", "compensated", None),
    ]
    assert [kind for kind, _ in await audited(desk)] == [
        "action_executed",
        "action_refused",
        "action_compensated",
    ]


async def test_what_fails_at_another_system_may_have_been_done(
    opening: Opening,
) -> None:
    desk = await opening()
    async with other_system(500) as system:
        asked = await desk.propose("c1", ("send", {"url": system.url}), add(6))
        assert await desk.execute(asked) == ["failed"]
        assert (await desk.execute_one(asked)).state == "failed"
        assert len(system.keys) == 1
    (state, error), (later, _) = await desk.states(asked)
    assert (state, later) == ("failed", "not_attempted")
    assert "500" in str(error)
    assert str(error).endswith("; its outcome is unknown")
    assert await told(desk) == [("action_not_executed", "failed", error)]
    ((kind, data),) = await audited(desk)
    assert (kind, data["error"]) == ("action_failed", error)


async def test_a_call_of_two_attempts_at_once_is_recorded_once(opening: Opening) -> None:
    desk = await opening()
    called: list[str] = []

    async def both_have_called() -> bool:
        return len(called) == 2

    async def hold() -> None:
        called.append("called")
        await eventually(both_have_called, what="the other attempt")

    async with other_system(200) as system:
        asked = await desk.propose("c1", ("send", {"url": system.url}))
        with pausing("before_action_commit", hold):
            ended = await asyncio.gather(desk.execute_one(asked), desk.execute_one(asked))
        assert len(set(system.keys)) == 1
    assert [one.state for one in ended] == ["executed", "executed"]
    assert await told(desk) == [("action_executed", "executed", None)]


async def test_a_call_to_another_system_is_taken_back_where_it_can_be(opening: Opening) -> None:
    desk = await opening(policy=SENDING, packages=("tests.activities.sending:package",))
    async with other_system(200) as first, other_system(409) as second:
        asked = await desk.propose(
            "c1", ("call", {"url": first.url}), ("call", {"url": second.url})
        )
        assert await desk.execute(asked) == ["executed", "refused"]
        assert (len(first.keys), len(second.keys)) == (2, 1)
    assert [state for state, _ in await desk.states(asked)] == ["compensated", "refused"]


async def test_of_what_another_system_was_asked_to_take_back_nobody_knows_whether_it_was(
    opening: Opening,
) -> None:
    desk = await opening(policy=SENDING, packages=("tests.activities.sending:package",))
    async with other_system(200, 500) as first, other_system(409, 200) as second:
        asked = await desk.propose("c1", call(first), call(second))
        assert await desk.execute(asked) == ["executed", "refused"]
        assert (len(first.keys), len(set(first.keys))) == (2, 1)
        (state, error), _ = await desk.states(asked)
        assert state == "failed"
        assert str(error).startswith("It should have been undone, and may have been: ")
        assert str(error).endswith("; its outcome is unknown")
        assert (await told(desk))[-1] == ("action_not_executed", "failed", error)
        assert [kind for kind, _ in await audited(desk)] == [
            "action_executed",
            "action_refused",
            "action_failed",
        ]
        assert (await desk.undo(asked)).state == "failed"
        assert len(first.keys) == 2
        await desk.open("c2")
        later = await desk.propose("c2", call(second))  # its subject is held no longer
        assert await desk.execute(later) == ["executed"]


@pytest.mark.parametrize("answers", [(200, 409), (200,)], ids=["refused", "not reached"])
async def test_what_another_system_does_not_take_back_stands(
    opening: Opening, answers: tuple[int, ...]
) -> None:
    desk = await opening(policy=SENDING, packages=("tests.activities.sending:package",))
    async with other_system(409) as second:
        async with other_system(*answers) as first:
            asked = await desk.propose("c1", call(first), call(second))
            assert (await desk.execute_one(asked, 0)).state == "executed"
            assert (await desk.execute_one(asked, 1)).state == "refused"
            if answers == (200, 409):
                assert (await desk.undo(asked)).state == "executed"
        if answers == (200,):
            assert (await desk.undo(asked)).state == "executed"
    (state, error), _ = await desk.states(asked)
    assert state == "executed"
    assert str(error).startswith("It should have been undone, and could not be: ")
    assert "unknown" not in str(error)
    assert (await told(desk))[-1] == ("action_not_undone", "not_undone", error)
    assert (await audited(desk))[-1][0] == "action_not_undone"
    assert await desk.executions() == ["not_undone", "refused"]


async def test_what_fails_to_be_undone_in_one_s_own_database_stands(opening: Opening) -> None:
    desk = await opening(policy=SENDING, packages=("tests.activities.sending:package",))
    async with other_system(409) as system:
        asked = await desk.propose("c1", ("note", {}), call(system))
        assert await desk.execute(asked) == ["executed", "refused"]
    (state, error), _ = await desk.states(asked)
    assert (state, error) == (
        "executed",
        "It should have been undone, and could not be: RuntimeError",
    )
    assert (await told(desk))[-1] == ("action_not_undone", "not_undone", error)
    async with desk.resources.pool.acquire() as connection:
        account = await account_of(connection, TurnKey(desk.tenant, "c1", asked.turn))
    assert [one.came_to for one in account.actions] == ["not_undone", None]
    assert account.half_done


@pytest.mark.parametrize(
    ("digits", "state", "why"),
    [
        (18, "executed", None),
        (0, "failed", "Unstorable: NaN and infinities are no numbers of JSON"),
        (20, "failed", "Unstorable: an integer does not fit 64 bits; give it as a text"),
    ],
)
async def test_a_result_that_a_graph_cannot_hold_fails_before_the_commit(
    opening: Opening, digits: int, state: str, why: str | None
) -> None:
    policy = SENDING.replace("note: allow", "number: allow")
    desk = await opening(policy=policy, packages=("tests.activities.sending:package",))
    asked = await desk.propose("c1", ("number", {"digits": digits}))
    assert await desk.execute(asked) == [state]
    assert await desk.states(asked) == [(state, why)]


async def test_an_action_that_changes_its_session_changes_nobody_else_s(opening: Opening) -> None:
    desk = await opening(policy=SENDING, packages=("tests.activities.sending:package",))
    asked = await desk.propose("c1", ("unsettle", {}))
    assert await desk.execute(asked) == ["executed"]
    pool = desk.resources.pool
    async with AsyncExitStack() as exits:
        for _ in range(pool.get_size()):
            connection = await exits.enter_async_context(pool.acquire())
            assert await connection.fetchval("show search_path") == '"$user", public'
            assert await connection.fetchval("select to_regclass('pg_temp.notes')") is None


async def test_a_refusal_after_a_call_without_an_answer_says_nothing_of_that_call(
    opening: Opening,
) -> None:
    desk = await opening(policy=SENDING, packages=("tests.activities.sending:package",))
    async with other_system(500, 409) as system:
        asked = await desk.propose("c1", call(system))
        with pytest.raises(HTTPStatusError):
            await desk.execute(asked, attempts=2)
        assert await desk.execute(asked, attempts=2) == ["failed"]
    ((_, error),) = await desk.states(asked)
    assert error == "the other system refused; its outcome is unknown"
    assert await told(desk) == [("action_not_executed", "failed", error)]


async def test_of_what_was_never_sent_it_is_known_that_it_was_not_done(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", ("send", {"url": "http://127.0.0.1:9"}))
    assert (await desk.give_up(asked, TimeoutError("no answer"))).state == "not_attempted"
    ((_, error),) = await desk.states(asked)
    assert str(error).endswith("; nothing was done")
    own = await desk.propose("c1", add(5))
    assert (await desk.give_up(own, TimeoutError("no answer"))).state == "failed"
    ((_, error),) = await desk.states(own)
    assert "unknown" not in str(error)
    assert await desk.executions() == ["failed"]


async def test_another_system_that_has_answered_is_not_called_again(opening: Opening) -> None:
    desk = await opening()
    async with other_system(200) as system:
        asked = await desk.propose("c1", ("send", {"url": system.url}))
        for _ in range(2):
            assert await desk.execute(asked) == ["executed"]
        assert len(system.keys) == 1
    assert await told(desk) == [("action_executed", "executed", None)]


async def test_what_has_been_executed_is_not_given_up(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(5))
    assert await desk.execute(asked) == ["executed"]
    assert (await desk.give_up(asked, RuntimeError("too late"))).state == "executed"
    assert await desk.states(asked) == [("executed", None)]
    assert await told(desk) == [("action_executed", "executed", None)]


async def test_what_is_executed_stands_while_nothing_of_its_proposal_has_failed(
    opening: Opening,
) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(5))
    assert await desk.execute(asked) == ["executed"]
    assert (await desk.undo(asked)).state == "executed"
    assert await effects(desk) == [5]
    assert await desk.states(asked) == [("executed", None)]
    assert await told(desk) == [("action_executed", "executed", None)]
    assert [kind for kind, _ in await audited(desk)] == ["action_executed"]


async def test_an_action_without_a_way_back_stands(opening: Opening) -> None:
    desk = await opening()
    async with other_system(409) as system:
        gone = ("add_for_good", {"counter": "c", "amount": 7})
        asked = await desk.propose("c1", gone, ("send", {"url": system.url}))
        assert await desk.execute(asked) == ["executed", "refused"]
    assert (await desk.undo(asked)).state == "executed"
    assert await effects(desk) == [7]
    assert [one[0] for one in await told(desk)] == ["action_executed", "action_not_executed"]


async def test_an_action_is_undone_while_no_other_one_on_its_subject_runs(opening: Opening) -> None:
    desk = await opening()
    async with other_system(409) as system:
        asked = await desk.propose("c1", add(5), ("send", {"url": system.url}))
        assert [(await desk.execute_one(asked, index)).state for index in (0, 1)] == [
            "executed",
            "refused",
        ]
    free = False
    found_it_taken = asyncio.Event()

    async def note() -> None:
        found_it_taken.set()

    async def undone() -> None:
        assert (await desk.undo(asked)).state == "compensated"
        assert free

    with pausing("lock_taken", note):
        async with desk.resources.pool.acquire() as connection, connection.transaction():
            await lock_subjects(connection, desk.tenant, ["customer/cust"])
            undoing = asyncio.create_task(undone())
            await asyncio.wait_for(found_it_taken.wait(), 20)
            free = True
        await undoing
    assert await effects(desk) == []


async def test_what_policy_no_longer_allows_is_stale_with_the_rest_of_its_proposal(
    opening: Opening,
) -> None:
    rules = "name: one\nversion: {}\nactions: {{add: {}}}\n"
    desk = await opening(policy=rules.format(1, "allow"))
    asked = await desk.propose("c1", add(5), add(6))
    later = await opening("c9", policy=rules.format(2, "{deny: true, reason: Closed.}"))
    assert await later.execute(asked) == ["stale"]
    reason = "This is not allowed any more: Closed."
    assert await later.states(asked) == [("stale", reason)] * 2
    assert await told(later) == [("action_not_executed", "stale", reason)]
    ((kind, data),) = await audited(later)
    assert (kind, data["error"]) == ("action_stale", reason)
    assert await effects(desk) == []


async def test_an_approval_goes_stale_with_its_actions(opening: Opening) -> None:
    desk = await opening(policy=ASKING)
    asked = await desk.propose("c1", add(5, "watched"), add(6, "watched"))
    assert await desk.accept(asked, reviewer="ann", roles=["boss"]) == "accepted"
    await desk.resources.pool.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', 9)",
        desk.tenant,
    )
    assert await desk.execute(asked) == ["stale"]
    reason = "This has changed since it was approved: total was 0 and is now 9."
    assert await desk.states(asked) == [("stale", reason)] * 2
    assert asked.proposed.approval is not None
    approval = asked.proposed.approval.id
    state, recorded = await desk.resources.pool.fetchrow(  # type: ignore[misc]
        "select state, stale_reason from holdfast.approvals where tenant = $1", desk.tenant
    )
    assert (state, recorded) == ("stale", reason)
    assert await told(desk) == [("approval_stale", None, reason)]
    assert await audited(desk) == [("approval_stale", {"approval": approval, "reason": reason})]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (None, "is pending"),
        ("update holdfast.approvals set state = 'withdrawn'", "recorded: withdrawn"),
        ("update holdfast.approvals set state = 'accepted'", "is pending .recorded: accepted"),
        ("update holdfast.actions set approval = null", "needs an approval and has none"),
    ],
)
async def test_what_has_no_approval_is_not_executed(
    opening: Opening, change: str | None, problem: str
) -> None:
    desk = await opening(policy=ASKING)
    asked = await desk.propose("c1", add(5))
    if problem == "recorded: withdrawn":
        await desk.accept(asked, reviewer="ann", roles=["boss"])
    if change is not None:
        await desk.resources.pool.execute(f"{change} where tenant = $1", desk.tenant)
    with pytest.raises(NotApproved, match=problem):
        await desk.execute(asked, attempts=3)
    assert await effects(desk) == []


async def test_what_policy_allows_waits_for_the_approval_of_the_rest_of_its_proposal(
    opening: Opening,
) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(5), add(150))
    with pytest.raises(NotApproved, match="is pending"):
        await desk.execute(asked, attempts=3)
    assert await effects(desk) == []
    assert await desk.accept(asked, reviewer="ann", roles=["counters"]) == "accepted"
    assert await desk.execute(asked) == ["executed", "executed"]


async def test_an_action_that_nobody_proposed_is_not_found(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(5))
    with pytest.raises(LookupError, match="proposed no action 1"):
        await desk.execute_one(asked, 1)


async def test_an_action_is_executed_and_undone_by_a_worker_that_has_it(opening: Opening) -> None:
    desk = await opening()
    await desk.resources.fleet.join()
    other = await opening("c9", packages=("holdfast_shop:package",))
    await other.resources.fleet.join()
    async with other_system(409) as system:
        asked = await desk.propose("c1", add(5), ("send", {"url": system.url}))
        assert (await other.execute_one(asked)).elsewhere == "counter"
        assert [(await desk.execute_one(asked, index)).state for index in (0, 1)] == [
            "executed",
            "refused",
        ]
    assert (await other.undo(asked)).elsewhere == "counter"
    assert await effects(desk) == [5]
    assert (await desk.undo(asked)).state == "compensated"
    assert await effects(desk) == []
