"""What actions are about: locks on it, and looks at the database that leave no trace."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from holdfast.domain.errors import LockTaken
from holdfast.store.faults import reach
from holdfast.store.locks import take_lock
from holdfast.store.pool import Connection


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
async def reading(connection: Connection) -> AsyncIterator[Connection]:
    """A part of the connection's transaction in which Postgres refuses writes."""
    await connection.execute("savepoint reading; set local transaction_read_only = on")
    try:
        yield connection
    finally:
        await connection.execute("rollback to savepoint reading; release savepoint reading")
