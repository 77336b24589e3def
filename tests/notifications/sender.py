"""A process that sends a tenant's webhooks until it is killed: `python -m tests.notifications.sender TENANT URL`."""

import asyncio
import sys

from temporalio.worker import Worker

from holdfast.activities.notifications import NotificationActivities
from holdfast.domain import wire
from holdfast.notifications.webhook import WebhookSender
from holdfast.runtime.connection import connect_temporal, require_database_url
from holdfast.runtime.settings import read_settings
from holdfast.store.pool import open_pool
from tests.notifications.notices import notifications, webhook


async def _send(tenant: str, url: str) -> None:
    settings = read_settings()
    async with await open_pool(require_database_url(settings)) as pool, WebhookSender() as sender:
        activities = NotificationActivities(pool, notifications(tenant, webhook(url)), sender)
        worker = Worker(
            await connect_temporal(settings),
            task_queue=wire.notifications_queue(settings.task_queue),
            activities=[activities.send_delivery],
        )
        await worker.run()


asyncio.run(_send(*sys.argv[1:]))
