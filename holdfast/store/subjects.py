"""What actions are about: locks on it, and looks at the database that leave no trace."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from holdfast.store.pool import Connection


async def lock_subjects(connection: Connection, tenant: str, subjects: Iterable[str]) -> None:
    """Let no other action on one of these run or be rehearsed until the transaction ends; always in the
    same order. Under READ COMMITTED, what is read afterwards is as the former holder has left it."""
    for subject in sorted(set(subjects)):
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{tenant}/subject/{subject}"
        )


@asynccontextmanager
async def reading(connection: Connection) -> AsyncIterator[Connection]:
    """A part of the connection's transaction in which Postgres refuses writes."""
    await connection.execute("savepoint reading; set local transaction_read_only = on")
    try:
        yield connection
    finally:
        await connection.execute("rollback to savepoint reading; release savepoint reading")
