"""An action as a person reads it: names and amounts, and what will change.

It has to fit a reviewer's screen, so what is too long is cut, and says so.
"""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from holdfast.domain.model import Frozen
from holdfast.domain.text import line

_TITLE_CHARACTERS = 200
_VALUE_CHARACTERS = 500
_MOST_LINES = 40
_MOST_LANGUAGES = 20


def _line(longest: int) -> BeforeValidator:
    """One line of storable text: a value that breaks the line could pose as another detail."""

    def shown(value: object) -> object:
        return line(value, longest) if isinstance(value, str) else value

    return BeforeValidator(shown)


Title = Annotated[str, _line(_TITLE_CHARACTERS)]
"""One line of at most 200 characters; a longer one is cut."""
Value = Annotated[str, _line(_VALUE_CHARACTERS)]
"""One line of at most 500 characters; a longer one is cut."""


CustomerTitle = Annotated[Title, Field(min_length=1)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]


def _is_empty(titles: dict[str, str]) -> bool:
    # What was recorded and signed before the field was there has to keep its digest.
    return not titles


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
    """What a reviewer reads of an action: at most 40 details and 40 changes; the last one says how
    many are left out.

    `amount` is the money at stake, not negative, in `currency` (ISO 4217, such as "USD"); reviewers
    filter by it. `customer_title` is what the customer reads instead of the title, by language ("en", "de"):
    titles are written for reviewers, in their words.
    """

    title: Annotated[Title, Field(min_length=1)]
    details: tuple[Detail, ...] = ()
    changes: tuple[Change, ...] = ()
    amount: Annotated[Decimal | None, Field(ge=0)] = None
    currency: Annotated[str | None, Field(pattern=r"^[A-Z]{3}$")] = None
    customer_title: dict[Language, CustomerTitle] = Field(
        default_factory=dict, max_length=_MOST_LANGUAGES, exclude_if=_is_empty
    )

    @field_validator("details")
    @classmethod
    def _fewer_details(cls, details: tuple[Detail, ...]) -> tuple[Detail, ...]:
        if len(details) <= _MOST_LINES:
            return details
        kept = details[: _MOST_LINES - 1]
        return (*kept, Detail(label="…", value=f"{len(details) - len(kept)} more"))

    @field_validator("changes")
    @classmethod
    def _fewer_changes(cls, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        if len(changes) <= _MOST_LINES:
            return changes
        kept = changes[: _MOST_LINES - 1]
        more = f"{len(changes) - len(kept)} more"
        return (*kept, Change(what="…", before=more, after=more))

    @model_validator(mode="after")
    def _amount_has_a_currency(self) -> Self:
        if (self.amount is None) != (self.currency is None):
            raise ValueError("an amount needs its currency, and a currency an amount")
        return self
