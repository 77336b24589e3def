"""The kinds of events, and what the payloads of all of them have in common."""

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue

from holdfast.domain.model import Frozen

EventType = Literal[
    "conversation_opened",
    "conversation_reopened",
    "conversation_forked",
    "conversation_closed",
    "message_received",
    "message_sent",
    "turn_routed",
    "turn_handed_off",
    "turn_delayed",
    "turn_ended",
    "approval_requested",
    "approval_updated",
    "approval_reminded",
    "approval_escalated",
    "approval_decided",
    "approval_stale",
    "decision_refused",
    "node_blocked_worker",
    "action_executed",
    "action_not_executed",
    "action_compensated",
    "action_not_undone",
    "answer_unusable",
    "bound_reached",
    "awaiting_human",
    "taken_over",
    "handed_back",
]


def _as_read(schema: dict[str, Any]) -> None:
    """Readers take fields that are added later. Those with a default are always there for them."""
    del schema["additionalProperties"]
    fields: dict[str, dict[str, Any]] = schema["properties"]
    always = [name for name, field in fields.items() if field.get("default") is not None]
    schema["required"] = [*schema.get("required", ()), *always]


class Payload(Frozen):
    """What an event of one kind says.

    Writers can't give it a field that the kind does not have; `Event` drops such fields when it reads, so
    that neighbouring versions can talk. Docstrings, descriptions and examples make up docs/events.md.
    """

    model_config = ConfigDict(
        extra="forbid", serialize_by_alias=True, validate_by_name=True, json_schema_extra=_as_read
    )

    type: ClassVar[EventType]
    of_turn: ClassVar[bool] = True
    """Whether an event of this kind belongs to a turn; else it belongs to the conversation as a whole."""


def optional(description: str, *, example: JsonValue = None) -> Any:
    """A field that is absent from the JSON, rather than null, where it is None."""
    return Field(
        default=None,
        exclude_if=lambda value: value is None,
        description=description,
        examples=None if example is None else [example],
        json_schema_extra=_absent,
    )


def _absent(schema: dict[str, Any]) -> None:
    schema.pop("default")
    kinds = [one for one in schema.pop("anyOf") if one != {"type": "null"}]
    schema.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
