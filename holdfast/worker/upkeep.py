"""What a worker process keeps doing beside its tasks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client

from holdfast.activities.changes import keep_noting_changes
from holdfast.activities.services import Services
from holdfast.notifications.batches import keep_sweeping
from holdfast.runtime.settings import Settings
from holdfast.store.attempts import prune_attempts
from holdfast.store.llm_calls import prune_requests
from holdfast.store.pool import TRANSIENT_ERRORS
from holdfast.store.statements import prune_spent
from holdfast.worker.roles import Role

_logger = logging.getLogger("holdfast.worker")

_PRUNE_SECONDS = 3600.0
_ATTEMPTS_KEPT = timedelta(days=1)
_STATEMENTS_KEPT = timedelta(days=2)


@asynccontextmanager
async def upkeep(
    client: Client, services: Services, settings: Settings, role: Role
) -> AsyncIterator[None]:
    """Keep everything up while the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        keeping_in_touch = asyncio.create_task(services.fleet.keep(client))
        stack.push_async_callback(_cancelled, keeping_in_touch)
        duties = [
            _prune(services, settings),
            services.registry.policies.watch(),
            services.notifications.watch(),
            keep_noting_changes(services),
        ]
        if role.includes(Role.NOTIFICATIONS):
            duties.append(keep_sweeping(client, services.pool, settings.task_queue))
        for duty in duties:
            stack.callback(asyncio.create_task(duty).cancel)
        yield


async def _prune(services: Services, settings: Settings) -> None:
    """Remove whole model requests that are older than the settings want, and attempts that nobody can be
    late for any more, now and every hour."""
    while True:
        try:
            async with services.pool.acquire() as connection:
                await prune_requests(connection, timedelta(days=settings.model_request_days))
                await prune_attempts(connection, _ATTEMPTS_KEPT)
                await prune_spent(connection, _STATEMENTS_KEPT)
        except TRANSIENT_ERRORS as error:
            _logger.warning("old rows are pruned an hour later: %s", error)
        await asyncio.sleep(_PRUNE_SECONDS)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, *TRANSIENT_ERRORS):
        await task
