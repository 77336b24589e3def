"""The fence around what is recorded outside of steps: a late attempt cannot act after its successor."""

from datetime import timedelta

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


async def prune_attempts(connection: Connection, older_than: timedelta) -> None:
    """Forget attempts that nobody can be late for any more."""
    await connection.execute(
        "delete from holdfast.attempts where begun_at < now() - $1::interval", older_than
    )
