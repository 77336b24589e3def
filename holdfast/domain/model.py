"""The configuration that values in the domain share."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value. Unknown fields are dropped, so that neighbouring versions can talk."""

    model_config = ConfigDict(frozen=True)


class Strict(Frozen):
    """An immutable value that people write: unknown fields are refused, so that a typo is noticed."""

    model_config = ConfigDict(extra="forbid")
