"""Statements of people that were handed in: each counts once, whatever came of it."""

import hashlib
from datetime import timedelta

from holdfast.store.pool import Connection


async def spend(connection: Connection, tenant: str, statement: str, *, by: str) -> bool:
    """Spend a genuine statement in the caller's transaction; False where it is spent. That holds for
    another attempt of the activity `by`, too: its caller chooses its id and its attempts. What an
    attempt before has recorded is to be looked for before this.

    What counts is what was signed, since one signature can be written in several ways, and with an
    elliptic curve everybody can make a second one from it. The whole text is spent beside it: earlier
    versions wrote that alone, and one of them may be running still.
    """
    signed = statement.rpartition(".")[0] or statement
    texts = {signed, statement}
    spent = await connection.fetch(
        """
        insert into holdfast.spent_statements (tenant, digest, spent_by)
        select $1, digest, $3 from unnest($2::text[]) as digest
        on conflict do nothing returning digest
        """,
        tenant,
        sorted(hashlib.sha256(text.encode()).hexdigest() for text in texts),
        by,
    )
    return len(spent) == len(texts)


async def prune_spent(connection: Connection, older: timedelta) -> None:
    """Forget statements that were spent so long ago; they must have expired since, which they do within a
    day."""
    await connection.execute(
        "delete from holdfast.spent_statements where spent_at < now() - $1::interval", older
    )
