"""What a worker process keeps doing beside its tasks."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from temporalio.client import Client

from holdfast.activities.changes import keep_noting_changes
from holdfast.activities.resources import Resources
from holdfast.notifications.batches import keep_sweeping
from holdfast.runtime.settings import Settings
from holdfast.store.attempt_fence import prune_attempts
from holdfast.store.llm_calls import prune_requests
from holdfast.store.pool import TRANSIENT_ERRORS
from holdfast.store.statements import prune_spent
from holdfast.worker.roles import Role

_logger = logging.getLogger("holdfast.worker")

_Duty = Callable[[], Awaitable[None]]

_RESTART_SECONDS = 60.0
_PRUNE_SECONDS = 3600.0
_ATTEMPTS_KEPT = timedelta(days=1)
_STATEMENTS_KEPT = timedelta(days=2)


@asynccontextmanager
async def upkeep(
    client: Client, resources: Resources, settings: Settings, role: Role
) -> AsyncIterator[None]:
    """Keep everything up while the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        keeping_in_touch = asyncio.create_task(resources.fleet.keep(client))
        stack.push_async_callback(_cancelled, keeping_in_touch)
        duties: dict[str, _Duty] = {
            "pruning": partial(_prune, resources, settings),
            "the watch over policies": resources.registry.policies.watch,
            "the watch over notifications": resources.notifications.watch,
            "the notes of changes": partial(keep_noting_changes, resources),
        }
        if role.includes(Role.NOTIFICATIONS):
            sweeping = partial(keep_sweeping, client, resources.pool, settings.task_queue)
            duties["the sweep of deliveries"] = sweeping
        for name, duty in duties.items():
            stack.callback(asyncio.create_task(keep_up(name, duty)).cancel)
        yield


async def keep_up(name: str, duty: _Duty, *, pause: float = _RESTART_SECONDS) -> None:
    """Do a duty until cancelled; where it fails, that is logged, and it begins again after a pause in
    seconds. A duty that returns is done."""
    while True:
        try:
            return await duty()
        except Exception:
            _logger.exception("%s failed, and begins again in %s s", name, pause)
        await asyncio.sleep(pause)


async def _prune(resources: Resources, settings: Settings) -> None:
    """Remove whole model requests that are older than the settings want, and attempts that nobody can be
    late for any more, now and every hour."""
    while True:
        try:
            async with resources.pool.acquire() as connection:
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
