"""The activity that sends a notification, and records the result."""

from pydantic import SecretStr
from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.attempts import beating
from holdfast.domain import wire
from holdfast.domain.failures import in_words
from holdfast.domain.notifications import SendReport, SendRequest
from holdfast.domain.records import DeliveryRecord
from holdfast.notifications.config import Notifications
from holdfast.notifications.email import send_email
from holdfast.notifications.failure import DeliveryFailed
from holdfast.notifications.webhook import WebhookSender
from holdfast.store.deliveries import begin_attempt, record_delivered, record_failed, state_of
from holdfast.store.faults import reach
from holdfast.store.pool import Pool

_FAILED = "DeliveryFailed"


class NotificationActivities:
    """Sends notifications."""

    def __init__(self, pool: Pool, notifications: Notifications, webhooks: WebhookSender) -> None:
        self._pool = pool
        self._notifications = notifications
        self._webhooks = webhooks

    @activity.defn(name=wire.SEND_DELIVERY)
    async def send_delivery(self, request: SendRequest) -> SendReport:
        """Try once to send a delivery, unless it is settled; it is tried again by Temporal.

        At least once: an attempt whose success could not be recorded is repeated, under the same id.
        """
        async with self._pool.acquire() as connection:
            delivery = await begin_attempt(connection, request.tenant, request.delivery)
            if delivery is None:
                return SendReport(
                    state=await state_of(connection, request.tenant, request.delivery)
                )
        try:
            async with beating():
                status = await self._send(request.tenant, delivery)
        except DeliveryFailed as failed:
            return await self._failed(request, failed)
        except Exception as error:  # a mistake of ours must not try a receiver forever
            activity.logger.exception("delivery %s cannot be sent", delivery.id)
            return await self._failed(request, DeliveryFailed(in_words(error)))
        await reach("after_sending")
        async with self._pool.acquire() as connection:
            await record_delivered(connection, request.tenant, delivery.id, status=status)
        return SendReport(state="delivered")

    async def _send(self, tenant: str, delivery: DeliveryRecord) -> int:
        if delivery.kind == "webhook":
            webhook = self._notifications.webhook(tenant, delivery.channel)
            if webhook is None:
                raise _not_configured(delivery)
            secrets: tuple[SecretStr, ...] = self._notifications.secrets_of(webhook)
            return await self._webhooks.send(
                str(webhook.url), delivery.payload, delivery=delivery.id, secrets=secrets
            )
        server = self._notifications.smtp
        email = self._notifications.email(tenant, delivery.channel, delivery.recipient)
        if server is None or email is None or delivery.recipient is None:
            raise _not_configured(delivery)
        return await send_email(
            server,
            delivery.payload,
            delivery=delivery.id,
            sender=email.sender,
            recipient=delivery.recipient,
        )

    async def _failed(self, request: SendRequest, failed: DeliveryFailed) -> SendReport:
        """Record a failure; raises, so that it is tried again, unless the delivery is settled now."""
        async with self._pool.acquire() as connection:
            state = await record_failed(
                connection,
                request.tenant,
                request.delivery,
                status=failed.status,
                error=failed.detail,
                final=failed.final,
            )
        if state != "pending":
            return SendReport(state=state)
        # The detail may name people, and stays in Postgres.
        answer = f"status {failed.status}" if failed.status is not None else "no answer"
        raise ApplicationError(
            f"delivery {request.delivery} failed ({answer}) and is tried again; see `holdfast "
            "deliveries`",
            type=_FAILED,
        ) from None


def _not_configured(delivery: DeliveryRecord) -> DeliveryFailed:
    return DeliveryFailed(
        f"the configuration has no {delivery.kind} {delivery.channel!r} for this receiver any more; "
        "put it back and redrive the delivery",
        final=True,
    )
