"""An action runs only as policy allows at that moment, and no two on one subject run at once."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from holdfast.domain.errors import NotAllowed, NotApproved
from holdfast.domain.identity import StepKey
from holdfast.domain.ids import json_digest
from holdfast.store.actions import set_open_actions
from holdfast.store.faults import pausing
from tests.activities.bank import BANKS
from tests.activities.desk import Asked, Desk, Opening
from tests.activities.odd import FACTS

SUM = """
name: sums
version: {version}
windows: {{added: {{amount: args.amount, actions: [add], within: 30d}}}}
repeats: {{add: allow}}
actions:
  add: [{{when: windows.added + double(args.amount) > {limit}.0, {over}}}, allow]
"""


def add(amount: int, counter: str = "c") -> tuple[str, dict[str, Any]]:
    return "add", {"counter": counter, "amount": amount}


async def effects(desk: Desk, counter: str = "c") -> list[int]:
    rows = await desk.resources.pool.fetch(
        "select amount from counter.effects where tenant = $1 and counter = $2 order by amount",
        desk.tenant,
        counter,
    )
    return [row["amount"] for row in rows]


def noting(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """What to do at a point of which a test has to know that it was reached."""

    async def note() -> None:
        event.set()

    return note


@pytest.mark.parametrize(
    ("action", "customers"), [("tally", ["cust"]), ("tally_together", ["cust", "other", "third"])]
)
async def test_twenty_executions_at_once_leave_twenty_records(
    opening: Opening, action: str, customers: list[str]
) -> None:
    names = [f"c{number}" for number in range(20)]
    desk = await opening()
    for number, name in enumerate(names, start=1):
        await desk.open(f"{name}-x", customers[number % len(customers)])
    asked = [await desk.propose(f"{name}-x", (action, {"counter": "n"})) for name in names]
    ended = await asyncio.gather(*(desk.execute(one) for one in asked))
    assert ended == [["executed"]] * 20
    assert await effects(desk, "n") == list(range(1, 21))


async def test_no_action_begins_between_another_s_permission_and_its_commit(
    opening: Opening,
) -> None:
    desk = await opening("c1", "c2")
    first, second = [await desk.propose(name, ("tally", {"counter": "n"})) for name in ("c1", "c2")]
    reached: list[str] = []
    found_it_taken = asyncio.Event()

    async def hold() -> None:
        reached.append("permitted")
        if len(reached) == 1:
            await asyncio.wait_for(found_it_taken.wait(), 20)
            assert reached == ["permitted"]

    with pausing("after_permission", hold), pausing("lock_taken", noting(found_it_taken)):
        await asyncio.gather(desk.execute(first), desk.execute(second))
    assert await effects(desk, "n") == [1, 2]


async def test_two_proposals_are_not_counted_at_once_under_one_window(opening: Opening) -> None:
    desk = await opening("c1", "c2", policy=SUM.format(version=1, limit=100, over="deny: true"))
    reached: list[str] = []
    found_it_taken = asyncio.Event()

    async def hold() -> None:
        reached.append("counted")
        if len(reached) == 1:
            await asyncio.wait_for(found_it_taken.wait(), 20)

    async def note() -> None:
        if reached:  # before that it is the customer's lock, which rehearsals take
            found_it_taken.set()

    with pausing("after_counting", hold), pausing("lock_taken", note):
        asked = await asyncio.gather(desk.propose("c1", add(60)), desk.propose("c2", add(60)))
    assert sorted(one.proposed.blocked for one in asked) == [False, True]


async def test_twenty_conversations_cannot_pass_one_window(opening: Opening) -> None:
    names = [f"c{number}" for number in range(20)]
    desk = await opening(*names, policy=SUM.format(version=1, limit=100, over="deny: true"))

    async def one(name: str) -> None:
        asked = await desk.propose(name, add(15), add(15))
        if not asked.proposed.blocked:
            assert await desk.execute(asked) == ["executed", "executed"]

    await asyncio.gather(*(one(name) for name in names))
    assert await effects(desk) == [15] * 6


async def test_a_window_is_counted_again_when_the_action_runs(opening: Opening) -> None:
    over = "approve: {roles: [boss]}"
    desk = await opening("c1", "c2", policy=SUM.format(version=1, limit=100, over=over))
    allowed = await desk.propose("c1", add(60))
    asked = await desk.propose("c2", add(60))
    assert await desk.accept(asked, reviewer="ann", roles=["boss"]) == "accepted"
    assert await desk.execute(asked) == ["executed"]
    assert await desk.execute(allowed) == ["stale"]
    assert "needs an approval now" in str(await desk.states(allowed))
    assert await effects(desk) == [60]


async def test_proposals_that_come_later_do_not_stop_an_earlier_one(opening: Opening) -> None:
    over = "approve: {roles: [boss]}"
    desk = await opening("c1", "c2", policy=SUM.format(version=1, limit=100, over=over))
    first = await desk.propose("c1", add(60), add(30))
    await desk.propose("c2", add(60))
    assert await desk.execute(first) == ["executed", "executed"]


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("deny: true", "stale"),
        ("allow: true", "executed"),
        ("approve: {roles: [boss]}", "executed"),
    ],
)
async def test_a_denial_of_the_policy_in_force_counts_beside_the_version_asked_under(
    opening: Opening, now: str, state: str, tmp_path: Path
) -> None:
    rules = "name: one\nversion: {}\nactions: {{add: {{{}}}}}\n"
    desk = await opening(policy=rules.format(1, "allow: true"))
    asked = await desk.propose("c1", add(1))
    later = await opening("c9", policy=rules.format(2, now))
    assert await later.execute(asked) == [state]


async def test_the_version_that_was_asked_under_is_asked_again(opening: Opening) -> None:
    rules = (
        "name: one\nversion: {}\nactions:\n  add:\n"
        "    - {{when: has(facts.total) && facts.total > {}, deny: true, reason: Too much.}}\n"
        "    - allow\n"
    )
    desk = await opening(policy=rules.format(1, 5))
    asked = await desk.propose("c1", add(1, "watched"))
    await desk.resources.pool.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', 6)",
        desk.tenant,
    )
    later = await opening("c9", policy=rules.format(2, 5_000))
    assert await later.execute(asked) == ["stale"]
    assert "Too much." in str(await later.states(asked))


async def test_facts_that_inform_do_not_bind_and_new_ids_are_the_same(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", ("open_ticket", {"counter": "n"}))
    await desk.accept(asked, reviewer="ann", roles=["counters"])
    assert await desk.execute(asked) == ["executed"]
    facts, result = await desk.resources.pool.fetchrow(  # type: ignore[misc]
        "select facts, result from holdfast.actions where tenant = $1", desk.tenant
    )
    assert facts["ticket"] == result["ticket"]


async def test_facts_cannot_write(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", ("write_facts", {"counter": "n"}))
    assert asked.proposed.blocked
    ((state, error),) = await desk.states(asked)
    assert state == "failed"
    assert "ReadOnlySQLTransactionError" in str(error)
    assert await effects(desk, "n") == []


async def test_a_rehearsal_leaves_nothing_behind(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", ("tally", {"counter": "n"}), ("tally", {"counter": "n"}))
    assert await effects(desk, "n") == []
    assert await desk.execute(asked) == ["executed", "executed"]
    assert await effects(desk, "n") == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        "arguments = arguments || '{\"amount\": 151}'",
        "facts = facts || '{\"amount\": 151}'",
        "description = jsonb_set(description, '{title}', '\"Harmless\"')",
    ],
)
async def test_what_is_changed_in_the_table_after_the_approval_is_not_executed(
    opening: Opening, change: str
) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(150))
    await desk.accept(asked, reviewer="ann", roles=["counters"])
    await desk.resources.pool.execute(
        f"update holdfast.actions set {change} where tenant = $1", desk.tenant
    )
    with pytest.raises(NotApproved, match="something else"):
        await desk.execute(asked, attempts=3)
    assert await effects(desk) == []


async def asked_by_an_earlier_version(desk: Desk, *actions: tuple[str, dict[str, Any]]) -> Asked:
    """A proposal whose digest covers names and arguments, and the facts of all its actions are those before
    any ran; nothing says which policy judged it, nor what was described."""
    asked = await desk.propose("c1", *actions)
    before = json_digest([{"name": name, "arguments": given} for name, given in actions])
    await desk.resources.pool.execute(
        "update holdfast.actions set facts = facts || '{\"total\": 0}', policy_digest = null,"
        " description = null where tenant = $1",
        desk.tenant,
    )
    await desk.resources.pool.execute(
        """
        update holdfast.approvals
           set asked = asked - 'covers' || jsonb_build_object('args_digest', $2::text),
               approval = approval - 'covers' || jsonb_build_object('args_digest', $2::text),
               args_digest = $2
         where tenant = $1
        """,
        desk.tenant,
        before,
    )
    assert await desk.accept(asked, reviewer="ann", roles=["counters"]) == "accepted"
    return asked


async def test_an_approval_of_an_earlier_version_runs_all_its_actions(opening: Opening) -> None:
    desk = await opening()
    asked = await asked_by_an_earlier_version(desk, add(150, "watched"), add(160, "watched"))
    assert await desk.execute(asked) == ["executed", "executed"]


async def test_an_approval_of_an_earlier_version_is_stale_once_its_facts_have_changed(
    opening: Opening,
) -> None:
    desk = await opening()
    asked = await asked_by_an_earlier_version(desk, add(150, "watched"))
    await desk.resources.pool.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', 6)",
        desk.tenant,
    )
    assert await desk.execute(asked) == ["stale"]
    assert "total was 0 and is now 6" in str(await desk.states(asked))


async def test_another_amount_than_the_one_that_was_shown_is_stale(opening: Opening) -> None:
    desk = await opening()
    asked = await asked_by_an_earlier_version(desk, add(150, "watched"))
    shown = {"title": "Pay", "amount": "5.00", "currency": "USD"}
    await desk.resources.pool.execute(
        "update holdfast.actions set description = $2 where tenant = $1", desk.tenant, shown
    )
    assert await desk.execute(asked) == ["stale"]
    assert "the amount was 5.00 USD and is now none." in str(await desk.states(asked))


async def transferring(
    opening: Opening, *, shown_as: str, policy: str = "approve: {roles: [boss]}"
) -> tuple[Desk, Asked]:
    """A transfer to account 111 that was let through, and whose account is another one since."""
    desk = await opening(
        packages=("tests.counter:package", "tests.activities.odd:package"),
        policy=f"name: odd\nversion: 1\nactions: {{transfer: {{{policy}}}}}\n",
    )
    await leads_to(desk, 111)
    asked = await desk.propose("c1", ("transfer", {"shown_as": shown_as}))
    if asked.proposed.approval is not None:
        assert await desk.accept(asked, reviewer="ann", roles=["boss"]) == "accepted"
    await leads_to(desk, 999)
    return desk, asked


async def leads_to(desk: Desk, account: int) -> None:
    await desk.resources.pool.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'destination', $2)",
        desk.tenant,
        account,
    )


@pytest.mark.parametrize("part", ["title", "details", "changes", "customer_title"])
async def test_another_description_than_the_one_that_was_shown_is_stale(
    opening: Opening, part: str
) -> None:
    desk, asked = await transferring(opening, shown_as=part)
    assert await desk.execute(asked) == ["stale"]
    ((_, error),) = await desk.states(asked)
    assert error == (
        "This has changed since it was approved: what reviewers read as its "
        f"{part.replace('_', ' ')}."
    )


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("amount", "was 111 EUR and is now 999 EUR"),
        ("currency", "was 10 EUR and is now 10 USD"),
    ],
)
async def test_other_money_than_what_was_shown_is_stale(
    opening: Opening, part: str, change: str
) -> None:
    desk, asked = await transferring(opening, shown_as=part)
    assert await desk.execute(asked) == ["stale"]
    assert f"the amount {change}." in str(await desk.states(asked))


async def test_what_reviewers_were_not_shown_binds_nobody(opening: Opening) -> None:
    desk, asked = await transferring(opening, shown_as="nothing")
    assert await desk.execute(asked) == ["executed"]


async def test_a_description_that_nobody_was_shown_binds_nobody(opening: Opening) -> None:
    desk, asked = await transferring(opening, shown_as="title", policy="allow: true")
    assert await desk.execute(asked) == ["executed"]


async def test_facts_of_any_size_are_stale_in_few_words(opening: Opening) -> None:
    desk = await opening()
    asked = await asked_by_an_earlier_version(desk, add(150, "watched"))
    facts = {f"fact {number}\n": "x" * 9_000 for number in range(99)}
    await desk.resources.pool.execute(
        "update holdfast.actions set facts = facts || $2 where tenant = $1", desk.tenant, facts
    )
    assert await desk.execute(asked) == ["stale"]
    ((_, error),) = await desk.states(asked)
    assert error is not None
    assert "fact 0 was xxx" in error
    assert error.endswith("… and is now not there, and 89 more.")
    assert len(error) < 3_000


async def test_an_approval_by_fewer_people_than_are_needed_by_now_is_not_enough(
    opening: Opening,
) -> None:
    rules = (
        "name: sums\nversion: 1\nrepeats: {add: allow}\n"
        "windows: {added: {amount: args.amount, actions: [add], within: 30d}}\n"
        "actions:\n  add:\n"
        "    - {when: windows.added > 50.0, approve: {roles: [boss], quorum: 2}}\n"
        "    - {approve: {roles: [boss]}}\n"
    )
    desk = await opening("c1", "c2", policy=rules)
    first, second = [await desk.propose(name, add(60)) for name in ("c1", "c2")]
    assert await desk.accept(first, reviewer="ann", roles=["boss"]) == "accepted"
    assert await desk.accept(second, reviewer="ann", roles=["boss"]) == "pending"
    assert await desk.accept(second, reviewer="bob", roles=["boss"]) == "accepted"
    assert await desk.execute(second) == ["executed"]
    assert await desk.execute(first) == ["stale"]
    assert "needs an approval now" in str(await desk.states(first))


async def test_what_was_asked_under_a_policy_that_nobody_has_kept_is_judged_by_the_one_in_force(
    opening: Opening,
) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(1))
    await desk.resources.pool.execute(
        "update holdfast.actions set policy_digest = 'unknown' where tenant = $1", desk.tenant
    )
    assert await desk.execute(asked) == ["executed"]


async def test_a_comment_whose_key_is_gone_stops_nothing(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(150))
    await desk.decide(asked, "comment", reviewer="eve", roles=["counters"], text="Look twice.")
    await desk.accept(asked, reviewer="ann", roles=["counters"])
    await desk.resources.pool.execute(
        "update holdfast.decisions set statement = 'gone' where tenant = $1 and reviewer = 'eve'",
        desk.tenant,
    )
    assert await desk.execute(asked) == ["executed"]


async def test_a_forged_acceptance_is_not_executed(opening: Opening) -> None:
    """The row of the approval says accepted, the decision is there, and nobody has signed it."""
    desk = await opening()
    asked = await desk.propose("c1", add(150))
    await desk.accept(asked, reviewer="ann", roles=["counters"])
    await desk.resources.pool.execute(
        "update holdfast.decisions set reviewer = 'bob', roles = '[\"counters\"]' where tenant = $1",
        desk.tenant,
    )
    with pytest.raises(Exception, match="statement"):
        await desk.execute(asked, attempts=3)
    assert await effects(desk) == []


FREELY = "name: freely\nversion: 1\nactions: {pay_from: allow}\n"


def pay_from(account: str, amount: float) -> tuple[str, dict[str, Any]]:
    return "pay_from", {"account": account, "amount": amount}


async def test_an_action_does_not_begin_before_those_in_front_of_it_are_executed(
    opening: Opening, tenant: str
) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(150), add(160))
    assert await desk.accept(asked, reviewer="ann", roles=["counters"]) == "accepted"
    with pytest.raises(ApplicationError, match="which is proposed") as told:
        await desk.execute_one(asked, 1)
    assert (told.value.type, told.value.non_retryable) == (NotAllowed.code, True)
    with pytest.raises(ApplicationError, match="comes after"):
        await desk.give_up(asked, RuntimeError(), 1)
    assert await effects(desk) == []
    assert await desk.execute(asked) == ["executed", "executed"]


async def test_what_is_under_way_is_ended_by_nothing_that_comes_after_it(
    opening: Opening, tenant: str
) -> None:
    desk = await opening(policy=FREELY)
    asked = await desk.propose("c1", pay_from("a", 5), pay_from("b", 13), pay_from("c", 1))
    bank = BANKS[tenant]

    async def meanwhile() -> None:
        bank.does = None
        for index in (1, 2):
            with pytest.raises(ApplicationError, match="comes after"):
                await desk.execute_one(asked, index)

    bank.does = meanwhile
    assert await desk.execute(asked) == ["executed", "refused"]
    assert [state for state, _ in await desk.states(asked)] == [
        "executed",
        "refused",
        "not_attempted",
    ]
    assert bank.paid == 5


async def test_what_was_begun_is_not_ended_as_if_it_had_not_been(
    opening: Opening, tenant: str
) -> None:
    """Whatever has let a later action of the proposal end first."""
    desk = await opening(policy=FREELY)
    asked = await desk.propose("c1", pay_from("a", 5), pay_from("b", 13))

    async def meanwhile() -> None:
        async with desk.resources.pool.acquire() as connection:
            await set_open_actions(
                connection, StepKey(tenant, "c1", 1, 1), state="not_attempted", error="Too late."
            )

    BANKS[tenant].does = meanwhile
    assert (await desk.execute_one(asked)).state == "executed"
    assert [state for state, _ in await desk.states(asked)] == ["executed", "not_attempted"]


async def kept_silent_about(desk: Desk) -> None:
    """Let the time of what waits be over, ten seconds after it was asked for."""
    await desk.resources.pool.execute(
        """
        update holdfast.approvals
           set state = 'accepted',
               asked = asked || jsonb_build_object('requested_at', now() - interval '10 s',
                                                   'expires_at', now())
         where tenant = $1 and state = 'pending'
        """,
        desk.tenant,
    )


@pytest.mark.parametrize(
    ("over", "state"),
    [
        ("on_expiry: deny", "stale"),
        ("on_expiry: person", "stale"),
        ("expire_after: 72h, on_expiry: allow", "stale"),
        ("expire_after: 9s, on_expiry: allow", "executed"),
    ],
)
async def test_silence_counts_only_for_rules_that_take_as_much_of_it_for_consent(
    opening: Opening, over: str, state: str
) -> None:
    rules = (
        "name: sums\nversion: 1\nrepeats: {{add: allow}}\n"
        "windows: {{added: {{amount: args.amount, actions: [add], within: 30d}}}}\n"
        "actions:\n  add:\n"
        "    - {{when: windows.added + double(args.amount) > 100.0,"
        " approve: {{roles: [boss], {}}}}}\n"
        "    - {{approve: {{roles: [boss], expire_after: 10s, on_expiry: allow}}}}\n"
    )
    desk = await opening("c1", "c2", policy=rules.format(over))
    first, second = [await desk.propose(name, add(60)) for name in ("c1", "c2")]
    assert await desk.accept(second, reviewer="ann", roles=["boss"]) == "accepted"
    assert await desk.execute(second) == ["executed"]
    await kept_silent_about(desk)
    assert await desk.execute(first) == [state]
    assert ("needs an approval now" in str(await desk.states(first))) == (state == "stale")


async def test_silence_counts_for_the_rule_that_it_was_asked_for_under(opening: Opening) -> None:
    desk = await opening(
        policy="name: one\nversion: 1\nactions:\n"
        "  add: {approve: {roles: [boss], expire_after: 72h, on_expiry: allow}}\n"
    )
    asked = await desk.propose("c1", add(1))
    await kept_silent_about(desk)
    assert await desk.execute(asked) == ["executed"]


HALF = """
name: half
version: 1
actions:
  refund:
    - {when: (facts.refunded + facts.amount) / facts.paid > 0.5, deny: true}
    - {when: facts.amount * 1.2 > 100.0, approve: {roles: [desk]}}
    - allow
