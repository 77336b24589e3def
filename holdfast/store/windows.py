"""Sums over the actions of a period, counted so that parallel conversations cannot miss each other."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.domain.model import Frozen
from holdfast.store.locks import take_lock
from holdfast.store.pool import Connection
from holdfast.store.sql import statement


async def lock_windows(connection: Connection, tenant: str, names: Sequence[str]) -> None:
    """Let nobody else count these until the transaction ends.

    Raises:
        LockTaken: somebody counts one.
    """
    for name in sorted(names):
        await take_lock(connection, f"{tenant}/window/{name}")


_SUM = statement("sum_of_window")


class Place(Frozen):
    """Where an action stands among those of a window: it counts what was executed, what is under way,
    and what was proposed before it and may still be executed."""

    conversation: str
    turn: int
    step: int
    index: int
    created_at: datetime


async def sum_of_window(
    connection: Connection,
    tenant: str,
    *,
    amount: Sequence[str],
    actions: Sequence[str],
    within: timedelta,
    customer: str | None,
    without_approval: str | None = None,
    before: Place | None = None,
) -> Decimal:
    """The sum of the number at the path `amount` (from `args`, or from `facts`: those of the execution, once
    it was begun) over the actions of these names, of one customer or of all: those executed `within` this
    time, or that failed on another system, which may have executed them, and those that still may be
    executed, however old they are. `without_approval` leaves out the actions of that approval, `before` those
    that were proposed at that place or later and are not under way. What is not a number counts nothing."""
    total = await connection.fetchval(
        *_SUM(
            tenant=tenant,
            path=list(amount),
            actions=list(actions),
            within=within,
            customer=customer,
            without_approval=without_approval,
            before=before and before.created_at,
            conversation=before and before.conversation,
            turn=before and before.turn,
            step=before and before.step,
            index=before and before.index,
        )
    )
    return Decimal(total)
