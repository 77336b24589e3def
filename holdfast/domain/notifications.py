"""Notifications of approvals: what is told to whom, and what Temporal carries of it (ids only)."""

from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from holdfast.domain.approval import ApprovalState
from holdfast.domain.identity import ConversationKey, ConversationRequest
from holdfast.domain.ids import derived_id
from holdfast.domain.model import Frozen

NoticeType = Literal[
    "approval.requested",
    "approval.reminded",
    "approval.escalated",
    "approval.decided",
    "approval.expired",
    "approval.withdrawn",
]
"""What has happened to an approval."""

DeliveryState = Literal["pending", "delivered", "dead"]
"""A dead delivery was given up; an operator may redrive it."""

ChannelKind = Literal["webhook", "email"]


class NoticedAction(Frozen):
    """An action that an approval is about; `title` is what people read, where the action says so."""

    name: str
    title: str | None
    arguments: dict[str, JsonValue]


class ApprovalData(Frozen):
    """An approval as receivers get to know it.

    `roles` are all that were asked, escalations included. `due_at` is the next reminder, escalation
    or end, None once it is settled. `reviewer` and `text` are those of the decision, where one was
    taken.
    """

    approval: str
    conversation: str
    turn: int
    agent: str
    reason: str
    actions: tuple[NoticedAction, ...]
    roles: tuple[str, ...]
    state: ApprovalState
    requested_at: datetime
    due_at: datetime | None
    expires_at: datetime
    reviewer: str | None = None
    text: str = ""


class Payload(Frozen):
    """What a receiver is sent: the form that the Standard Webhooks specification recommends."""

    type: NoticeType
    timestamp: datetime
    data: ApprovalData


class Notice(Frozen):
    """Something that has happened to an approval, for those who are notified. `occurrence` tells it
    from others of its type: the number of the alarm, say, or the id of the decision."""

    tenant: str
    occurrence: str
    payload: Payload

    def delivery_id(self, channel: str, recipient: str | None) -> str:
        """The id of this notice's delivery through a channel, the same whenever it is asked for."""
        data = self.payload.data
        parts = (self.tenant, data.approval, self.payload.type, self.occurrence, channel)
        return derived_id("dl", *parts, recipient or "")


class NotificationStart(ConversationRequest):
    """The input of a workflow that sends deliveries: which ones, and the first part of the names of
    the task queues."""

    task_queue: str
    deliveries: tuple[str, ...] = ()


class SendRequest(Frozen):
    """Send one delivery."""

    tenant: str
    delivery: str


class SendReport(Frozen):
    """What became of a delivery; None when it is not there any more."""

    state: DeliveryState | None


def notification_workflow_id(key: ConversationKey, batch: str) -> str:
    """The id of the workflow that sends a batch: the deliveries of one notice, named by the first."""
    return f"{key.workflow_id}/notifications/{batch}"
