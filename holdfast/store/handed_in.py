"""Decisions as they are handed in, before a workflow has said anything to them: whether it gets to do that
is up to whoever reaches Temporal, and what was said is no silence."""

from collections.abc import Sequence

from holdfast.domain.approval import Decision
from holdfast.domain.identity import ConversationKey
from holdfast.store.audit import append_audit
from holdfast.store.pool import Connection


async def note_handed_in(connection: Connection, key: ConversationKey, decision: Decision) -> None:
    """Note in the caller's transaction that somebody has something to say to an approval, unless it is
    noted already."""
    noted = await connection.fetchval(
        """
        select exists (
            select from holdfast.audit
             where tenant = $1 and subject = $2 and kind = 'decision_handed_in'
               and data ->> 'decision' = $3 and data ->> 'reviewer' = $4 and data -> 'roles' = $5)
        """,
        key.tenant,
        decision.approval,
        decision.id,
        decision.reviewer,
        list(decision.roles),
    )
    if not noted:
        await append_audit(
            connection,
            key,
            kind="decision_handed_in",
            subject=decision.approval,
            data={
                "decision": decision.id,
                "decided": decision.kind,
                "reviewer": decision.reviewer,
                "roles": list(decision.roles),
                "digest": decision.digest,
            },
        )


async def was_passed_over(
    connection: Connection, tenant: str, approval: str, roles: Sequence[str]
) -> bool:
    """Whether somebody who names one of these roles has handed in a decision on an approval that was not
    taken."""
    passed_over = await connection.fetchval(
        """
        select exists (
            select from holdfast.audit
             where tenant = $1 and subject = $2 and kind = 'decision_handed_in'
               and data -> 'roles' ?| $3
               and not exists (
                   select from holdfast.decisions
                    where tenant = $1 and approval = $2 and id = audit.data ->> 'decision'
                      and reviewer = audit.data ->> 'reviewer' and refusal is null))
        """,
        tenant,
        approval,
        list(roles),
    )
    return bool(passed_over)
