"""Events of a conversation, numbered from 1 within it: what streams and follow-ups are read from."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

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
    "awaiting_human",
    "taken_over",
    "handed_back",
]


class NewEvent(Frozen):
    """An event before it has its number."""

    type: EventType
    turn: int | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict)


class Event(NewEvent):
    """An event as it was recorded."""

    seq: int
    at: datetime
