"""What is read of conversations, as clients and edges see it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import JsonValue

from holdfast.domain.approval import Approval, ApprovalState
from holdfast.domain.conversation import ConversationPhase, MessageRole
from holdfast.domain.decision import DecisionKind, content_of
from holdfast.domain.description import ActionDescription
from holdfast.domain.model import Frozen
from holdfast.domain.notifications import ChannelKind, DeliveryState, Payload
from holdfast.domain.outcomes import (
    PriorityName,
    ProposedAction,
    RecordedActionState,
    VerdictKind,
)


class ConversationRecord(Frozen):
    """A conversation's row."""

    tenant: str
    id: str
    customer: str
    status: ConversationPhase
    agent: str | None
    priority: PriorityName
    language: str
    held_by: str | None
    turns: int
    last_event: int
    forked_from: str | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class MessageRecord(Frozen):
    """A message as people read it."""

    seq: int
    turn: int
    role: MessageRole
    author: str | None
    text: str
    citations: tuple[dict[str, Any], ...]
    degraded: bool
    at: datetime


class ActionRecord(Frozen):
    """A proposed action, with the approval it needs and how often it was executed (0 or 1)."""

    id: str
    conversation: str
    customer: str
    priority: PriorityName
    language: str
    opened_at: datetime
    turn: int
    step: int
    index: int
    name: str
    arguments: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    description: JsonValue
    state: RecordedActionState
    verdict: VerdictKind
    policy_digest: str | None
    """The policy that it was proposed, or edited, under; None where none had to be asked."""
    approval: str | None
    result: JsonValue
    error: str | None
    executions: int
    tries: int
    """How often its execution was begun; of a remote action before it is sent."""
    undo_tries: int
    """How often taking it back was begun on another system."""
    created_at: datetime

    @property
    def begun(self) -> bool:
        """Whether an execution was begun."""
        return self.tries > 0


class AskedAction(Frozen):
    """An action of an approval: what it is, and as a person reads it."""

    id: str
    name: str
    arguments: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    state: RecordedActionState
    description: ActionDescription | None = None


class DecisionRecord(Frozen):
    """What a reviewer said, and why it was refused where it was."""

    id: str
    kind: DecisionKind
    reviewer: str
    team: str | None
    roles: tuple[str, ...]
    digest: str
    text: str
    delegate: str | None
    refusal: str | None
    at: datetime
    actions: tuple[ProposedAction, ...] = ()
    """What an edit has asked for."""

    @property
    def content(self) -> str:
        """Who has said what, as the digest that `Decision.content` is."""
        return content_of(self.reviewer, self.kind, self.text, self.delegate, self.actions)


class ApprovalRecord(Frozen):
    """An approval as a reviewer sees it. `roles` are those that count now; `question` is what the
    customer wrote; `amount` is the money at stake."""

    id: str
    conversation: str
    customer: str
    turn: int
    step: int
    state: ApprovalState
    roles: tuple[str, ...]
    agent: str
    requester: str
    question: str
    reason: str
    evidence: tuple[str, ...]
    args_digest: str
    amount: Decimal | None
    policy_name: str
    policy_version: int
    policy_reason: str | None
    requested_at: datetime
    due_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    stale_reason: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    approval: Approval
    """Its state machine: requirements, voices, schedule."""
    actions: tuple[AskedAction, ...]
    decisions: tuple[DecisionRecord, ...]


class ApprovalFilter(Frozen):
    """Which approvals are wanted; what is not set does not count. `roles`: that wait for one of them;
    `reviewer`: that this person has claimed or was given; `overdue`: past a reminder or escalation."""

    state: ApprovalState | None = "pending"
    conversation: str | None = None
    roles: tuple[str, ...] = ()
    reviewer: str | None = None
    agent: str | None = None
    at_least: Decimal | None = None
    overdue: bool = False


class DeliveryRecord(Frozen):
    """A delivery as operators see it.

    `last_status` is the last HTTP status or SMTP reply code, where there was one; `last_error` is
    why the last attempt failed. `driven_at` is when it was written down, or redriven.
    """

    id: str
    batch: str
    conversation: str
    approval: str
    kind: ChannelKind
    channel: str
    recipient: str | None
    payload: Payload
    state: DeliveryState
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: datetime
    driven_at: datetime
    attempted_at: datetime | None
    settled_at: datetime | None
