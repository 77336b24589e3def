"""What is judged, shown and recorded of an action is what is executed, and its own code fails it alone."""

from typing import Any

import pytest

from holdfast.activities.arguments import read_arguments, recorded_arguments
from holdfast.domain.errors import BrokenContract, NotApproved
from tests.activities.desk import Desk, Opening
from tests.activities.odd import package

POLICY = """
name: odd
version: 1
actions: {pay_euros: allow, book_slot: allow, pay_amount: allow, price: allow, refuse: allow, fail: allow}
"""
ACTIONS = {action.name: action for action in package.actions}


async def rows(desk: Desk) -> list[dict[str, Any]]:
    found = await desk.resources.pool.fetch(
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
    with pytest.raises(BrokenContract, match="What pay_euros takes has changed"):
        recorded_arguments(ACTIONS["pay_euros"], {"amount": 150})


def test_what_was_recorded_and_is_no_argument_any_more_is_not_passed_over() -> None:
    with pytest.raises(BrokenContract, match="What pay_amount takes has changed"):
        recorded_arguments(ACTIONS["pay_amount"], {"amount": "1.5", "currency": "EUR"})


def test_values_that_were_recorded_and_are_worked_out_now_have_to_be_the_same() -> None:
    arguments, recorded = read_arguments(ACTIONS["pay_amount"], {"amount": "1.5"})
    earlier = {**recorded, "cents": 150}
    assert recorded_arguments(ACTIONS["pay_amount"], earlier) == arguments
    with pytest.raises(BrokenContract, match="What pay_amount takes has changed"):
        recorded_arguments(ACTIONS["pay_amount"], {**recorded, "cents": 90})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"tips": [{"amount": 5, "kept": 1}]}, "it reads tips differently again"),
        ({"forced": [{}]}, "it holds twice besides what it writes"),
        ({"rounded": "99.60"}, "it reads rounded differently again"),
    ],
)
def test_arguments_are_not_proposed_that_their_record_does_not_have(
    given: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BrokenContract, match=problem):
        read_arguments(ACTIONS["tip"], given)


def test_what_is_rehearsed_is_read_from_the_record() -> None:
    """A value without a trace in the record is not there when the action is rehearsed either."""
    arguments, recorded = read_arguments(ACTIONS["tip"], {"rounded": "99.00"})
    assert str(arguments.rounded) == recorded["rounded"] == "99"  # type: ignore[attr-defined]


def test_what_was_true_is_not_read_as_1() -> None:
    with pytest.raises(BrokenContract, match="What pay_cents takes has changed"):
        recorded_arguments(ACTIONS["pay_cents"], {"amount": True})


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


REFUNDS = """
name: refunds
version: 1
actions:
  refund:
    - {when: double(args.amount) > 100, approve: {roles: [desk]}}
    - allow
"""
LINES = ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"]
PLAIN = ("tests.activities.odd:plain",)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"amount": "20"}, {"amount": "20.00"}, id="decimals"),
        pytest.param({"amount": "20"}, {"amount": 2e1}, id="a decimal as a number"),
        pytest.param(
            {"amount": "1", "at": "2030-01-01T12:00:00Z"},
            {"amount": "1", "at": "2030-01-01T14:00:00+02:00"},
            id="times",
        ),
        pytest.param(
            {"amount": "1", "lines": LINES},
            {"amount": "1.0", "lines": [one.upper() for one in LINES]},
            id="ids",
        ),
    ],
)
async def test_equal_arguments_are_equal_however_they_are_spelt(
    opening: Opening, first: dict[str, Any], second: dict[str, Any]
) -> None:
    desk = await opening("c1", "c2", policy=REFUNDS, packages=PLAIN)
    asked = await desk.propose("c1", ("refund", first))
    assert await desk.execute(asked) == ["executed"]
    again = await desk.propose("c2", ("refund", second))
    assert [state for state, _ in await desk.states(again)] == ["repeated"]
    twice = await desk.propose("c2", ("refund", {"amount": "30"}), ("refund", {"amount": "30.0"}))
    assert "repeated" in [state for state, _ in await desk.states(twice)]
    other = await desk.propose("c2", ("refund", {**second, "amount": "21"}))
    assert [state for state, _ in await desk.states(other)] == ["proposed"]


async def test_what_waits_is_not_asked_for_again_in_another_spelling(opening: Opening) -> None:
    desk = await opening(policy=REFUNDS, packages=PLAIN)
    await desk.propose("c1", ("refund", {"amount": "150"}))
    again = await desk.propose("c1", ("refund", {"amount": "150.00"}))
    assert again.proposed.approval is None
    assert [state for state, _ in await desk.states(again)] == ["repeated"]


async def test_an_edit_that_spells_the_same_otherwise_changes_nothing(opening: Opening) -> None:
    desk = await opening(policy=REFUNDS, packages=PLAIN)
    asked = await desk.propose("c1", ("refund", {"amount": "150"}))
    edit = ("refund", {"amount": "150.0"})
    with pytest.raises(AssertionError, match="the edit changes nothing"):
        await desk.decide(asked, "edit", reviewer="r", roles=["desk"], actions=[edit])
    edit = ("refund", {"amount": "151.0"})
    assert await desk.decide(asked, "edit", reviewer="r", roles=["desk"], actions=[edit]) == (
        "accepted"
    )
    assert await desk.execute(asked) == ["executed"]


@pytest.mark.parametrize("amount", ["20", "150"])
@pytest.mark.parametrize(
    "form", ["with_default", "with_reason", "small", "bare", "computed", "shadowed", "hidden"]
)
async def test_an_action_whose_arguments_have_become_others_is_not_executed(
    opening: Opening, form: str, amount: str
) -> None:
    desk = await opening(policy=REFUNDS, packages=PLAIN)
    asked = await desk.propose("c1", ("refund", {"amount": amount}))
    if asked.proposed.approval is not None:
        assert await desk.accept(asked, reviewer="r", roles=["desk"]) == "accepted"
    changed = await opening("c2", policy=REFUNDS, packages=(f"tests.activities.odd:{form}",))
    if (form, amount) == ("small", "20"):  # which still fits
        assert await changed.execute(asked) == ["executed"]
        return
    assert await changed.execute(asked) == ["stale"]
    told = "What refund takes has changed since this was proposed, so it was not done. Propose it anew."
    assert await desk.states(asked) == [("stale", told)]
    assert await desk.executions() == []


async def test_nobody_goes_stale_whose_approval_still_waits(opening: Opening) -> None:
    desk = await opening(policy=REFUNDS, packages=PLAIN)
    asked = await desk.propose("c1", ("refund", {"amount": "150"}))
    changed = await opening("c2", policy=REFUNDS, packages=("tests.activities.odd:with_default",))
    with pytest.raises(NotApproved, match="is pending"):
        await changed.execute(asked, attempts=2)
    assert await desk.states(asked) == [("proposed", None)]
