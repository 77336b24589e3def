"""Statements of people that were handed in: each counts once, whatever came of it."""

import hashlib
from datetime import timedelta

from holdfast.store.pool import Connection


async def spend(connection: Connection, tenant: str, statement: str, *, by: str) -> bool:
    """Spend a genuine statement in the caller's transaction; False where somebody else did. The same
    `by`, an attempt of the same activity, may do so again."""
    spent = await connection.fetchval(
        """
        insert into holdfast.spent_statements as spent (tenant, digest, spent_by)
        values ($1, $2, $3)
        on conflict (tenant, digest) do update set spent_by = spent.spent_by
        returning spent_by
        """,
        tenant,
        hashlib.sha256(statement.encode()).hexdigest(),
        by,
    )
    return bool(spent == by)


async def prune_spent(connection: Connection, older: timedelta) -> None:
    """Forget statements that were spent so long ago; they must have expired since, which they do within a
    day."""
    await connection.execute(
        "delete from holdfast.spent_statements where spent_at < now() - $1::interval", older
    )
