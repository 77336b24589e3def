"""Events of a conversation, numbered from 1 within it: what streams and follow-ups are read from.

`Event` has a kind (`type`) and a payload of that kind (`data`). docs/events.md describes all of them.

    match event.data:
        case TurnEnded(status="failed", reason=reason):
            ...
"""

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
    NewMessageReceived,
    NewMessageSent,
    TakenOver,
)
from holdfast.domain.events.event import PAYLOADS, Event, EventPayload, NewEvent
from holdfast.domain.events.payload import EventType, Payload
from holdfast.domain.events.turns import (
    AnswerFault,
    AnswerUnusable,
    AwaitingHuman,
    BoundReached,
    NodeBlockedWorker,
    TurnDelayed,
    TurnEnded,
    TurnHandedOff,
    TurnRouted,
)

__all__ = [
    "PAYLOADS",
    "ActionCompensated",
    "ActionExecuted",
    "ActionNotExecuted",
    "ActionNotUndone",
    "AnswerFault",
    "AnswerUnusable",
    "ApprovalDecided",
    "ApprovalEscalated",
    "ApprovalReminded",
    "ApprovalRequested",
    "ApprovalStale",
    "ApprovalUpdated",
    "AwaitingHuman",
    "BoundReached",
    "ConversationClosed",
    "ConversationForked",
    "ConversationOpened",
    "ConversationReopened",
    "DecisionRefused",
    "Event",
    "EventPayload",
    "EventType",
    "HandedBack",
    "MessageReceived",
    "MessageSent",
    "NewEvent",
    "NewMessageReceived",
    "NewMessageSent",
    "NodeBlockedWorker",
    "Payload",
    "TakenOver",
    "TurnDelayed",
    "TurnEnded",
    "TurnHandedOff",
    "TurnRouted",
]
