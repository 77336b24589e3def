"""What actions are about: locks on it, and looks at the database that leave no trace."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg

from holdfast.domain.errors import LockTaken, TransactionEnded
from holdfast.store.faults import reach
from holdfast.store.locks import take_lock
from holdfast.store.pool import Connection, Pool, is_gone, lend

_BEGIN_READING = "set local idle_in_transaction_session_timeout = '10min'; select 1"


async def lock_subjects(connection: Connection, tenant: str, subjects: Iterable[str]) -> None:
    """Let no other action on one of these run or be rehearsed until the transaction ends.

    Raises:
        LockTaken: one runs, or is rehearsed.
    """
    for subject in sorted(set(subjects)):
        await take_lock(connection, _key(tenant, subject))


async def require_no_call(
    connection: Connection, tenant: str, subjects: Iterable[str], *, besides: str | None = None
) -> None:
    """Make sure that no action on one of these, other than `besides`, is under way on another system.
    Such an action can hold no lock of a transaction: it holds its subjects by its record, which outlives
    its worker. The caller has locked the subjects.

    Raises:
        LockTaken: one is.
    """
    held = await connection.fetchval(
        """
        select min(execution.subject) from holdfast.executions as execution
          join holdfast.actions as action
            on action.tenant = execution.tenant and action.id = execution.action
         where execution.tenant = $1 and execution.subject = any($2)
           and execution.action is distinct from $3
           and (execution.state = 'sending' and action.state = 'proposed'
                or execution.state = 'undoing' and action.state = 'executed')
        """,
        tenant,
        list(subjects),
        besides,
    )
    if held is not None:
        await reach("lock_taken")
        raise LockTaken(_key(tenant, held))


def _key(tenant: str, subject: str) -> str:
    return f"{tenant}/subject/{subject}"


@asynccontextmanager
async def writing(connection: Connection) -> AsyncIterator[Connection]:
    """A part of the connection's transaction that is brought code's; it is rolled back where that raises.

    Raises:
        TransactionEnded: it has ended the transaction.
    """
    part = connection.transaction()
    await part.start()
    try:
        yield connection
    except BaseException:
        async with _same_transaction():
            await part.rollback()
        raise
    async with _same_transaction():
        await part.commit()


@asynccontextmanager
async def reading(connection: Connection) -> AsyncIterator[Connection]:
    """A part of the connection's transaction in which Postgres refuses writes.

    Raises:
        TransactionEnded: brought code has ended the transaction.
    """
    await connection.execute("savepoint reading; set local transaction_read_only = on")
    try:
        yield connection
    finally:
        async with _same_transaction():
            await connection.execute("rollback to savepoint reading; release savepoint reading")


@asynccontextmanager
async def _same_transaction() -> AsyncIterator[None]:
    """The way back to a savepoint of ours, which ends with its transaction and is in no other."""
    try:
        yield
    except (asyncpg.NoActiveSQLTransactionError, asyncpg.InvalidSavepointSpecificationError):
        raise TransactionEnded(
            "the code has ended the transaction that it was lent; what it wrote may stand"
        ) from None


@asynccontextmanager
async def lent_reads(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for brought code that reads, in a transaction that Postgres keeps read-only.

    Raises:
        TransactionEnded: the code has ended it.
    """
    async with pool.acquire() as connection:
        transaction = connection.transaction(readonly=True)
        await transaction.start()
        try:
            # Once it has asked something, nothing makes it read-write any more. It may wait for other
            # systems: it locks nothing that others need.
            await connection.execute(_BEGIN_READING)
            yield lend(connection)
        finally:
            if not is_gone(connection):
                ended = not connection.is_in_transaction()
                await transaction.rollback()
                if ended:
                    raise TransactionEnded("the code has ended the transaction that it was lent")
