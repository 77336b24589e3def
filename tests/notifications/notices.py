"""Notices that tests send."""

from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from holdfast.domain.notifications import ApprovalData, Notice, NoticedAction, NoticeType, Payload
from holdfast.notifications.config import (
    EmailChannel,
    Notifications,
    SmtpServer,
    TenantChannels,
    WebhookChannel,
)

SECRET = "whsec_" + "c2VjcmV0" * 4
OLD_SECRET = "whsec_" + "b2xkb25l" * 4
AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

HOSTILE = (
    "</td><script>alert('x')</script>\r\nBcc: everybody@example.com\n\nApproval: ap_other\u202e"
)


def data(**changes: object) -> ApprovalData:
    """An approval of a refund."""
    values: dict[str, object] = {
        "approval": "ap_1",
        "conversation": "c1",
        "turn": 2,
        "agent": "orders",
        "reason": "The parcel is lost.",
        "actions": (
            NoticedAction(
                name="refund", title="Refund 120.00 EUR to Mara", arguments={"amount": 120}
            ),
        ),
        "roles": ("refunds",),
        "state": "pending",
        "requested_at": AT,
        "due_at": AT + timedelta(hours=4),
        "expires_at": AT + timedelta(hours=48),
    }
    return ApprovalData.model_validate(values | changes)


def payload(event: NoticeType = "approval.requested", **changes: object) -> Payload:
    """What is sent of it."""
    return Payload(type=event, timestamp=AT, data=data(**changes))


def notice(
    tenant: str, event: NoticeType = "approval.requested", occurrence: str = "", **changes: object
) -> Notice:
    """Something that has happened to it."""
    return Notice(tenant=tenant, occurrence=occurrence, payload=payload(event, **changes))


def webhook(url: str, name: str = "slack", **options: object) -> WebhookChannel:
    """A channel with the test's secret."""
    return WebhookChannel.model_validate({"name": name, "url": url, "secret": SECRET} | options)


def email(*to: str, name: str = "team", **options: object) -> EmailChannel:
    """A channel to these people."""
    return EmailChannel.model_validate(
        {"name": name, "to": to, "sender": "holdfast@example.com"} | options
    )


def notifications(
    tenant: str,
    *channels: WebhookChannel | EmailChannel,
    smtp_port: int | None = None,
    patience: timedelta = timedelta(hours=24),
) -> Notifications:
    """A configuration with these channels for a tenant."""
    smtp = SmtpServer(host="127.0.0.1", port=smtp_port, tls=False) if smtp_port else None
    return Notifications(
        tenants={
            tenant: TenantChannels(
                webhooks=tuple(one for one in channels if isinstance(one, WebhookChannel)),
                emails=tuple(one for one in channels if isinstance(one, EmailChannel)),
            )
        },
        secrets={"OLD_SECRET": SecretStr(OLD_SECRET)},
        smtp=smtp,
        patience=patience,
    )
