"""Fills a JSON schema from the customer's message: the offline model's structured output."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from holdfast.contract.hints import Hints
from holdfast.domain.words import language_of, share_said, stems, words_of
from holdfast.llm.offline.arguments import from_words
from holdfast.llm.offline.ranking import Choice, choose, matches_plainly, plainly_said
from holdfast.llm.offline.request import ChatRequest
from holdfast.llm.offline.schema import enum_of, kind_of, resolve

_CERTAINTY = re.compile(r"confidence|certainty|probability|likelihood|score")
_TOPIC = re.compile(r"intent|topic|subject|title|category|label")
_NEUTRAL = ("normal", "neutral", "medium", "none", "other", "unknown", "general")
_TOPIC_WORDS = 6
_EXCERPT = 300


def fill(request: ChatRequest, schema: Mapping[str, Any], hints: Hints) -> JsonValue:
    """A value that fits `schema`; what the message does not say is empty, zero, null or neutral."""
    return _Filling(request, schema, hints).value("", schema)


class _Filling:
    def __init__(self, request: ChatRequest, root: Mapping[str, Any], hints: Hints) -> None:
        self._request = request
        self._root = root
        self._hints = hints
        self._choices: list[Choice] = []

    def value(self, name: str, schema: Mapping[str, Any]) -> JsonValue:
        schema = resolve(schema, self._root)
        if "const" in schema:
            constant: JsonValue = schema["const"]
            return constant
        options = enum_of(schema)
        if options:
            return self._option(name, schema, options)
        match kind_of(schema):
            case "object":
                return self._object(schema)
            case "array":
                return self._array(name, schema)
            case "boolean":
                return self._said(name) >= 1.0
            case "integer" | "number" as kind:
                return self._number(name, schema, whole=kind == "integer")
            case "null":
                return None
            case _:
                return self._text(name, schema)

    def _object(self, schema: Mapping[str, Any]) -> JsonValue:
        properties: dict[str, Any] = schema.get("properties", {})
        # Choices first: a confidence says how clear they were, wherever the schema puts it.
        by_choice = sorted(
            properties, key=lambda name: not enum_of(resolve(properties[name], self._root))
        )
        filled = {name: self.value(name, properties[name]) for name in by_choice}
        return {name: filled[name] for name in properties}

    def _option(self, name: str, schema: Mapping[str, Any], options: list[JsonValue]) -> JsonValue:
        names = [str(option) for option in options]
        for expression, value in self._hints.fields.get(name, {}).items():
            if value in names and matches_plainly(expression, self._request.understood):
                return options[names.index(value)]
        choice = choose(self._request, names, self._hints)
        self._choices.append(choice)
        if choice.confidence < 0.5:
            neutral = next((n for n in (schema.get("default"), *_NEUTRAL) if n in options), None)
            if neutral is not None:
                return neutral
        return options[names.index(choice.option)]

    def _array(self, name: str, schema: Mapping[str, Any]) -> JsonValue:
        items = resolve(schema.get("items", {}), self._root)
        mentioned: list[JsonValue] = [
            option for option in enum_of(items) if self._said(str(option)) == 1
        ]
        if not mentioned and kind_of(items) in ("string", "integer", "number"):
            found = from_words(name, schema, self._request.understood)
            mentioned = found if isinstance(found, list) else []
        while len(mentioned) < int(schema.get("minItems", 0)):
            mentioned.append(self.value(name, items))
        return mentioned

    def _number(self, name: str, schema: Mapping[str, Any], *, whole: bool) -> JsonValue:
        if _CERTAINTY.search(name.lower()):
            value = min((choice.confidence for choice in self._choices), default=0.5)
        else:
            found = from_words(name, schema, self._request.understood)
            value = found if isinstance(found, int | float) else 0
        value = max(value, schema.get("minimum", value))
        value = min(value, schema.get("maximum", value))
        return int(value) if whole else float(value)

    def _text(self, name: str, schema: Mapping[str, Any]) -> JsonValue:
        asked = self._request.asked
        if "language" in name.lower() or "locale" in name.lower():
            return language_of(asked)
        if _TOPIC.search(name.lower()):
            kept = [word for word in words_of(asked) if stems(word)]
            return " ".join(kept[:_TOPIC_WORDS]) or asked[:_EXCERPT]
        found = from_words(name, schema, self._request.understood)
        if isinstance(found, str):
            return found
        return None if schema.get("nullable") else asked[: int(schema.get("maxLength", _EXCERPT))]

    def _said(self, name: str) -> float:
        phrase = name.replace("_", " ")
        return share_said(phrase, plainly_said(phrase, self._request.understood))
