"""Notifications, for operators: how they ended, and sending dead ones again."""

from collections.abc import Sequence
from typing import get_args

from holdfast.client.operations import Operations
from holdfast.client.records import Records
from holdfast.client.requests import REQUEST_SECONDS
from holdfast.client.validation import require_id, require_number
from holdfast.domain.errors import InvalidRequest
from holdfast.domain.notifications import DeliveryState
from holdfast.domain.operations import DELIVERIES_AT_ONCE, RedriveRequest
from holdfast.domain.records import DeliveryRecord
from holdfast.store import deliveries


class Deliveries:
    """The notifications of one tenant: `HoldfastClient.deliveries`."""

    def __init__(self, records: Records, operations: Operations) -> None:
        self._records = records
        self._operations = operations

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

        Raises:
            DeliveryNotFound, DeliveryNotDead, InvalidRequest.
        """
        if not ids:
            raise InvalidRequest("name the deliveries that are to be sent again")
        for one in ids:
            require_id(one, "delivery")
        return await self._redrive(tuple(ids), by, timeout)

    async def redrive_all(
        self, *, by: str | None = None, timeout: float | None = REQUEST_SECONDS
    ) -> Sequence[str]:
        """Send every dead delivery of the tenant again, a thousand at once; their ids."""
        redriven: list[str] = []
        while True:
            some = await self._redrive(None, by, timeout)
            redriven += some
            if len(some) < DELIVERIES_AT_ONCE:
                return redriven

    async def _redrive(
        self, ids: tuple[str, ...] | None, by: str | None, timeout: float | None
    ) -> Sequence[str]:
        if by is not None:
            require_id(by, "person")
        request = RedriveRequest(tenant=self._records.tenant, deliveries=ids, by=by)
        return [*(await self._operations.run(request, timeout=timeout)).deliveries]
