"""The audit log of a tenant: whether it is whole, and what it says."""

from collections.abc import AsyncIterator

from holdfast.client.operations import Operations
from holdfast.client.records import Records
from holdfast.client.validation import require_id, require_number
from holdfast.domain.audit import AuditEntry, AuditReport
from holdfast.domain.operations import ExportRequest
from holdfast.store.audit import read_audit, verify_audit


class AuditLog:
    """The audit log of one tenant: `HoldfastClient.audit`."""

    def __init__(self, records: Records, operations: Operations) -> None:
        self._records = records
        self._operations = operations

    async def verify(self, *, expected_head: str | None = None) -> AuditReport:
        """Whether this tenant's audit log is whole; `expected_head` is that of an earlier report.

        Raises:
            InvalidRequest: `expected_head` is no head.
        """
        async with (
            self._records.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await verify_audit(connection, self._records.tenant, expected_head=expected_head)

    async def entries(self, *, after: int = 0) -> AsyncIterator[AuditEntry]:
        """The entries of this tenant's audit log numbered above `after`, in order.

        Raises:
            AuditBroken: an entry has become unreadable.
            InvalidRequest: no entry can have this number.
        """
        require_number(after, "after")
        while True:
            # No connection is held while the caller works on the entries, or waits for a pager.
            async with self._records.connection() as connection:
                entries = await read_audit(connection, self._records.tenant, after=after)
            for entry in entries:
                yield entry
            if not entries:
                return
            after = entries[-1].seq

    async def export(
        self, *, after: int = 0, reader: str | None = None
    ) -> AsyncIterator[AuditEntry]:
        """The entries as `entries` gives them, and one of its own that says that they were exported, and by
        whom; it comes last.

        Raises:
            AuditBroken, InvalidRequest.
        """
        if reader is not None:
            require_id(reader, "reader")
        require_number(after, "after")
        await self._operations.run(
            ExportRequest(tenant=self._records.tenant, reader=reader, after=after)
        )
        async for entry in self.entries(after=after):
            yield entry
