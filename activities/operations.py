"""The activities that carry out operations, each once, however often it is tried."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from pydantic import JsonValue
from temporalio import activity

from holdfast.activities.attempts import heartbeating
from holdfast.activities.refusals import refused, this_activity
from holdfast.domain import wire
from holdfast.domain.errors import InvalidRequest, Refused
from holdfast.domain.identity import ConversationKey
from holdfast.domain.operations import (
    DELIVERIES_AT_ONCE,
    ExportRequest,
    ForkRequest,
    OperationReport,
    ReadingRequest,
    RedriveRequest,
    SightingRequest,
)
from holdfast.notifications.batches import send_batch
from holdfast.store import deliveries
from holdfast.store.approvals import read_approval
from holdfast.store.attempt_fence import recorded_at
from holdfast.store.audit import append_audit, append_sighting, receipt_of
from holdfast.store.conversations import fork_conversation, read_conversation
from holdfast.store.deliveries import Batch
from holdfast.store.faults import reach
from holdfast.store.pool import Connection, Pool


class OperationActivities:
    """Writes what operators and reviewers have done outside of a conversation's workflow."""

    def __init__(self, pool: Pool, task_queue: str) -> None:
        self._pool = pool
        self._task_queue = task_queue

    @activity.defn(name=wire.FORK_CONVERSATION)
    @heartbeating
    async def fork_conversation(self, request: ForkRequest) -> OperationReport:
        """Create a conversation from the turns of another one.

        Raises:
            ApplicationError: refused, as `ConversationNotFound`, `ConversationExists` or `TurnNotFound`.
        """
        key = ConversationKey(request.tenant, request.conversation)
        async with self._recording(key) as (connection, done):
            if done is None:
                await fork_conversation(connection, key.turn_key(request.turn), request.target)
                await append_audit(
                    connection,
                    key,
                    kind="conversation_forked",
                    subject=request.target,
                    data={"turn": request.turn, "by": request.by},
                )
        return OperationReport()

    @activity.defn(name=wire.RECORD_READING)
    @heartbeating
    async def record_reading(self, request: ReadingRequest) -> OperationReport:
        """Note in the audit log that a person has read a conversation.

        Raises:
            ApplicationError: refused, as `ConversationNotFound`.
        """
        return await self._note(
            ConversationKey(request.tenant, request.conversation),
            kind="conversation_read",
            subject=request.conversation,
            data={
                "reader": request.reader,
                "turns": request.turns,
                "messages": request.messages,
            },
        )

    @activity.defn(name=wire.RECORD_SIGHTING)
    @heartbeating
    async def record_sighting(self, request: SightingRequest) -> OperationReport:
        """Note in the audit log that a reviewer has seen an approval, unless that is noted.

        Raises:
            ApplicationError: refused, as `ApprovalNotFound`; or as `InvalidRequest`, where the request
                doesn't know what only readers of the approval know.
        """
        async with self._recording(_tenant_key(request.tenant)) as (connection, _):
            record = await read_approval(connection, request.tenant, request.approval)
            # Silence may allow what somebody has seen, so a claim to have seen it is not enough.
            if request.receipt != await receipt_of(connection, request.tenant, record.id):
                raise InvalidRequest(f"nobody was shown approval {record.id} with this receipt")
            await append_sighting(
                connection,
                ConversationKey(request.tenant, record.conversation),
                approval=record.id,
                reviewer=request.reviewer,
                digest=request.digest,
            )
        return OperationReport()

    @activity.defn(name=wire.RECORD_EXPORT)
    @heartbeating
    async def record_export(self, request: ExportRequest) -> OperationReport:
        """Note in the audit log that somebody exports it."""
        return await self._note(
            _tenant_key(request.tenant),
            kind="audit_exported",
            subject=request.tenant,
            data={"reader": request.reader, "after": request.after},
        )

    @activity.defn(name=wire.REDRIVE_DELIVERIES)
    @heartbeating
    async def redrive_deliveries(self, request: RedriveRequest) -> OperationReport:
        """Make dead deliveries pending, and have them sent.

        Raises:
            ApplicationError: refused, as `DeliveryNotFound` or `DeliveryNotDead`.
        """
        async with self._recording(_tenant_key(request.tenant)) as (connection, done):
            if done is None:
                batches = await _revive(connection, request)
            else:
                batches = await deliveries.list_revived(connection, request.tenant, at=done)
        for batch in batches:
            await send_batch(activity.client(), self._task_queue, batch)
        return OperationReport(deliveries=_ids(batches))

    async def _note(
        self, key: ConversationKey, *, kind: str, subject: str, data: dict[str, JsonValue]
    ) -> OperationReport:
        """Append an entry to the audit log; where it is about a conversation, that has to exist."""
        async with self._recording(key) as (connection, done):
            if key.conversation:
                await read_conversation(connection, key)
            if done is None:
                await append_audit(connection, key, kind=kind, subject=subject, data=data)
        return OperationReport()

    @asynccontextmanager
    async def _recording(
        self, key: ConversationKey
    ) -> AsyncIterator[tuple[Connection, datetime | None]]:
        """The transaction in which this activity records something, and when an earlier attempt has done so,
        if one has.

        Raises:
            ApplicationError: for what is refused in the context, which is undone.
        """
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection, await recorded_at(connection, key, activity=this_activity())
        except Refused as error:
            raise refused(error) from None
        await reach("after_operation_commit")


async def _revive(connection: Connection, request: RedriveRequest) -> list[Batch]:
    batches = await deliveries.revive(
        connection, request.tenant, request.deliveries, at_most=DELIVERIES_AT_ONCE
    )
    if revived := _ids(batches):
        await append_audit(
            connection,
            _tenant_key(request.tenant),
            kind="deliveries_redriven",
            subject=revived[0],
            data={"deliveries": [*revived], "by": request.by},
        )
    return batches


def _tenant_key(tenant: str) -> ConversationKey:
    """The key of what is about no conversation of the tenant."""
    return ConversationKey(tenant, "")


def _ids(batches: list[Batch]) -> tuple[str, ...]:
    return tuple(sorted(one for batch in batches for one in batch.deliveries))
