"""What operators do about notifications: see what became of them, and send those again that were given up."""

from collections.abc import Sequence
from functools import partial
from typing import get_args

from temporalio.client import Client

from holdfast.client.checking import require_id, require_number
from holdfast.client.delivery import deliver
from holdfast.client.records import Records
from holdfast.client.requests import REQUEST_SECONDS
from holdfast.domain.errors import InvalidRequest
from holdfast.domain.identity import ConversationKey
from holdfast.domain.notifications import DeliveryState
from holdfast.domain.records import DeliveryRecord
from holdfast.notifications.batches import send_batch
from holdfast.store import deliveries
from holdfast.store.audit import append_audit


class Deliveries:
    """The notifications of one tenant: `HoldfastClient.deliveries`."""

    def __init__(self, records: Records, temporal: Client, task_queue: str) -> None:
        self._records = records
        self._temporal = temporal
        self._task_queue = task_queue

    async def list(
        self, *, state: DeliveryState | None = None, limit: int = 100
    ) -> Sequence[DeliveryRecord]:
        """At most `limit` notifications of approvals, the newest first; in `state` (None: in any).

        A `dead` one was given up, since its receiver took nothing for a day, say.

        Raises:
            InvalidRequest: there is no such state, or `limit` is no number of deliveries.
        """
        require_number(limit, "limit", least=1)
        if state is not None and state not in get_args(DeliveryState):
            raise InvalidRequest(f"no delivery can be {state!r}")
        async with self._records.connection() as connection:
            return await deliveries.list_deliveries(
                connection, self._records.tenant, state=state, limit=limit
            )

    async def redrive(
        self,
        ids: Sequence[str],
        *,
        by: str | None = None,
        timeout: float | None = REQUEST_SECONDS,
    ) -> Sequence[str]:
        """Send dead deliveries again, under their old ids, all of them or none; their ids. The audit log
        keeps that, and who did it.

        Where Temporal does not answer, they are sent within an hour, by the workers' sweep.

        Raises:
            DeliveryNotFound, DeliveryNotDead, InvalidRequest.
        """
        if not ids:
            raise InvalidRequest("name the deliveries that are to be sent again")
        for one in ids:
            require_id(one, "delivery")
        return await self._redrive(list(ids), by, timeout)

    async def redrive_all(
        self, *, by: str | None = None, timeout: float | None = REQUEST_SECONDS
    ) -> Sequence[str]:
        """Send every dead delivery of the tenant again; their ids."""
        return await self._redrive(None, by, timeout)

    async def _redrive(
        self, ids: Sequence[str] | None, by: str | None, timeout: float | None
    ) -> Sequence[str]:
        if by is not None:
            require_id(by, "person")
        async with self._records.connection() as connection, connection.transaction():
            batches = await deliveries.revive(connection, self._records.tenant, ids)
            revived = sorted(one for batch in batches for one in batch.deliveries)
            if revived:
                await append_audit(
                    connection,
                    ConversationKey(self._records.tenant, ""),
                    kind="deliveries_redriven",
                    subject=revived[0],
                    data={"deliveries": [*revived], "by": by},
                )
        for batch in batches:
            await deliver(
                partial(send_batch, self._temporal, self._task_queue, batch),
                what=f"the start of batch {batch.batch}",
                timeout=timeout,
            )
        return revived
