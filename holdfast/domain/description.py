"""An action as a person reads it: names and amounts, and what will change."""

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field

from holdfast.domain.model import Frozen

_TITLE_CHARACTERS = 200
_VALUE_CHARACTERS = 500
_MOST_LINES = 40


def _cut(longest: int) -> BeforeValidator:
    def cut(value: object) -> object:
        if isinstance(value, str) and len(value) > longest:
            return value[: longest - 1] + "…"
        return value

    return BeforeValidator(cut)


Title = Annotated[str, _cut(_TITLE_CHARACTERS)]
"""At most 200 characters; a longer one is cut."""
Value = Annotated[str, _cut(_VALUE_CHARACTERS)]
"""At most 500 characters; a longer one is cut."""


class Detail(Frozen):
    """One line about an action."""

    label: Title
    value: Value


class Change(Frozen):
    """What an action changes; None where there was nothing before, or will be nothing after."""

    what: Title
    before: Value | None
    after: Value | None


class ActionDescription(Frozen):
    """What a reviewer reads of an action.

    `amount` is the money at stake, not negative, in `currency` (ISO 4217).
    """

    title: Title
    details: Annotated[tuple[Detail, ...], Field(max_length=_MOST_LINES)] = ()
    changes: Annotated[tuple[Change, ...], Field(max_length=_MOST_LINES)] = ()
    amount: Annotated[Decimal | None, Field(ge=0)] = None
    currency: str | None = None
