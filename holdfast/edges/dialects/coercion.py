"""Edited values that arrive as texts, read by the JSON schema of the arguments.

A form shows each value as text: a text as it is, anything else as JSON. What comes back as it was
shown is the value that it was; any other text is read as what the schema lets the field be. A value
that arrives with a type of its own is kept; the edit is checked by the action's schema in any case.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json

from holdfast.domain.errors import InvalidEdit
from holdfast.domain.ids import canonical_json

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NAMES = {
    "null": "empty",
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "array": "a list in JSON",
    "object": "an object in JSON",
    "string": "a text",
}
_SHOWN_CHARACTERS = 60


class _Unreadable(Exception):
    """The text is not what it would have to be."""


class _LeftOut(Exception):
    """The text is empty, and the field may be missing."""


@dataclass(frozen=True)
class _Choice:
    """One thing that a field may be: a JSON type, or (with `type` None) one of some values."""

    type: str | None
    values: tuple[JsonValue, ...] = ()

    def __str__(self) -> str:
        if self.type is None:
            return f"one of {', '.join(canonical_json(value) for value in self.values)}"
        return _NAMES[self.type]


def coerce_arguments(
    sent: Mapping[str, JsonValue],
    *,
    shown: Mapping[str, JsonValue],
    schema: Mapping[str, Any] | None,
) -> dict[str, JsonValue]:
    """The edited arguments, with their types.

    `shown` are the arguments as they were. In `schema`, a field that may be null is null where its
    text is empty or `null`; an optional field that can be neither null nor a text is left out where
    its text is empty. Without a schema, a field keeps the type that it had.

    Raises:
        InvalidEdit: a text is not what its field has to be, or the action has no such field; names
            every such field.
    """
    fields = _Fields(shown, schema)
    coerced: dict[str, JsonValue] = {}
    problems = []
    for name, value in sent.items():
        try:
            coerced[name] = fields.read(name, value)
        except _LeftOut:
            pass
        except _Unreadable as problem:
            problems.append(f"{name}: {problem}")
    if problems:
        raise InvalidEdit("; ".join(problems))
    return coerced


def _is_as_shown(sent: JsonValue, shown: JsonValue) -> bool:
    if isinstance(sent, str) and not isinstance(shown, str):
        try:
            sent = _parsed(sent)
        except _Unreadable:
            return False
    return canonical_json(sent) == canonical_json(shown)


class _Fields:
    def __init__(self, shown: Mapping[str, JsonValue], schema: Mapping[str, Any] | None) -> None:
        self._shown = shown
        self._root = schema or {}
        self._schema = None if schema is None else self._resolved(schema)

    def read(self, name: str, value: JsonValue) -> JsonValue:
        if name in self._shown and _is_as_shown(value, self._shown[name]):
            return self._shown[name]
        choices = self._choices_of(name)
        if not isinstance(value, str):
            if not _finite(value):
                raise _Unreadable("it has a number that JSON does not have")
            return value
        was = _types_of(self._shown.get(name))
        if not choices:
            choices = [_Choice(type=one) for one in was]
        if not choices:
            raise _Unreadable("it is not known what it may be; give the schema of the arguments")
        if not value.strip() and self._may_be_missing(name, choices):
            raise _LeftOut
        # The type that the value had goes before the others; empty is empty whatever it was.
        types = {choice.type for choice in choices}
        preferred = sorted(choices, key=lambda one: (one.type != "null", one.type not in was))
        for choice in preferred:
            try:
                return _read_as(choice, value if "string" in types else value.strip())
            except _Unreadable:
                continue
        expected = " or ".join(dict.fromkeys(str(choice) for choice in choices))
        raise _Unreadable(f"{_cut(value)} is not {expected}")

    def _choices_of(self, name: str) -> list[_Choice]:
        if self._schema is None:
            if name not in self._shown:
                raise _Unreadable("the action has no such argument")
            return []
        more = self._schema.get("additionalProperties", False)
        properties = self._schema.get("properties", {})
        if name in properties:
            return list(self._choices(properties[name], frozenset()))
        if more is False:
            raise _Unreadable("the action has no such argument")
        return list(self._choices(more, frozenset()))

    def _choices(self, schema: object, seen: frozenset[str]) -> Iterator[_Choice]:
        """Everything that a schema lets a value be; nothing where it does not say."""
        if not isinstance(schema, Mapping):
            return
        if "$ref" in schema:
            reference = str(schema["$ref"])
            if reference not in seen:
                yield from self._choices(self._resolved(schema), seen | {reference})
        elif "const" in schema:
            yield _Choice(type=None, values=(schema["const"],))
        elif "enum" in schema:
            yield _Choice(type=None, values=tuple(schema["enum"]))
        elif "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            yield from (_Choice(type=str(one)) for one in types if one in _NAMES)
        else:
            for union in ("anyOf", "oneOf", "allOf"):
                for one in schema.get(union, ()):
                    yield from self._choices(one, seen)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a `$ref` within the schema names; an empty schema where it names nothing."""
        if "$ref" not in schema:
            return schema
        found: object = self._root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _may_be_missing(self, name: str, choices: list[_Choice]) -> bool:
        required = self._schema is None or name in self._schema.get("required", ())
        return not required and not {"null", "string"} & {choice.type for choice in choices}


def _types_of(value: JsonValue) -> tuple[str, ...]:
    match value:
        case bool():
            return ("boolean",)
        case int() | float():
            return ("integer", "number")
        case str():
            return ("string",)
        case list():
            return ("array",)
        case dict():
            return ("object",)
        case None:
            return ()


def _read_as(choice: _Choice, text: str) -> JsonValue:
    stripped = text.strip()
    match choice.type:
        case None:
            for value in choice.values:
                if _is_as_shown(stripped, value):
                    return value
        case "string":
            return text
        case "null":
            if text in ("", "null"):
                return None
        case "boolean":
            if stripped.lower() in ("true", "false"):
                return stripped.lower() == "true"
        case "integer":
            if _INTEGER.fullmatch(stripped):
                return _parsed(stripped)
        case "number":
            if _NUMBER.fullmatch(stripped):
                return _exact(stripped)
        case "array" | "object":
            parsed = _parsed(stripped)
            if isinstance(parsed, list if choice.type == "array" else dict):
                return parsed
    raise _Unreadable


def _exact(text: str) -> JsonValue:
    """The number, where a JSON number keeps every digit that was written."""
    number = _parsed(text)
    try:
        exact = Decimal(repr(number)) == Decimal(text)
    except ArithmeticError:
        exact = False
    if not exact:
        raise _Unreadable
    return number


def _parsed(text: str) -> JsonValue:
    try:
        parsed: JsonValue = from_json(text, allow_inf_nan=False)
    except ValueError:
        raise _Unreadable from None
    if not _finite(parsed):
        raise _Unreadable
    return parsed


def _finite(value: JsonValue) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(_finite(one) for one in value.values())
        case list():
            return all(_finite(one) for one in value)
        case _:
            return True


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…")
