"""Finding one value in words or in earlier results, by its name and its JSON schema."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from holdfast.contract.hints import AnsweredCall
from holdfast.domain.words import share_said
from holdfast.llm.offline.schema import enum_of, kind_of

_FORMATS = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"https?://\S+",
    "date": r"\d{4}-\d{2}-\d{2}",
    "date-time": r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?",
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
_NUMBER = re.compile(r"(?<![\w.#])-?\d{1,18}(?:\.\d+)?(?![\w])")
_QUOTED = re.compile(r"[\"“«]([^\"”»]{1,200})[\"”»]")
_AFTER_PREPOSITION = r"(?i:\b(?:in|for|at|to|from|of|with)\s+)((?:[A-Z][\w'-]++\s?)+)"
_OWN_WORDS = re.compile(r"query|question|text|message|summary|note|reason|comment|search")
_ENTRY_WORDS = 0.34
"""An entry of a result is meant when at least a third of its words were said."""


def from_words(name: str, schema: Mapping[str, Any], words: str) -> JsonValue:
    """The value of the field `name` that `words` state, or None."""
    if options := enum_of(schema):
        said = [option for option in options if share_said(str(option), words) == 1]
        return said[0] if len(said) == 1 else None
    match kind_of(schema):
        case "integer":
            return next((int(n) for n in _NUMBER.findall(words) if "." not in n), None)
        case "number":
            return next((float(n) for n in _NUMBER.findall(words)), None)
        case "array":
            items: Mapping[str, Any] = schema.get("items", {})
            pattern = _pattern(name, items)
            return list(dict.fromkeys(_matching(pattern, words))) or None if pattern else None
        case "string":
            return _string(name, schema, words)
        case _:
            return None


def _string(name: str, schema: Mapping[str, Any], words: str) -> str | None:
    if pattern := _pattern(name, schema):
        return next(iter(_matching(pattern, words)), None)
    label = re.escape(name.replace("_", " "))
    if stated := re.search(rf"\b{label}\b\s*(?:is|:|=)\s*([^.,;!?\n]+)", words, re.IGNORECASE):
        return stated[1].strip()
    if quoted := _QUOTED.search(words):
        return quoted[1]
    if _OWN_WORDS.search(name):
        return words.strip()[: int(schema.get("maxLength", 1000))] or None
    if named := re.search(_AFTER_PREPOSITION, words):
        return named[1].strip()
    return None


def _pattern(name: str, schema: Mapping[str, Any]) -> str | None:
    if "pattern" in schema:
        return str(schema["pattern"]).removeprefix("^").removesuffix("$")
    if "format" in schema:
        return _FORMATS.get(str(schema["format"]))
    return _FORMATS["email"] if "email" in name else None


def _matching(pattern: str, words: str) -> list[str]:
    bounded = rf"(?<!\w)(?:{pattern})(?!\w)"
    return [match[0] for match in re.finditer(bounded, words)]


def from_results(
    name: str, schema: Mapping[str, Any], words: str, calls: Sequence[AnsweredCall]
) -> tuple[JsonValue, ...]:
    """The values that earlier results give for the field `name`.

    They stand under the field's own name (for a list, under its singular). Where the customer's
    words name some of the entries that hold them, only those count.
    """
    plural = kind_of(schema) == "array"
    key = name.removesuffix("s") if plural else name
    entries = [
        entry
        for call in calls
        if call.error is None
        for entry in _entries(call.result)
        if isinstance(entry.get(key), str | int)
    ]
    named = [entry for entry in entries if share_said(_text(entry), words) >= _ENTRY_WORDS]
    values = tuple(dict.fromkeys(entry[key] for entry in named or entries))
    if plural:
        return (list(values),) if named or len(values) == 1 else ()
    return values


def _entries(value: JsonValue) -> list[dict[str, JsonValue]]:
    if isinstance(value, dict):
        return [value, *(entry for part in value.values() for entry in _entries(part))]
    if isinstance(value, list):
        return [entry for part in value for entry in _entries(part)]
    return []


def _text(entry: Mapping[str, JsonValue]) -> str:
    return " ".join(value for value in entry.values() if isinstance(value, str))
