"""No two actions on one subject at a time, also on other systems; and whoever waits for that fails nothing."""

import asyncio
from typing import Any

import pytest

from holdfast.activities import lock_retries
from holdfast.domain.errors import LockTaken
from holdfast.store.faults import pausing
from holdfast.testing import eventually
from tests.activities.bank import BANKS, Bank
from tests.activities.desk import Asked, Desk, Opening

POLICY = """
name: payments
version: 1
actions:
  pay: [{when: facts.paid + facts.amount > 1000.0, deny: true, reason: Too much.}, allow]
  pay_from: allow
  tally: allow
  send: allow
repeats: {pay: allow, pay_from: allow, tally: allow}
"""


def pay(amount: float) -> tuple[str, dict[str, Any]]:
    return "pay", {"amount": amount}


TALLY = ("tally", {"counter": "n"})


@pytest.fixture
def bank(tenant: str) -> Bank:
    """The other system as this test's tenant finds it."""
    return BANKS[tenant]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts that don't wait for long."""
    monkeypatch.setattr(lock_retries, "_LONGEST_SECONDS", 0.2)


async def broken() -> None:
    raise ConnectionResetError("reset after it was paid")


async def begun(desk: Desk, bank: Bank, asked: Asked) -> None:
    """Send what was asked for, and hear nothing of it, as where the worker has died."""
    bank.does = broken
    with pytest.raises(ConnectionResetError):
        await desk.execute(asked, attempts=3)
    bank.does = None


async def test_actions_of_one_customer_on_another_system_run_one_after_the_other(
    opening: Opening, bank: Bank
) -> None:
    names = [f"c{number}" for number in range(4)]
    desk = await opening(*names, policy=POLICY)
    asked = [await desk.propose(name, pay(600 + number)) for number, name in enumerate(names)]
    found_it_taken = 0
    others_wait = asyncio.Event()

    async def note() -> None:
        nonlocal found_it_taken
        found_it_taken += 1
        if found_it_taken == 3:
            others_wait.set()

    async def answer_late() -> None:
        await asyncio.wait_for(others_wait.wait(), 20)

    bank.does = answer_late
    with pausing("lock_taken", note):
        ended = await asyncio.gather(*(desk.execute(one) for one in asked))
    assert sorted(ended) == [["executed"], ["stale"], ["stale"], ["stale"]]
    assert (bank.most_at_once, len(bank.keys)) == (1, 1)
    assert bank.paid <= 1_000


async def test_what_a_dead_worker_has_sent_keeps_others_off_until_its_end_is_known(
    opening: Opening, bank: Bank, impatient: None
) -> None:
    desk = await opening("c1", "c2", "c3", policy=POLICY)
    first, second = await desk.propose("c1", pay(600)), await desk.propose("c2", pay(600))
    third = await desk.propose("c3", TALLY)
    await begun(desk, bank, first)
    for one in (second, third):
        with pytest.raises(LockTaken):
            await desk.execute(one)
        assert await desk.states(one) == [("proposed", None)]
    with pytest.raises(LockTaken):
        await desk.propose("c3", TALLY)
    assert await desk.execute(first) == ["executed"]
    assert len(set(bank.keys)) == 1
    assert await desk.execute(second) == ["stale"]
    assert await desk.execute(third) == ["executed"]


async def test_what_nobody_sends_any_more_keeps_nobody_off(
    opening: Opening, bank: Bank, impatient: None
) -> None:
    desk = await opening("c1", "c2", policy=POLICY)
    first, second = await desk.propose("c1", pay(600)), await desk.propose("c2", TALLY)
    await begun(desk, bank, first)
    bank.does = broken
    assert await desk.execute(first) == ["failed"]
    assert await desk.execute(second) == ["executed"]


async def test_while_an_action_is_undone_on_another_system_no_other_runs(
    opening: Opening, bank: Bank
) -> None:
    desk = await opening("c1", "c2", policy=POLICY)
    asked = await desk.propose("c1", pay(600), ("send", {"url": "http://127.0.0.1:9/"}))
    other = await desk.propose("c2", pay(600))
    others_wait = asyncio.Event()

    async def note() -> None:
        others_wait.set()

    async def undo_late() -> None:
        if bank.paid:
            running.append(asyncio.create_task(desk.execute(other)))
            with pausing("lock_taken", note):
                await asyncio.wait_for(others_wait.wait(), 20)

    running: list[asyncio.Task[list[str]]] = []
    bank.does = undo_late
    assert await desk.execute(asked) == ["executed", "not_attempted"]
    assert [await one for one in running] == [["executed"]]
    assert [state for state, _ in await desk.states(asked)] == ["compensated", "not_attempted"]
    assert bank.most_at_once == 1


async def test_those_who_wait_have_no_connection_and_fail_nothing(
    opening: Opening, impatient: None
) -> None:
    names = [f"c{number}" for number in range(10)]
    desk = await opening(*names, policy=POLICY, connections=2)
    await desk.open("else", customer="another")
    asked = [await desk.propose(name, TALLY) for name in names]
    elsewhere = await desk.propose("else", TALLY)
    permitted = 0
    go_on = asyncio.Event()

    async def hold() -> None:
        nonlocal permitted
        permitted += 1
        if permitted == 1:
            await asyncio.wait_for(go_on.wait(), 20)

    async def is_permitted() -> bool:
        return permitted > 0

    with pausing("after_permission", hold):
        first = asyncio.create_task(desk.execute(asked[0]))
        await eventually(is_permitted)
        others = [asyncio.create_task(desk.execute(one)) for one in asked[1:]]
        assert await asyncio.wait_for(desk.execute(elsewhere), 5) == ["executed"]
        waited = await asyncio.gather(*others, return_exceptions=True)
        assert {type(one) for one in waited} == {LockTaken}
        go_on.set()
        assert await first == ["executed"]
    for one in asked[1:]:
        assert await desk.states(one) == [("proposed", None)]
        assert await desk.execute(one) == ["executed"]


async def test_a_turn_that_has_waited_all_its_time_ends_with_nothing_done(
    opening: Opening, bank: Bank, impatient: None
) -> None:
    desk = await opening("c1", "c2", "c3", policy=POLICY)
    first = await desk.propose("c1", pay(600))
    waiting_ones = [await desk.propose("c2", TALLY), await desk.propose("c3", pay(1))]
    await begun(desk, bank, first)
    for one in waiting_ones:
        assert await desk.execute(one, attempts=3, seconds=0.1) == ["not_attempted"]
        ((_, error),) = await desk.states(one)
        assert "has not ended yet; nothing was done" in str(error)
    assert len(bank.keys) == 1
