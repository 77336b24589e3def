"""What a window counts: what was executed, from then on; what may have been; what still may be."""

from typing import Any

import pytest

from tests.activities.bank import BANKS
from tests.activities.desk import Asked, Desk, Opening

POLICY = """
name: limits
version: 1
windows:
  day: {amount: args.amount, actions: [add, pay], within: 24h}
  everybody: {amount: args.amount, actions: [pay_from], within: 24h, per: tenant}
actions:
  add:
    - {when: windows.day + double(args.amount) > 1000.0, deny: true, reason: No more today.}
    - {when: args.amount == 600, approve: {roles: [boss], expire_after: 720h}}
    - allow
  pay: [{when: windows.day + double(args.amount) > 1000.0, deny: true}, allow]
  pay_from: [{when: windows.everybody + double(args.amount) > 1000.0, deny: true}, allow]
repeats: {add: allow, pay: allow, pay_from: allow}
"""


def add(amount: int) -> tuple[str, dict[str, Any]]:
    return "add", {"counter": "c", "amount": amount}


def pay(amount: float) -> tuple[str, dict[str, Any]]:
    return "pay", {"amount": amount}


async def age(desk: Desk, *columns: str) -> None:
    """Let these times of all the tenant's actions be two days ago."""
    for column in columns:
        await desk.resources.pool.execute(
            f"update holdfast.actions set {column} = {column} - interval '2 days' where tenant = $1",
            desk.tenant,
        )


async def denied(desk: Desk, *actions: tuple[str, dict[str, Any]]) -> bool:
    asked = await desk.propose("c2", *actions)
    return asked.proposed.blocked


async def approved(desk: Desk, asked: Asked) -> None:
    assert await desk.accept(asked, reviewer="ann", roles=["boss"]) == "accepted"


async def test_what_waits_counts_however_long_it_waits(opening: Opening) -> None:
    desk = await opening("c1", "c2", policy=POLICY)
    waits = await desk.propose("c1", add(600))
    await age(desk, "created_at", "updated_at")
    assert await denied(desk, add(600))
    await approved(desk, waits)
    assert await desk.execute(waits) == ["executed"]


async def test_what_is_executed_counts_from_when_it_was(opening: Opening) -> None:
    desk = await opening("c1", "c2", policy=POLICY)
    asked = await desk.propose("c1", add(600))
    await approved(desk, asked)
    await age(desk, "created_at", "updated_at")
    assert await desk.execute(asked) == ["executed"]
    assert await denied(desk, add(600))
    await age(desk, "updated_at")
    assert not await denied(desk, add(600))


async def test_a_payment_of_unknown_outcome_counts(opening: Opening, tenant: str) -> None:
    desk = await opening("c1", "c2", policy=POLICY)

    async def break_off() -> None:
        raise ConnectionResetError(104, "reset")

    BANKS[tenant].does = break_off
    asked = await desk.propose("c1", pay(600))
    assert await desk.execute(asked) == ["failed"]
    ((_, error),) = await desk.states(asked)
    assert str(error) == "ConnectionResetError: Connection reset by peer; its outcome is unknown"
    assert await denied(desk, pay(600))


@pytest.mark.parametrize("arrived", [False, True])
async def test_what_was_surely_not_sent_was_not_attempted_unless_it_was_sent_before(
    opening: Opening, tenant: str, arrived: bool
) -> None:
    desk = await opening("c1", "c2", policy=POLICY)
    bank = BANKS[tenant]

    async def break_off() -> None:
        raise ConnectionResetError

    async def refuse() -> None:
        raise ConnectionRefusedError

    asked = await desk.propose("c1", pay(600))
    if arrived:
        bank.does = break_off
        with pytest.raises(ConnectionResetError):
            await desk.execute(asked, attempts=2)
    bank.does = refuse
    assert await desk.execute(asked) == ["failed" if arrived else "not_attempted"]
    ((_, error),) = await desk.states(asked)
    assert ("outcome is unknown" in str(error), "nothing was done" in str(error)) == (
        arrived,
        not arrived,
    )
    assert await denied(desk, pay(600)) == arrived


