"""Sums over the actions of a period, counted so that parallel conversations cannot miss each other."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.domain.model import Frozen
from holdfast.store.locks import take_lock
from holdfast.store.pool import Connection


async def lock_windows(connection: Connection, tenant: str, names: Sequence[str]) -> None:
    """Let nobody else count these until the transaction ends.

    Raises:
        LockTaken: somebody counts one.
    """
    for name in sorted(names):
        await take_lock(connection, f"{tenant}/window/{name}")


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
        """
        select coalesce(sum(case when jsonb_typeof(value) = 'number' then value::numeric end), 0)
          from (
            select jsonb_build_object(
                       'args', arguments,
                       'facts', coalesce((select execution.facts from holdfast.executions as execution
                                           where execution.tenant = $1
                                             and execution.action = action.id), facts)
                   ) #> $2 as value
              from (
                select * from holdfast.actions as done
                 where tenant = $1 and name = any($3) and state in ('executed', 'failed')
                   and updated_at > now() - $4::interval
                   and (state = 'executed' or exists (
                           select from holdfast.executions as execution
                            where execution.tenant = $1 and execution.action = done.id
                              and execution.subject is not null))
                union all
                select * from holdfast.actions as open
                 where tenant = $1 and name = any($3) and state = 'proposed'
                   and ($7::timestamptz is null or created_at < $7
                        or (conversation, turn, step) = ($8, $9, $10) and index < $11
                        or exists (select from holdfast.executions as execution
                                    where execution.tenant = $1 and execution.action = open.id))
              ) as action
              join holdfast.conversations as conversation
                on conversation.tenant = action.tenant and conversation.id = action.conversation
             where ($5::text is null or conversation.customer = $5)
               and ($6::text is null or action.approval is distinct from $6)
          ) as amounts
        """,
        tenant,
        list(amount),
        list(actions),
        within,
        customer,
        without_approval,
        before and before.created_at,
        before and before.conversation,
        before and before.turn,
        before and before.step,
        before and before.index,
    )
    return Decimal(total)
