"""What the tests of deliveries work with: the outbox, the workflow, workers that send."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer, Worker

from holdfast.activities.notifications import NotificationActivities
from holdfast.activities.operations import OperationActivities
from holdfast.client import HoldfastClient
from holdfast.domain import wire
from holdfast.domain.notifications import DeliveryState, Notice, NotificationStart
from holdfast.domain.records import DeliveryRecord
from holdfast.notifications.config import Notifications
from holdfast.notifications.outbox import enqueue
from holdfast.notifications.webhook import WebhookSender
from holdfast.runtime.plugin import PLUGIN
from holdfast.runtime.settings import Settings
from holdfast.store.pool import Pool
from holdfast.testing import eventually
from holdfast.workflows.notifications import NotificationWorkflow
from holdfast.workflows.operations import OperationWorkflow
from tests.notifications.parent import Parent

ROOT = Path(__file__).parents[2]


@dataclass
class Office:
    """One tenant's notifications."""

    tenant: str
    settings: Settings
    temporal: Client
    pool: Pool
    client: HoldfastClient

    async def enqueue(self, notifications: Notifications, notice: Notice) -> tuple[str, ...]:
        """Write a notice's deliveries down, in a transaction of their own."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await enqueue(connection, notifications, notice)

    async def start(self, deliveries: tuple[str, ...]) -> WorkflowHandle[Any, Any]:
        """Start their workflow as a conversation does; the handle of that workflow."""
        start = NotificationStart(
            tenant=self.tenant,
            conversation="c1",
            task_queue=self.settings.task_queue,
            deliveries=deliveries,
        )
        await self.temporal.execute_workflow(
            Parent.run,
            start,
            id=f"{self.tenant}/parent",
            task_queue=wire.notifications_queue(self.settings.task_queue),
        )
        return self.sending(deliveries[0])

    def sending(self, batch: str) -> WorkflowHandle[Any, Any]:
        """The workflow that sends a batch."""
        return self.temporal.get_workflow_handle(f"{self.tenant}/c1/notifications/{batch}")

    async def delivery(self, delivery: str) -> DeliveryRecord:
        """How a delivery is now."""
        found = await self.client.deliveries.list()
        return next(one for one in found if one.id == delivery)

    async def becomes(self, delivery: str, state: DeliveryState) -> DeliveryRecord:
        """The delivery, once it is in that state."""

        async def reached() -> DeliveryRecord | None:
            found = await self.delivery(delivery)
            return found if found.state == state else None

        found: DeliveryRecord = await eventually(reached, what=f"{delivery} to be {state}")
        return found

    async def replay(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Replay what a workflow of notifications has done so far."""
        replayer = Replayer(workflows=[NotificationWorkflow], plugins=[PLUGIN])
        await replayer.replay_workflow(await handle.fetch_history())

    async def age(self, *deliveries: str) -> None:
        """Let deliveries have been forgotten for two days."""
        await self.pool.execute(
            """
            update holdfast.deliveries
               set driven_at = driven_at - interval '2 days',
                   attempted_at = attempted_at - interval '2 days'
             where tenant = $1 and id = any($2)
            """,
            self.tenant,
            deliveries,
        )

    @asynccontextmanager
    async def working(
        self, notifications: Notifications, *, timeout: float = 5.0
    ) -> AsyncIterator[None]:
        """Workers on both of the office's queues."""
        async with self.deciding(), self.delivering(notifications, timeout=timeout):
            yield

    @asynccontextmanager
    async def operating(self) -> AsyncIterator[None]:
        """Workers that carry out what operators ask for."""
        activities = OperationActivities(self.pool, self.settings.task_queue)
        async with (
            Worker(
                self.temporal,
                task_queue=wire.workflows_queue(self.settings.task_queue),
                workflows=[OperationWorkflow],
                plugins=[PLUGIN],
            ),
            Worker(
                self.temporal,
                task_queue=wire.subgraphs_queue(self.settings.task_queue),
                activities=[activities.redrive_deliveries],
            ),
        ):
            yield

    def deciding(self) -> Worker:
        """A worker for the workflows alone."""
        return Worker(
            self.temporal,
            task_queue=wire.notifications_queue(self.settings.task_queue),
            workflows=[NotificationWorkflow, Parent],
            plugins=[PLUGIN],
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        )

    @asynccontextmanager
    async def delivering(
        self, notifications: Notifications, *, timeout: float = 5.0
    ) -> AsyncIterator[None]:
        """A worker that sends by this configuration."""
        async with WebhookSender(timeout=timeout) as sender:
            activities = NotificationActivities(self.pool, notifications, sender)
            async with Worker(
                self.temporal,
                task_queue=wire.notifications_queue(self.settings.task_queue),
                activities=[activities.send_delivery],
                graceful_shutdown_timeout=timedelta(seconds=1),
            ):
                yield

    async def sender_process(self, url: str, **environment: str) -> asyncio.subprocess.Process:
        """A process that sends webhooks to `url`."""
        assert self.settings.database_url is not None
        assert self.settings.temporal_address is not None
        settings: Mapping[str, str] = {
            "HOLDFAST_TEMPORAL_ADDRESS": self.settings.temporal_address,
            "HOLDFAST_DATABASE_URL": self.settings.database_url.get_secret_value(),
            "HOLDFAST_TASK_QUEUE": self.settings.task_queue,
            "PYTHONPATH": str(ROOT),
        }
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.notifications.sender",
            self.tenant,
            url,
            env={**os.environ, **settings, **environment},
            cwd=ROOT,
        )
