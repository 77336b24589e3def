"""JSON as models and gateways write it, and which of its values can be stored, compared and executed."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import JsonValue

from holdfast.domain.limits import AnswerBound, AnswerBounds
from holdfast.domain.text import storable

_HALF = re.compile("[\ud800-\udfff]")
_DIGITS = 100
"""Longer integers are only known to be too long: Python itself takes quadratic time for them, and refuses
those of more than 4,300 digits."""
_BEYOND = 1 << 64
_OBJECTS_TRIED = 50
_DEPTH = 64
"""Of structured answers, whose form their schema bounds."""


class Unfit(ValueError):
    """A value that may not be used; the message says why. `bound` names the bound that it passes."""

    def __init__(
        self, problem: str, *, bound: Literal[AnswerBound, ""] = "", limit: int = 0
    ) -> None:
        super().__init__(problem)
        self.bound: Literal[AnswerBound, ""] = bound
        self.limit = limit


def parsed(text: str) -> Any:
    """JSON with whatever values it has; control characters in strings are taken, as models write them.

    Raises:
        Unfit: it is no JSON.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise Unfit("it is nested too deeply") from None
    except ValueError as error:
        raise Unfit(str(error)) from None


def arguments_of(text: str, bounds: AnswerBounds) -> tuple[dict[str, JsonValue], bool]:
    """The arguments of a tool call, and whether half a surrogate pair in them had to be replaced.

    Raises:
        Unfit: they are no JSON object, or have values that are none.
    """
    if len(text) > bounds.argument_characters:
        raise Unfit(
            f"the arguments have more than {bounds.argument_characters} characters",
            bound="argument_characters",
            limit=bounds.argument_characters,
        )
    if not text.strip():
        return {}, False
    try:
        value = _EXACT.decode(text)
    except RecursionError:
        raise _too_deep(bounds.argument_depth) from None
    except Unfit:
        raise
    except ValueError as error:
        raise Unfit(f"the arguments are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Unfit("the arguments of a tool must be a JSON object")
    return _clean(value, bounds.argument_depth, bounds.argument_depth), _is_changed(value)


def recorded_arguments(text: str) -> dict[str, JsonValue]:
    """The arguments of a call as they were recorded, within the bounds of that time.

    Raises:
        Unfit: they are no JSON object: a version before this one recorded what came.
    """
    value = _clean(parsed(text or "{}"), _DEPTH, _DEPTH)
    if not isinstance(value, dict):
        raise Unfit("the arguments of a tool must be a JSON object")
    return value


def objects_in(text: str) -> Iterator[JsonValue]:
    """The JSON values that a structured answer may mean: the whole text, or each object in it, since
    models wrap JSON in prose and code fences. Values that may not be used are left out."""
    try:
        whole = _clean(parsed(text), _DEPTH, _DEPTH)
    except Unfit:
        pass
    else:
        yield whole
        if not isinstance(whole, list):
            return
    at = -1
    for _ in range(_OBJECTS_TRIED):
        at = text.find("{", at + 1)
        if at < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
            cleaned = _clean(value, _DEPTH, _DEPTH)
        except (ValueError, RecursionError):
            continue
        at = end - 1
        yield cleaned


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS else _BEYOND


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise Unfit("the arguments name something twice")
    return named


_DECODER = json.JSONDecoder(parse_int=_integer, strict=False)
_EXACT = json.JSONDecoder(parse_int=_integer, object_pairs_hook=_without_doubles, strict=False)


def _clean(value: Any, room: int, depth: int) -> Any:
    """`value` as it can be stored; `room` is how much deeper it may go."""
    match value:
        case str():
            return storable(value)
        case bool() | None:
            return value
        case int() | float():
            if not math.isfinite(value):
                raise Unfit("NaN and infinities are no numbers of JSON")
            if not -_BEYOND / 2 <= value < _BEYOND / 2:
                raise Unfit("a number does not fit 64 bits")
            return value
        case list():
            if not room:
                raise _too_deep(depth)
            return [_clean(part, room - 1, depth) for part in value]
        case _:
            if not room:
                raise _too_deep(depth)
            cleaned = {
                storable(name): _clean(part, room - 1, depth) for name, part in value.items()
            }
            if len(cleaned) < len(value):
                raise Unfit("the arguments name something twice")
            return cleaned


def _too_deep(depth: int) -> Unfit:
    return Unfit(f"it is nested more than {depth} levels deep", bound="argument_depth", limit=depth)


def _is_changed(value: Any) -> bool:
    match value:
        case str():
            return _HALF.search(value) is not None
        case list():
            return any(_is_changed(part) for part in value)
        case dict():
            return any(_is_changed(part) for pair in value.items() for part in pair)
        case _:
            return False
