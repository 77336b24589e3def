"""The configuration that values in the domain share."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Frozen(BaseModel):
    """An immutable value. Unknown fields are dropped, so that neighbouring versions can talk."""

    model_config = ConfigDict(frozen=True)


class Strict(Frozen):
    """An immutable value that people write: unknown fields are refused, so that a typo is noticed, and
    so are NUL characters, which Postgres cannot store: they would be tried again for ever."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _has_no_nul(self) -> Self:
        for name, value in self:
            if _holds_nul(value):
                raise ValueError(f"{name} has a NUL character")
        return self


def _holds_nul(value: object) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_holds_nul(part) for pair in value.items() for part in pair)
        case list() | tuple():
            return any(_holds_nul(part) for part in value)
        case _:
            return False
