"""The form in which conditions see numbers: 40 and 40.0 are one value, and calculated with alike.

Whether a whole number comes as an integer says nothing: JSON, Postgres and the programs between have no
common word on it, and the same fact may come as either at two readings. So all are doubles, except
whole numbers that doubles can't tell apart and the library's integers can, such as long ids.
"""

from collections.abc import Callable
from typing import Any

from holdfast.domain.policy.nodes import DIVISOR, LARGEST_EXACT, WHOLE

_BEYOND = 2**63
"""From here on, integers are too large for the library."""


def in_one_form(value: Any) -> Any:
    """The value with every number in it in that form."""
    match value:
        case int() | float() if not isinstance(value, bool):
            return _number(value)
        case dict():
            return {name: in_one_form(part) for name, part in value.items()}
        case list() | tuple():
            return [in_one_form(part) for part in value]
        case _:
            return value


def _number(value: float) -> float:
    if LARGEST_EXACT <= abs(value) < _BEYOND:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return value


def _whole(value: Any) -> Any:
    """A whole number as an integer, which indexes and remainders need; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _divisor(value: Any) -> Any:
    """A number as a double. Zero becomes null, so that the division fails: it would be infinite
    or no number, and compare as if it were one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) or None
    return value


FUNCTIONS: dict[str, Callable[..., Any]] = {WHOLE: _whole, DIVISOR: _divisor}
"""What expressions call besides what people may write in them."""
