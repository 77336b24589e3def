"""What is judged, shown and recorded of an action is what is executed, and its own code fails it alone."""

from typing import Any

import pytest

from holdfast.activities.arguments import read_arguments, recorded_arguments
from holdfast.domain.errors import BrokenContract
from tests.activities.desk import Desk, Opening
from tests.activities.odd import package

POLICY = """
name: odd
version: 1
actions: {pay_euros: allow, book_slot: allow, pay_amount: allow, price: allow, refuse: allow, fail: allow}
"""
ACTIONS = {action.name: action for action in package.actions}


async def rows(desk: Desk) -> list[dict[str, Any]]:
    found = await desk.services.pool.fetch(
        "select name, arguments, state, error, result from holdfast.actions where tenant = $1",
        desk.tenant,
    )
    return [dict(row) for row in found]


async def proposed(opening: Opening, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    desk = await opening(policy=POLICY, packages=("tests.activities.odd:package",))
    asked = await desk.propose("c1", (name, arguments), is_last=False)
    if not asked.proposed.blocked:
        await desk.execute(asked)
    (row,) = await rows(desk)
    return row


async def test_arguments_that_are_read_as_others_again_are_not_executed(opening: Opening) -> None:
    row = await proposed(opening, "pay_euros", {"amount": 150})
    assert (row["state"], row["result"]) == ("failed", None)
    assert "it reads amount differently again" in row["error"]


def test_what_was_recorded_before_its_model_changed_is_not_read_as_something_else() -> None:
    with pytest.raises(BrokenContract, match="amount"):
        recorded_arguments(ACTIONS["pay_euros"], {"amount": 150})


def test_values_that_were_recorded_and_are_worked_out_now_do_not_count() -> None:
    arguments, recorded = read_arguments(ACTIONS["pay_amount"], {"amount": "1.5"})
    earlier = {**recorded, "cents": 150}
    assert recorded_arguments(ACTIONS["pay_amount"], earlier) == arguments


@pytest.mark.parametrize("name", ["slotId", "slot_id"])
async def test_other_names_and_computed_fields_go_through(opening: Opening, name: str) -> None:
    row = await proposed(opening, "book_slot", {name: "north-1"})
    assert (row["state"], row["result"]) == ("executed", "north-1")
    assert row["arguments"] == {"slot_id": "north-1"}


@pytest.mark.parametrize(
    ("name", "arguments", "state", "error"),
    [
        ("pay_amount", {"amount": "much"}, "failed", "InvalidOperation"),
        ("refuse", {}, "refused", "There is no account."),
        ("fail", {}, "failed", "KeyError"),
        ("price", {}, "failed", "the facts of price are no JSON"),
    ],
)
async def test_code_of_an_action_that_raises_fails_the_action_alone(
    opening: Opening, name: str, arguments: dict[str, Any], state: str, error: str
) -> None:
    row = await proposed(opening, name, arguments)
    assert row["state"] == state
    assert error in row["error"]


async def test_what_another_package_says_of_a_customer_does_not_count(opening: Opening) -> None:
    policy = """
name: mine
version: 1
actions: {add: [{when: customer.tier == 'gold', allow: true}, deny]}
"""
    packages = ("tests.counter:package", "tests.activities.odd:package")
    desk = await opening(policy=policy, packages=packages)
    asked = await desk.propose("c1", ("add", {"counter": "c", "amount": 1}))
    (row,) = await rows(desk)
    assert asked.proposed.blocked
    assert row["state"] == "denied"
