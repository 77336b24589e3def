"""The configuration that values in the domain share."""

import math
import re
from typing import Self

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


_LEAST, _MOST = -(2**63), 2**64 - 1


class Unstorable(ValueError):
    """A value cannot be stored by Postgres; the message names the field, and no value."""


def storable(text: str) -> str:
    """Postgres takes neither NUL nor half of a surrogate pair; models produce both, and brought code may."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def storable_value(value: JsonValue) -> JsonValue:
    """What brought code returned, with all texts in it storable.

    Raises:
        Unstorable: it holds a number that JSON has not, or that a graph's state can't hold.
    """
    match value:
        case str():
            return storable(value)
        case float() if not math.isfinite(value):
            raise Unstorable("NaN and infinities are no numbers of JSON")
        case int() if not _LEAST <= value <= _MOST:
            raise Unstorable("an integer does not fit 64 bits; give it as a text")
        case dict():
            return {storable(str(name)): storable_value(part) for name, part in value.items()}
        case list() | tuple():
            return [storable_value(part) for part in value]
        case _:
            return value


class Frozen(BaseModel):
    """An immutable value. Unknown fields are dropped, so that neighbouring versions can talk.

    Its validator is built when it is first used: a client uses few of them.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)


def build_models() -> None:
    """Build the validators of all our models that were imported.

    Workflows need that: in Temporal's sandbox, pydantic would build them with libraries that are imported
    anew there, and would not know its own constraints.
    """
    waiting = BaseModel.__subclasses__()
    while waiting:
        model = waiting.pop()
        if model.__module__.startswith("holdfast."):
            model.model_rebuild()
        waiting += model.__subclasses__()


class Strict(Frozen):
    """An immutable value that people write: unknown fields are refused, so that a typo is noticed, and
    so are NULs and halves of surrogate pairs, which Postgres cannot store: they would be tried again
    forever."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _can_be_stored(self) -> Self:
        for name, value in self:
            if _holds_unstorable(value):
                raise Unstorable(f"{name} has a NUL character or half of a surrogate pair")
        return self


def _holds_unstorable(value: object) -> bool:
    match value:
        case str():
            return _UNSTORABLE.search(value) is not None
        case dict():
            return any(_holds_unstorable(part) for pair in value.items() for part in pair)
        case list() | tuple():
            return any(_holds_unstorable(part) for part in value)
        case _:
            return False
