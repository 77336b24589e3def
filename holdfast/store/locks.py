"""Locks on names. Nobody waits for one in Postgres: a connection that waits is one that others lack."""

from holdfast.domain.errors import LockTaken
from holdfast.store.faults import reach
from holdfast.store.pool import Connection


async def take_lock(connection: Connection, name: str) -> None:
    """Hold the lock until the transaction ends. Under READ COMMITTED, what is read afterwards is as the
    former holder has left it.

    Raises:
        LockTaken: others hold it. The caller rolls back and tries again (`activities.lock_retries`).
    """
    if not await connection.fetchval(
        "select pg_try_advisory_xact_lock(hashtextextended($1, 0))", name
    ):
        await reach("lock_taken")
        raise LockTaken(name)
