"""The fence around what is recorded outside of steps: a late attempt cannot act after its successor."""

from datetime import datetime, timedelta

from holdfast.domain.identity import ConversationKey
from holdfast.store.pool import Connection


async def begin_attempt(
    connection: Connection, key: ConversationKey, *, activity: str, attempt: int
) -> bool:
    """Note in this transaction that the attempt acts; False when a later one has acted already.

    Two attempts at once take turns: the second waits here until the transaction of the first ends.
    """
    begun = await connection.fetchval(
        """
        insert into holdfast.attempts as known (tenant, conversation, activity, attempt)
        values ($1, $2, $3, $4)
        on conflict (tenant, conversation, activity) do update
           set attempt = excluded.attempt, begun_at = now()
         where known.attempt <= excluded.attempt
        returning true
        """,
        key.tenant,
        key.conversation,
        activity,
        attempt,
    )
    return bool(begun)


async def recorded_at(
    connection: Connection, key: ConversationKey, *, activity: str
) -> datetime | None:
    """When another attempt of the activity has recorded what it is for: the time of its transaction. None
    where none has; then this transaction does.

    Two attempts at once take turns, as in `begin_attempt`.
    """
    place = (key.tenant, key.conversation, activity)
    first = await connection.fetchval(
        """
        insert into holdfast.attempts (tenant, conversation, activity, attempt)
        values ($1, $2, $3, 1) on conflict do nothing returning true
        """,
        *place,
    )
    if first:
        return None
    found: datetime = await connection.fetchval(
        """
        select begun_at from holdfast.attempts
         where tenant = $1 and conversation = $2 and activity = $3
        """,
        *place,
    )
    return found


async def prune_attempts(connection: Connection, older_than: timedelta) -> None:
    """Forget attempts that nobody can be late for any more."""
    await connection.execute(
        "delete from holdfast.attempts where begun_at < now() - $1::interval", older_than
    )
