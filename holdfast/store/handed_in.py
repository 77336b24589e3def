"""Decisions as they are handed in, before a workflow has said anything to them: whether it gets to do that
is up to whoever reaches Temporal, and what was said is no silence."""

from collections.abc import Sequence

from holdfast.domain.decision import Decision
from holdfast.domain.identity import ConversationKey
from holdfast.store.pool import Connection


async def note_handed_in(connection: Connection, key: ConversationKey, decision: Decision) -> None:
    """Note that somebody has something to say to an approval, unless it is noted already."""
    await connection.execute(
        """
        insert into holdfast.handed_in (tenant, approval, decision, reviewer, roles)
        values ($1, $2, $3, $4, $5) on conflict do nothing
        """,
        key.tenant,
        decision.approval,
        decision.id,
        decision.reviewer,
        list(decision.roles),
    )


async def was_passed_over(
    connection: Connection, tenant: str, approval: str, roles: Sequence[str]
) -> bool:
    """Whether somebody who names one of these roles has handed in a decision on an approval that was not
    taken."""
    passed_over = await connection.fetchval(
        """
        select exists (
            select from holdfast.handed_in as said
             where tenant = $1 and approval = $2 and roles && $3
               and not exists (
                   select from holdfast.decisions
                    where tenant = $1 and approval = $2 and id = said.decision
                      and reviewer = said.reviewer and refusal is null))
        """,
        tenant,
        approval,
        list(roles),
    )
    return bool(passed_over)
