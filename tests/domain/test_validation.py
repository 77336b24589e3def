"""What does not fit a model is told by its place and reason, and never by what came there."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator, model_validator

from holdfast.domain.model import Strict
from holdfast.domain.validation import Misfit, dotted, listed, problems_of


class Item(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _is_positive(cls, number: int) -> int:
        if number < 1:
            raise ValueError(f"{number} is less than 1")
        return number


class Order(BaseModel, extra="forbid"):
    items: list[Item]

    @model_validator(mode="after")
    def _has_few(self) -> "Order":
        if len(self.items) > 1:
            raise Misfit("one item at most", at=("items", 1))
        return self


def refused(value: Any, model: type[BaseModel] = Order) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(value)
    return raised.value


def test_each_problem_is_told_with_its_place() -> None:
    error = refused({"items": [{"number": "secret"}, {}], "more": "secret"})
    told = listed(error)
    assert "items.0.number: Input should be a valid integer" in told
    assert "items.1.number: Field required; more: Extra inputs are not permitted" in told
    assert "secret" not in told


def test_what_a_validator_says_is_told_where_it_is_trusted() -> None:
    error = refused({"items": [{"number": -4111}]})
    assert listed(error) == "items.0.number: cannot be used"
    assert listed(error, trusted=True) == "items.0.number: -4111 is less than 1"


def test_a_part_that_does_not_go_with_another_is_told_where_it_is() -> None:
    (problem,) = problems_of(refused({"items": [{"number": 1}, {"number": 2}]}), trusted=True)
    assert problem == (("items", 1), "one item at most")


def test_what_is_wrong_as_a_whole_has_no_place() -> None:
    assert listed(refused(1)).startswith("Input should be a valid dictionary")


def test_a_place_is_one_line_of_bounded_length() -> None:
    assert dotted(("a\nb", 0, "x" * 200)) == f"a b.0.{'x' * 93}…"


class Named(Strict):
    name: str


def test_what_cannot_be_stored_is_told_in_any_case() -> None:
    assert listed(refused({"name": "a\0"}, Named)) == (
        "name has a NUL character or half of a surrogate pair"
    )
