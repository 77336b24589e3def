"""Starts the workflows that send deliveries: of those that were redriven, and of those forgotten."""

import asyncio
import logging
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from temporalio.service import RPCError

from holdfast.domain import wire
from holdfast.domain.notifications import NotificationStart, notification_workflow_id
from holdfast.store.deliveries import Batch, list_forgotten
from holdfast.store.pool import TRANSIENT_ERRORS, Pool

_logger = logging.getLogger("holdfast.notifications")

FORGOTTEN_AFTER = timedelta(minutes=30)
"""A delivery that is being sent is tried at least every ten minutes."""

_SWEEP_SECONDS = 3600.0
_PASSING_ERRORS: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, RPCError)
_TENANT = SearchAttributeKey.for_keyword("HoldfastTenant")


async def send_batch(temporal: Client, task_queue: str, batch: Batch) -> None:
    """Have deliveries sent: by the batch's workflow where it runs, else by a new run of it.

    Raises what the SDK raises: `RPCError`.
    """
    key = batch.key
    await temporal.start_workflow(
        wire.NOTIFICATION_WORKFLOW,
        NotificationStart(**key.fields, task_queue=task_queue),
        id=notification_workflow_id(key, batch.batch),
        task_queue=wire.notifications_queue(task_queue),
        start_signal=wire.SEND_ALSO,
        start_signal_args=[list(batch.deliveries)],
        search_attributes=TypedSearchAttributes([SearchAttributePair(_TENANT, key.tenant)]),
        static_summary=f"Notifications of conversation {key.conversation}",
        priority=Priority(fairness_key=key.tenant),
    )


async def sweep(
    temporal: Client, pool: Pool, task_queue: str, *, older: timedelta = FORGOTTEN_AFTER
) -> int:
    """Have the deliveries sent that nobody has tried for that long, since their conversation was
    terminated before it started their workflow, say; their number."""
    async with pool.acquire() as connection:
        batches = await list_forgotten(connection, older=older)
    for batch in batches:
        await send_batch(temporal, task_queue, batch)
    return sum(len(batch.deliveries) for batch in batches)


async def keep_sweeping(temporal: Client, pool: Pool, task_queue: str) -> None:
    """Sweep now and every hour, until cancelled."""
    while True:
        try:
            if swept := await sweep(temporal, pool, task_queue):
                _logger.warning("%s forgotten deliveries are being sent again", swept)
        except _PASSING_ERRORS as error:
            _logger.warning("forgotten deliveries are looked for an hour later: %s", error)
        await asyncio.sleep(_SWEEP_SECONDS)