"""


@pytest.mark.parametrize("kind", [int, float])
async def test_a_rule_holds_at_the_execution_as_it_did_for_the_proposal(
    opening: Opening, kind: type[float]
) -> None:
    desk = await opening("c1", "c2", policy=HALF, packages=("tests.activities.odd:plain",))
    facts = FACTS[desk.tenant]
    facts |= {"refunded": 0.0, "paid": 90.0}
    first, second = [
        await desk.propose(name, ("refund", {"amount": amount}))
        for name, amount in (("c1", "40.00"), ("c2", "41.00"))
    ]
    facts |= {"refunded": kind(0), "paid": kind(90)}
    assert await desk.execute(first) == ["executed"]
    facts |= {"refunded": kind(40)}
    assert await desk.execute(second) == ["stale"]


@pytest.mark.parametrize("amount", ["150.50", "150.00"])
async def test_what_was_accepted_is_executed_whether_it_is_a_whole_number_or_not(
    opening: Opening, amount: str
) -> None:
    desk = await opening(policy=HALF, packages=("tests.activities.odd:plain",))
    FACTS[desk.tenant] |= {"refunded": 0, "paid": 5000.0}
    asked = await desk.propose("c1", ("refund", {"amount": amount}))
    assert await desk.accept(asked, reviewer="r", roles=["desk"]) == "accepted"
    FACTS[desk.tenant] |= {"refunded": 0.0, "paid": 5000}
    assert await desk.execute(asked) == ["executed"]


async def test_what_has_changed_is_told_in_one_spelling(opening: Opening) -> None:
    desk = await opening(policy=HALF, packages=("tests.activities.odd:plain",))
    FACTS[desk.tenant] |= {"refunded": 0, "paid": 5000.0}
    asked = await desk.propose("c1", ("refund", {"amount": "150"}))
    await desk.accept(asked, reviewer="r", roles=["desk"])
    FACTS[desk.tenant] |= {"paid": 400.0, "refunded": 0.0, "fee": {"of": 2.0}}
    assert await desk.execute(asked) == ["stale"]
    ((_, told),) = await desk.states(asked)
    assert told == (
        'This has changed since it was approved: fee was not there and is now {"of":2}, '
        "paid was 5000 and is now 400."
    )
