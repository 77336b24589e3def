"""Writes down, in the transaction that changes an approval, who is to be told of it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from holdfast.domain.approval import Approval
from holdfast.domain.decision import Decision
from holdfast.domain.identity import ConversationKey
from holdfast.domain.notifications import (
    ApprovalData,
    Notice,
    NoticedAction,
    NoticeType,
    Payload,
)
from holdfast.domain.terms import Alarm
from holdfast.domain.text import line
from holdfast.notifications.config import Notifications, WebhookChannel
from holdfast.store.approvals import read_approval
from holdfast.store.deliveries import NewDelivery, insert_deliveries
from holdfast.store.pool import Connection
from holdfast.store.steps import NewAction, NewApproval

_ALARMS: dict[str, NoticeType] = {
    "remind": "approval.reminded",
    "escalate": "approval.escalated",
    "expire": "approval.expired",
}


async def enqueue(
    connection: Connection, notifications: Notifications, notice: Notice
) -> tuple[str, ...]:
    """Write down a delivery for everybody who is told of this, once however often it is called; the
    deliveries' ids, whose workflow has to be started once the transaction is committed."""
    payload = notice.payload
    channels = notifications.of(notice.tenant)
    wanting = sorted(
        (
            (notice.delivery_id(channel.name, recipient), channel, recipient)
            for channel, recipient in channels.wanting(payload.type, payload.data.roles)
        ),
        key=lambda one: one[0],
    )
    deliveries = [
        NewDelivery(
            id=delivery,
            batch=wanting[0][0],
            kind="webhook" if isinstance(channel, WebhookChannel) else "email",
            channel=channel.name,
            recipient=recipient,
            payload=payload,
            patience=notifications.patience,
        )
        for delivery, channel, recipient in wanting
    ]
    if deliveries:
        await insert_deliveries(connection, notice.tenant, deliveries)
    return tuple(one.id for one in deliveries)


async def enqueue_request(
    connection: Connection,
    notifications: Notifications,
    key: ConversationKey,
    *,
    asked: NewApproval,
    actions: Sequence[NewAction],
) -> tuple[str, ...]:
    """Tell of an approval that is being asked for. See `enqueue`."""
    approval = asked.approval
    data = ApprovalData(
        approval=approval.id,
        conversation=key.conversation,
        turn=approval.turn,
        agent=line(asked.agent),
        reason=line(asked.reason),
        actions=tuple(
            NoticedAction(
                name=one.name,
                title=one.description and line(one.description.title),
                arguments=one.arguments,
            )
            for one in actions
        ),
        roles=_roles(approval),
        state=approval.state,
        requested_at=approval.requested_at,
        due_at=approval.due_at,
        expires_at=approval.expires_at,
    )
    payload = Payload(type="approval.requested", timestamp=approval.requested_at, data=data)
    notice = Notice(tenant=key.tenant, occurrence="", payload=payload)
    return await enqueue(connection, notifications, notice)


async def enqueue_decision(
    connection: Connection,
    notifications: Notifications,
    *,
    tenant: str,
    approval: Approval,
    decision: Decision,
) -> tuple[str, ...]:
    """Tell of a decision, once it has settled the approval, which is recorded already. See
    `enqueue`."""
    if approval.state == "pending":
        return ()
    return await _enqueue_change(
        connection,
        notifications,
        tenant,
        approval,
        event="approval.decided",
        occurrence=decision.id,
        reviewer=decision.reviewer,
        text=decision.text,
    )


async def enqueue_alarm(
    connection: Connection,
    notifications: Notifications,
    *,
    tenant: str,
    approval: Approval,
    alarm: Alarm | None,
) -> tuple[str, ...]:
    """Tell of what its schedule has done to an approval, or (without an alarm) that it was taken
    back, which is recorded already. See `enqueue`."""
    return await _enqueue_change(
        connection,
        notifications,
        tenant,
        approval,
        event=_ALARMS[alarm.kind] if alarm is not None else "approval.withdrawn",
        occurrence=str(approval.alarms),
    )


async def _enqueue_change(
    connection: Connection,
    notifications: Notifications,
    tenant: str,
    approval: Approval,
    *,
    event: NoticeType,
    occurrence: str,
    reviewer: str | None = None,
    text: str = "",
) -> tuple[str, ...]:
    roles = _roles(approval)
    if not any(notifications.of(tenant).wanting(event, roles)):
        return ()
    record = await read_approval(connection, tenant, approval.id)
    data = ApprovalData(
        approval=approval.id,
        conversation=record.conversation,
        turn=record.turn,
        agent=line(record.agent),
        reason=line(record.reason),
        actions=tuple(
            NoticedAction(
                name=one.name,
                title=one.description and line(one.description.title),
                arguments=one.arguments,
            )
            for one in record.actions
        ),
        roles=roles,
        state=approval.state,
        requested_at=approval.requested_at,
        due_at=approval.due_at if approval.state == "pending" else None,
        expires_at=approval.expires_at,
        reviewer=reviewer,
        text=line(text),
    )
    payload = Payload(type=event, timestamp=datetime.now(UTC), data=data)
    return await enqueue(
        connection, notifications, Notice(tenant=tenant, occurrence=occurrence, payload=payload)
    )


def _roles(approval: Approval) -> tuple[str, ...]:
    """All roles that were asked; `Approval.roles` has none any more once the quorum is there."""
    asked = approval.current_requirements()
    return tuple(sorted({role for one in asked for role in one.roles}))
