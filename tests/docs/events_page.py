"""Writes what docs/events.md and docs/events.schema.json say of the kinds of events: `make events`."""

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.domain.events import PAYLOADS, Event, Payload
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "events.md"
SCHEMA = ROOT / "docs" / "events.schema.json"

_MARK = "<!-- What follows is written by `make events`, from holdfast/domain/events. -->\n"
_ENVELOPE_EXAMPLES = {"seq": 12, "at": "2026-03-02T09:30:00Z"}


def page() -> str:
    """The page as it should be: what was written by hand, and what the models say."""
    by_hand, mark, _ = PAGE.read_text().partition(_MARK)
    assert mark, f"{PAGE} has lost the line {_MARK!r}"
    return by_hand + mark + "".join(_sections())


def schema() -> str:
    """The JSON schema of an event."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | Event.model_json_schema(), indent=2) + "\n"


def example(kind: type[Payload]) -> dict[str, Any]:
    """An event of this kind."""
    fields = kind.model_json_schema()["properties"]
    return {
        "type": kind.type,
        "turn": 3 if kind.of_turn else None,
        "data": {name: one["examples"][0] for name, one in fields.items() if "examples" in one},
        **_ENVELOPE_EXAMPLES,
    }


def _sections() -> Iterator[str]:
    yield "\n## All kinds\n\n| kind | when |\n| --- | --- |\n"
    for kind in PAYLOADS.values():
        when, _, _ = _text(kind).partition(".")
        yield f"| [{kind.type}](#{kind.type}) | {when}. |\n"
    room = None
    for kind in PAYLOADS.values():
        if (module := inspect.getmodule(kind)) is not room:
            room = module
            title, _, _ = (inspect.getdoc(module) or "").partition(":")
            yield f"\n## {title}\n"
        yield f"\n### {kind.type}\n\n{_text(kind)}\n"
        if not kind.of_turn:
            yield "\nIt belongs to no turn.\n"
        if kind.model_fields:
            yield from _table(kind)
        yield f"\n```json\n{json.dumps(example(kind), indent=2)}\n```\n"


def _table(kind: type[Payload]) -> Iterator[str]:
    described = kind.model_json_schema()
    yield "\n| field | value | meaning |\n| --- | --- | --- |\n"
    for name, field in described["properties"].items():
        value = _value(field) + ("" if name in described["required"] else " (optional)")
        yield f"| `{name}` | {value} | {field['description']} |\n"


def _value(field: Mapping[str, Any]) -> str:
    match field:
        case {"const": value}:
            return f"`{value}`"
        case {"enum": [*values]}:
            return ", ".join(f"`{value}`" for value in values)
        case {"anyOf": [*values]}:
            return " or ".join(_value(value) for value in values)
        case {"$ref": _}:
            return "object"
        case {"type": "array", "items": items}:
            return f"list of {_value(items)}s"
        case {"format": "date-time"}:
            return "time"
        case {"type": kind}:
            return str(kind)
    raise AssertionError(f"{field} has no words")


def _text(kind: type[Payload]) -> str:
    return " ".join((inspect.getdoc(kind) or "").split())


if __name__ == "__main__":
    PAGE.write_text(page())
    SCHEMA.write_text(schema())
