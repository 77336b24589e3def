"""How the shop's things are called in sentences."""

import pytest

from holdfast_shop import phrases


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
