"""An event: its place in the conversation, its kind, and what it says."""

import inspect
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Self, get_args

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from holdfast.domain.events.actions import (
    ActionCompensated,
    ActionExecuted,
    ActionNotExecuted,
    ActionNotUndone,
)
from holdfast.domain.events.approvals import (
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalReminded,
    ApprovalRequested,
    ApprovalStale,
    ApprovalUpdated,
    DecisionRefused,
)
from holdfast.domain.events.conversation import (
    ConversationClosed,
    ConversationForked,
    ConversationOpened,
    ConversationReopened,
    HandedBack,
    MessageReceived,
    MessageSent,
    TakenOver,
)
from holdfast.domain.events.payload import EventType, Payload
from holdfast.domain.events.turns import (
    AnswerUnusable,
    AwaitingHuman,
    BoundReached,
    NodeBlockedWorker,
    TurnDelayed,
    TurnEnded,
    TurnHandedOff,
    TurnRouted,
)
from holdfast.domain.model import Frozen

EventPayload = (
    ConversationOpened
    | ConversationReopened
    | ConversationForked
    | ConversationClosed
    | MessageReceived
    | MessageSent
    | TakenOver
    | HandedBack
    | TurnRouted
    | TurnHandedOff
    | TurnDelayed
    | TurnEnded
    | AwaitingHuman
    | AnswerUnusable
    | BoundReached
    | NodeBlockedWorker
    | ApprovalRequested
    | ApprovalUpdated
    | ApprovalReminded
    | ApprovalEscalated
    | ApprovalDecided
    | ApprovalStale
    | DecisionRefused
    | ActionExecuted
    | ActionNotExecuted
    | ActionNotUndone
    | ActionCompensated
)
"""What an event may say; `match` tells the kinds apart."""

PAYLOADS: Mapping[EventType, type[Payload]] = MappingProxyType(
    {one.type: one for one in get_args(EventPayload)}
)
"""The payload of each kind."""


class NewEvent(Frozen):
    """An event before it has its number.

    Raises:
        ValidationError: an event of this kind belongs to a turn and names none, or the other way round.
    """

    turn: int | None = None
    data: Payload

    @model_validator(mode="after")
    def _names_its_turn(self) -> Self:
        if self.data.of_turn != (self.turn is not None):
            raise ValueError(f"{self.data.type}: turn is {self.turn}")
        return self

    def to_json(self) -> dict[str, JsonValue]:
        """What is recorded."""
        return {
            "type": self.data.type,
            "turn": self.turn,
            "data": self.data.model_dump(mode="json"),
        }


class Event(Frozen):
    """An event as it was recorded."""

    type: EventType = Field(description="Its kind.")
    turn: int | None = Field(
        default=None,
        description="The turn; null where the kind belongs to the conversation as a whole.",
    )
    data: EventPayload = Field(description="What it says; its kind says which fields there are.")
    seq: int = Field(description="Its number in the conversation, from 1, without gaps.")
    at: datetime = Field(description="When it was recorded.")

    @field_validator("data", mode="before")
    @classmethod
    def _of_its_type(cls, data: object, info: ValidationInfo) -> object:
        if "type" not in info.data:  # it is none of ours, and that is the error to show
            return data
        kind = PAYLOADS[info.data["type"]]
        return data if isinstance(data, kind) else kind.model_validate(data, extra="ignore")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """One form for each kind, told apart by `type`."""
        event = handler.resolve_ref_schema(handler(core_schema))
        forms = [
            {
                "title": kind.__name__,
                "description": inspect.getdoc(kind),
                "type": "object",
                "properties": {
                    **event["properties"],
                    "type": {"const": name},
                    "turn": {"type": "integer" if kind.of_turn else "null"},
                    "data": handler(kind.__pydantic_core_schema__),
                },
                "required": [*event["properties"]],
            }
            for name, kind in PAYLOADS.items()
        ]
        return {"title": "Event", "description": event["description"], "oneOf": forms}
