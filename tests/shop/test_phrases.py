"""How the shop's things are called in sentences."""

import pytest

from holdfast import ProposedAction
from holdfast_shop import phrases
from holdfast_shop.actions import ACTIONS
from holdfast_shop.orders.wording import holding_message


@pytest.mark.parametrize(
    ("options", "called"),
    [
        ({"stand": "table", "shade": "brass"}, "Thing (brass shade, table stand)"),
        ({"size": "M", "color": "rust"}, "Thing (rust, size M)"),
        ({"backing": "none"}, "Thing (no backing)"),
        ({}, "Thing"),
    ],
)
def test_an_item_is_called_by_its_options(options: dict[str, str], called: str) -> None:
    assert phrases.item("Thing", options) == called


def test_money_has_two_decimals() -> None:
    assert phrases.money(76.5) == "76.50 USD"


def test_a_card_is_called_by_its_brand() -> None:
    assert phrases.card("visa", "4417") == "Visa card ending in 4417"
    assert phrases.card("mastercard", "0001") == "Mastercard ending in 0001"


@pytest.mark.parametrize("action", [action.name for action in ACTIONS])
def test_german_customers_are_told_in_german_that_a_colleague_decides(action: str) -> None:
    proposed = ProposedAction(name=action, arguments={"order_id": "#W1234567"})
    message = holding_message([proposed], (), "de")
    assert message.startswith("Bevor ich ")
    assert ("#W1234567" in message) == (action != "modify_user_address")