async def test_what_is_under_way_counts_for_those_that_were_proposed_before_it(
    opening: Opening, tenant: str
) -> None:
    desk = await opening("c1", "c2", policy=POLICY)
    early = await desk.propose("c1", ("pay_from", {"amount": 400, "account": "a"}))
    late = await desk.propose("c2", ("pay_from", {"amount": 600, "account": "b"}))
    ended: list[str] = []

    async def meanwhile() -> None:
        BANKS[tenant].does = None
        await desk.resources.pool.execute(
            "update holdfast.actions set arguments = arguments || '{\"amount\": 700}'"
            " where tenant = $1 and conversation = 'c1'",
            desk.tenant,
        )
        ended.extend(await desk.execute(early))

    BANKS[tenant].does = meanwhile
    assert await desk.execute(late) == ["executed"]
    assert ended == ["stale"]


FACTS = """
name: facts
version: 1
windows:
  seen: {amount: facts.total, actions: [add], within: 24h}
  known: {amount: facts.paid, actions: [pay_from], within: 24h}
actions:
  add: [{when: windows.seen + double(facts.total) > 100.0, deny: true}, allow]
  pay_from: [{when: windows.known + double(facts.paid) > 100.0, deny: true}, allow]
repeats: {add: allow, pay_from: allow}
"""
WATCHED = ("add", {"counter": "watched", "amount": 1})


async def put(desk: Desk, amount: int) -> None:
    """Let the watched counter stand that much higher."""
    await desk.resources.pool.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', $2)",
        desk.tenant,
        amount,
    )


async def test_what_is_executed_counts_with_the_facts_that_it_was_executed_with(
    opening: Opening,
) -> None:
    desk = await opening("c1", "c2", policy=FACTS)
    first, second = [await desk.propose(name, WATCHED) for name in ("c1", "c2")]
    await put(desk, 60)
    assert await desk.execute(first) == ["executed"]
    assert await desk.execute(second) == ["stale"]
    assert await denied(desk, WATCHED)


async def test_new_facts_leave_what_was_shown_of_an_approved_action_as_it_was(
    opening: Opening,
) -> None:
    """The digest of what waits covers the facts of what has run before it, too."""
    desk = await opening()
    asked = await desk.propose(
        "c1", ("open_ticket", {"counter": "n"}), ("open_ticket", {"counter": "m"})
    )
    assert await desk.accept(asked, reviewer="ann", roles=["counters"]) == "accepted"
    assert await desk.execute(asked) == ["executed", "executed"]


async def test_what_is_under_way_counts_with_the_facts_that_it_was_sent_with(
    opening: Opening, tenant: str
) -> None:
    desk = await opening("c1", "c2", policy=FACTS)
    early = await desk.propose("c1", ("pay_from", {"amount": 1, "account": "a"}))
    late = await desk.propose("c2", ("pay_from", {"amount": 1, "account": "b"}))
    bank, ended = BANKS[tenant], list[str]()
    bank.paid = 60

    async def meanwhile() -> None:
        bank.does = None
        ended.extend(await desk.execute(early))

    bank.does = meanwhile
    assert await desk.execute(late) == ["executed"]
    assert ended == ["stale"]


@pytest.mark.parametrize(
    ("answer", "state", "result"),
    [
        ({"x": "a\x00b"}, "executed", {"x": "ab"}),
        ({"x\x00": ["a\ud800"]}, "executed", {"x": ["a?"]}),
        ({"x": float("nan")}, "failed", None),
        ({"x": {1, 2}}, "failed", None),
    ],
)
async def test_what_another_system_answers_is_made_storable_or_its_outcome_is_unknown(
    opening: Opening, tenant: str, answer: Any, state: str, result: Any
) -> None:
    desk = await opening("c1", "c2", policy=POLICY)
    BANKS[tenant].answer = answer
    asked = await desk.propose("c1", pay(600))
    assert await desk.execute(asked) == [state]
    ((_, error),) = await desk.states(asked)
    assert ("outcome is unknown" in str(error)) == (state == "failed")
    assert result == await desk.resources.pool.fetchval(
        "select result from holdfast.actions where tenant = $1", tenant
    )
    assert await denied(desk, pay(600))


async def test_a_refusal_in_texts_that_cannot_be_stored_is_a_refusal(
    opening: Opening, tenant: str
) -> None:
    desk = await opening("c1", policy=POLICY)
    asked = await desk.propose("c1", pay(13), pay(1))
    assert await desk.execute(asked) == ["refused"]
    assert (await desk.states(asked))[0] == ("refused", "not ? today")
    refused = await desk.propose("c1", pay(7))
    assert refused.proposed.blocked
    assert await desk.states(refused) == [("refused", "never?")]
