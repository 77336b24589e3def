"""Deliveries of notifications: one row for each notice and receiver, with the results of its attempts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from asyncpg import Record

from holdfast.domain.errors import DeliveryNotDead, DeliveryNotFound
from holdfast.domain.identity import ConversationKey
from holdfast.domain.model import Frozen
from holdfast.domain.notifications import ChannelKind, DeliveryState, Payload
from holdfast.domain.records import DeliveryRecord
from holdfast.store.pool import Connection

_COLUMNS = """
    id, batch, conversation, approval, kind, channel, recipient, payload, state, attempts, last_status,
    last_error, created_at, driven_at, attempted_at, settled_at
"""


class NewDelivery(Frozen):
    """A delivery before its first attempt. `recipient` is the address of an e-mail; `patience` is
    how long it is tried before it is given up."""

    id: str
    batch: str
    kind: ChannelKind
    channel: str
    recipient: str | None
    payload: Payload
    patience: timedelta


class Batch(Frozen):
    """Deliveries that one workflow sends."""

    key: ConversationKey
    batch: str
    deliveries: tuple[str, ...]


async def insert_deliveries(
    connection: Connection, tenant: str, deliveries: Sequence[NewDelivery]
) -> None:
    """Write deliveries down; one that is there already stays as it is."""
    await connection.executemany(
        """
        insert into holdfast.deliveries
            (tenant, id, batch, conversation, approval, kind, channel, recipient, payload, patience)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing
        """,
        [
            (
                tenant,
                one.id,
                one.batch,
                one.payload.data.conversation,
                one.payload.data.approval,
                one.kind,
                one.channel,
                one.recipient,
                one.payload.model_dump(mode="json"),
                one.patience,
            )
            for one in deliveries
        ],
    )


async def begin_attempt(
    connection: Connection, tenant: str, delivery: str
) -> DeliveryRecord | None:
    """Count an attempt at a pending delivery; None when it is settled."""
    row = await connection.fetchrow(
        f"""
        update holdfast.deliveries set attempts = attempts + 1, attempted_at = now()
         where tenant = $1 and id = $2 and state = 'pending' returning {_COLUMNS}
        """,
        tenant,
        delivery,
    )
    return DeliveryRecord.model_validate(dict(row)) if row is not None else None


async def record_delivered(
    connection: Connection, tenant: str, delivery: str, *, status: int | None
) -> None:
    """Record that the receiver has it, also where it had been given up meanwhile."""
    await connection.execute(
        """
        update holdfast.deliveries
           set state = 'delivered', settled_at = now(), last_status = $3, last_error = null
         where tenant = $1 and id = $2 and state <> 'delivered'
        """,
        tenant,
        delivery,
        status,
    )


async def record_failed(
    connection: Connection,
    tenant: str,
    delivery: str,
    *,
    status: int | None,
    error: str,
    final: bool,
) -> DeliveryState | None:
    """Record a failed attempt; the delivery's state now. It is dead once its patience is over, or
    when the failure is `final`."""
    state: DeliveryState | None = await connection.fetchval(
        """
        update holdfast.deliveries as delivery
           set last_status = $3, last_error = $4, state = next.state,
               settled_at = case when next.state = 'dead' then now() end
          from (select tenant, id,
                       case when $5 or now() >= driven_at + patience then 'dead' else state end as state
                  from holdfast.deliveries
                 where tenant = $1 and id = $2 and state = 'pending' for update) as next
         where delivery.tenant = next.tenant and delivery.id = next.id
        returning delivery.state
        """,
        tenant,
        delivery,
        status,
        error,
        final,
    )
    return state if state is not None else await state_of(connection, tenant, delivery)


async def state_of(connection: Connection, tenant: str, delivery: str) -> DeliveryState | None:
    """The state of a delivery; None when there is no such delivery."""
    state: DeliveryState | None = await connection.fetchval(
        "select state from holdfast.deliveries where tenant = $1 and id = $2", tenant, delivery
    )
    return state


async def list_deliveries(
    connection: Connection, tenant: str, *, state: DeliveryState | None, limit: int
) -> list[DeliveryRecord]:
    """Deliveries of a tenant in a state (None: in any), the newest first, at most `limit`."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from holdfast.deliveries
         where tenant = $1 and ($2::text is null or state = $2)
         order by created_at desc, id limit $3
        """,
        tenant,
        state,
        limit,
    )
    return [DeliveryRecord.model_validate(dict(row)) for row in rows]


async def revive(
    connection: Connection, tenant: str, deliveries: Sequence[str] | None, *, at_most: int
) -> list[Batch]:
    """Make dead deliveries pending again, those named or (None) the oldest, `at_most` so many, in the
    caller's transaction; what is to be sent.

    Raises:
        DeliveryNotFound, DeliveryNotDead: one of those named; then the transaction has to be undone.
    """
    rows = await connection.fetch(
        """
        update holdfast.deliveries
           set state = 'pending', driven_at = now(), settled_at = null
         where tenant = $1 and state = 'dead'
           and id in (select id from holdfast.deliveries
                       where tenant = $1 and state = 'dead' and ($2::text[] is null or id = any($2))
                       order by created_at, id limit case when $2 is null then $3::int end for update)
        returning tenant, id, batch, conversation
        """,
        tenant,
        deliveries,
        at_most,
    )
    revived = {row["id"] for row in rows}
    for delivery in deliveries or ():
        if delivery in revived:
            continue
        state = await state_of(connection, tenant, delivery)
        if state is None:
            raise DeliveryNotFound(f"tenant {tenant!r} has no delivery {delivery!r}")
        raise DeliveryNotDead(f"delivery {delivery} is {state}; only a dead one can be redriven")
    return _batches(rows)


async def list_revived(connection: Connection, tenant: str, *, at: datetime) -> list[Batch]:
    """What the transaction of that time has made pending again."""
    rows = await connection.fetch(
        """
        select tenant, id, batch, conversation from holdfast.deliveries
         where tenant = $1 and driven_at = $2
        """,
        tenant,
        at,
    )
    return _batches(rows)


async def list_forgotten(connection: Connection, *, older: timedelta) -> list[Batch]:
    """Pending deliveries of all tenants that nobody has tried for that long, the oldest first, some
    thousand at most."""
    rows = await connection.fetch(
        """
        select tenant, id, batch, conversation from holdfast.deliveries
         where state = 'pending' and driven_at < now() - $1::interval
           and coalesce(attempted_at, driven_at) < now() - $1::interval
         order by driven_at limit 1000
        """,
        older,
    )
    return _batches(rows)


def _batches(rows: Sequence[Record]) -> list[Batch]:
    grouped: dict[tuple[ConversationKey, str], list[str]] = {}
    for row in rows:
        key = ConversationKey(row["tenant"], row["conversation"])
        grouped.setdefault((key, row["batch"]), []).append(row["id"])
    return [
        Batch(key=key, batch=batch, deliveries=tuple(sorted(ids)))
        for (key, batch), ids in grouped.items()
    ]
