"""The configuration that values in the domain share."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from holdfast.domain.text import Unstorable, holds_unstorable


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
            if holds_unstorable(value):
                raise Unstorable(f"{name} has a NUL character or half of a surrogate pair")
        return self
