"""Sums over the actions of a period, counted so that parallel conversations cannot miss each other."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.domain.model import Frozen
from holdfast.store.pool import Connection


async def lock_windows(connection: Connection, tenant: str, names: Sequence[str]) -> None:
    """Let nobody else count these until the transaction ends; always in the same order."""
    for name in sorted(names):
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{tenant}/window/{name}"
        )


class Place(Frozen):
    """Where an action stands among those of a window: it counts what was executed, and what was
    proposed before it and may still be executed."""

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
    """The sum of the number at the path `amount` (from `facts` or `args`) over the actions of these
    names, of one customer or of all: those executed, and those that still may be. `without_approval`
    leaves out the actions of that approval, `before` those proposed at that place or later. What is not a
    number counts nothing."""
    total = await connection.fetchval(
        """
        select coalesce(sum(case when jsonb_typeof(value) = 'number' then value::numeric end), 0)
          from (
            select jsonb_build_object('facts', facts, 'args', arguments) #> $2 as value
              from holdfast.actions as action
              join holdfast.conversations as conversation
                on conversation.tenant = action.tenant and conversation.id = action.conversation
             where action.tenant = $1 and action.name = any($3)
               and action.created_at > now() - $4::interval
               and ($5::text is null or conversation.customer = $5)
               and ($6::text is null or action.approval is distinct from $6)
               and (action.state = 'executed'
                    or action.state = 'proposed'
                       and ($7::timestamptz is null or action.created_at < $7
                            or (action.conversation, action.turn, action.step) = ($8, $9, $10)
                               and action.index < $11))
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
