"""How items, money and payment methods are called in sentences, for customers and reviewers alike."""

from collections.abc import Mapping, Sequence
from decimal import Decimal


def listed(words: Sequence[str], conjunction: str = "and") -> str:
    """'a, b and c'."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def money(amount: Decimal | float) -> str:
    """'12.50 USD', of an amount in US dollars."""
    return f"{amount:.2f} USD"


def item(name: str, options: Mapping[str, str]) -> str:
    """'Reading Lamp (brass shade, table stand)'."""
    return f"{name} ({variant(options)})" if options else name


def variant(options: Mapping[str, str]) -> str:
    """'blue, size M', 'no backing, checked pattern'."""
    return ", ".join(_option(name, value) for name, value in sorted(options.items()))


def _option(name: str, value: str) -> str:
    match name:
        case "color":
            return value
        case "size":
            return f"size {value}"
        case _:
            return f"{'no' if value == 'none' else value} {name}"


def card(brand: str | None, last_four: str | None) -> str:
    """'Visa card ending in 4417', 'Mastercard ending in 0000'."""
    called = brand.capitalize() if brand else "credit"
    noun = called if called.endswith("card") else f"{called} card"
    return f"{noun} ending in {last_four or '?'}"
