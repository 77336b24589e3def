"""Decisions as they are handed in, before a workflow has said anything to them: whether it gets to do that
is up to whoever reaches Temporal, and what was said is no silence."""

from collections.abc import Collection

from holdfast.domain.decision import Decision
from holdfast.domain.identity import ConversationKey
from holdfast.store.decisions import read_taken
from holdfast.store.pool import Connection


async def note_handed_in(connection: Connection, key: ConversationKey, decision: Decision) -> None:
    """Note that somebody has something to say to an approval, unless it is noted already."""
    await connection.execute(
        """
        insert into holdfast.handed_in (tenant, approval, decision, reviewer, roles, content)
        values ($1, $2, $3, $4, $5, $6) on conflict do nothing
        """,
        key.tenant,
        decision.approval,
        decision.id,
        decision.reviewer,
        list(decision.roles),
        decision.content,
    )


async def is_left_to_silence(connection: Connection, key: ConversationKey, approval: str) -> bool:
    """Whether an approval of this conversation waits, and silence until its deadline would be consent."""
    found = await connection.fetchval(
        """
        select true from holdfast.approvals
         where tenant = $1 and id = $2 and conversation = $3 and state = 'pending'
           and approval ->> 'on_expiry' = 'allow'
        """,
        key.tenant,
        approval,
        key.conversation,
    )
    return bool(found)


async def was_passed_over(
    connection: Connection,
    tenant: str,
    approval: str,
    roles: Collection[str],
    *,
    lent_to: Collection[str] = (),
) -> bool:
    """Whether a decision on an approval was handed in and not taken, by somebody who names one of these
    roles, or to whom one was lent: people as `holdfast.domain.people.folded` writes them."""
    _, taken = await read_taken(connection, tenant, approval)
    said = [one.decision for one in taken]
    passed_over = await connection.fetchval(
        """
        select exists (
            select from holdfast.handed_in as said
             where tenant = $1 and approval = $2
               and (roles && $3 or lower(reviewer collate "C") = any($4))
               and not exists (
                   select from unnest($5::text[], $6::text[], $7::text[])
                               as taken (id, reviewer, content)
                    where taken.id = said.decision
                      and case said.content when '' then taken.reviewer = said.reviewer
                                            else taken.content = said.content end))
        """,
        tenant,
        approval,
        list(roles),
        list(lent_to),
        [one.id for one in said],
        [one.reviewer for one in said],
        [one.content for one in said],
    )
    return bool(passed_over)
