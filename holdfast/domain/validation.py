"""What does not fit a model, in words: the place and the reason of each problem, and never what came there."""

from collections.abc import Callable
from typing import NamedTuple

from pydantic import ValidationError

from holdfast.domain.text import Unstorable, line

Location = tuple[int | str, ...]

_PLACE_CHARACTERS = 100
_UNUSABLE = "cannot be used"


class Misfit(ValueError):
    """A part doesn't go with another one; `at` is where it is, seen from the model that says so."""

    def __init__(self, problem: str, *, at: Location) -> None:
        super().__init__(problem)
        self.at = at


class Problem(NamedTuple):
    """One thing that does not fit; `at` is empty where it is the whole."""

    at: Location
    reason: str


def problems_of(error: ValidationError, *, trusted: bool = False) -> list[Problem]:
    """What does not fit. What validators say is told where they are `trusted`: where they are ours, or whoever
    reads it has sent the values. Others may quote what came. Pydantic itself says what was expected."""
    return [
        Problem((*one["loc"], *_at(cause)), _reason(one["msg"], cause, trusted=trusted))
        for one in error.errors(include_url=False, include_input=False)
        for cause in (one.get("ctx", {}).get("error"),)
    ]


def dotted(at: Location) -> str:
    """The place on one line: what came may have named it."""
    return line(".".join(str(part) for part in at), _PLACE_CHARACTERS)


def listed(
    error: ValidationError, *, place: Callable[[Location], str] = dotted, trusted: bool = False
) -> str:
    """All that does not fit, on one line; `place` says where, if there is anything to say."""
    told = ((place(at), reason) for at, reason in problems_of(error, trusted=trusted))
    return "; ".join(f"{where}: {reason}" if where else reason for where, reason in told)


def _at(cause: object) -> Location:
    return cause.at if isinstance(cause, Misfit) else ()


def _reason(said: str, cause: object, *, trusted: bool) -> str:
    """`cause` is what a validator has raised, which pydantic puts its own words before."""
    if not isinstance(cause, Exception):
        return said
    return (str(cause) or _UNUSABLE) if trusted or isinstance(cause, Unstorable) else _UNUSABLE
