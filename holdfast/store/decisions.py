"""Decisions on approvals: what was taken, what was refused, and the approval after each."""

from datetime import datetime
from typing import Any

import asyncpg

from holdfast.domain.approval import Approval
from holdfast.domain.decision import Decision
from holdfast.domain.errors import ApprovalNotFound
from holdfast.domain.identity import ConversationKey
from holdfast.domain.terms import EditTerms
from holdfast.domain.transitions import TakenDecision
from holdfast.store.pool import Connection

MOST_REFUSALS = 50
"""Refused decisions that are recorded of an approval, and again as many that a reviewer has signed."""


async def taken_under(
    connection: Connection, tenant: str, decision: Decision
) -> tuple[Decision, Approval] | None:
    """The decision that was taken under this one's id, which may be another, and the approval as it was
    after it."""
    row = await connection.fetchrow(
        """
        select * from holdfast.decisions
         where tenant = $1 and approval = $2 and id = $3 and refusal is null
        """,
        tenant,
        decision.approval,
        decision.id,
    )
    return (_decision(row), Approval.model_validate(row["outcome"])) if row is not None else None


async def refusal_of(
    connection: Connection, tenant: str, decision: Decision, *, by: str
) -> str | None:
    """The refusal of a decision that this activity has recorded before."""
    refusal: str | None = await connection.fetchval(
        """
        select refusal from holdfast.decisions
         where tenant = $1 and approval = $2 and id = $3 and recorded_by = $4
           and refusal is not null
        """,
        tenant,
        decision.approval,
        decision.id,
        by,
    )
    return refusal


async def room_for_refusals(
    connection: Connection, key: ConversationKey, approval: str, *, genuine: bool
) -> int:
    """How many more refused decisions may be recorded: so many of an approval whose statement was
    genuine, so many of others, and so many of what is no approval of this conversation.

    None, too, where the conversation has no records to add them to.
    """
    there = await connection.fetchval(
        "select true from holdfast.conversations where tenant = $1 and id = $2 for update",
        key.tenant,
        key.conversation,
    )
    known = await connection.fetchval(
        "select true from holdfast.approvals where tenant = $1 and id = $2 and conversation = $3",
        key.tenant,
        approval,
        key.conversation,
    )
    recorded = await connection.fetchval(
        """
        select count(*) from holdfast.events as event
         where tenant = $1 and conversation = $2 and type = 'decision_refused'
           and case when $4 then data ->> 'approval' = $3 and (data -> 'genuine')::bool = $5
                    else not exists (
                        select from holdfast.approvals
                         where tenant = $1 and conversation = $2 and id = event.data ->> 'approval')
               end
        """,
        key.tenant,
        key.conversation,
        approval,
        bool(known),
        genuine,
    )
    return max(MOST_REFUSALS - recorded, 0) if there else 0


async def record_taken(
    connection: Connection, tenant: str, taken: TakenDecision, outcome: Approval
) -> None:
    """Record a decision that was taken, with the approval as it is after it."""
    await _record(
        connection,
        tenant,
        taken.decision,
        at=taken.at,
        ordinal=len(outcome.entries),
        edit=taken.edit.model_dump(mode="json") if taken.edit else None,
        outcome=outcome.model_dump(mode="json"),
    )


async def record_refused(
    connection: Connection, tenant: str, decision: Decision, *, refusal: str, by: str, at: datetime
) -> bool:
    """Record a decision that was refused; False when `by` has recorded it before."""
    return await _record(connection, tenant, decision, at=at, refusal=refusal, by=by)


async def _record(
    connection: Connection,
    tenant: str,
    decision: Decision,
    *,
    at: datetime,
    ordinal: int | None = None,
    edit: dict[str, Any] | None = None,
    outcome: dict[str, Any] | None = None,
    refusal: str | None = None,
    by: str = "",
) -> bool:
    recorded = await connection.fetchval(
        """
        insert into holdfast.decisions
            (tenant, approval, id, kind, reviewer, team, roles, digest, text, actions, delegate,
             statement, decided_at, ordinal, edit, outcome, refusal, recorded_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        on conflict do nothing returning true
        """,
        tenant,
        decision.approval,
        decision.id,
        decision.kind,
        decision.reviewer,
        decision.team,
        list(decision.roles),
        decision.digest,
        decision.text,
        [action.model_dump(mode="json") for action in decision.actions],
        decision.to,
        decision.statement,
        at,
        ordinal,
        edit,
        outcome,
        refusal,
        by,
    )
    return bool(recorded)


async def read_taken(
    connection: Connection, tenant: str, approval: str
) -> tuple[Approval, tuple[TakenDecision, ...]]:
    """How an approval was asked for, and the decisions that were taken on it, in order.

    Raises:
        ApprovalNotFound: there is none of this id.
    """
    asked = await connection.fetchval(
        "select asked from holdfast.approvals where tenant = $1 and id = $2", tenant, approval
    )
    if asked is None:
        raise ApprovalNotFound(f"tenant {tenant!r} has no approval {approval!r}")
    rows = await connection.fetch(
        """
        select * from holdfast.decisions
         where tenant = $1 and approval = $2 and refusal is null order by ordinal
        """,
        tenant,
        approval,
    )
    taken = [
        TakenDecision(
            decision=_decision(row),
            at=row["decided_at"],
            edit=EditTerms.model_validate(row["edit"]) if row["edit"] is not None else None,
        )
        for row in rows
    ]
    return Approval.model_validate(asked), tuple(taken)


def _decision(row: asyncpg.Record) -> Decision:
    return Decision(
        id=row["id"],
        approval=row["approval"],
        kind=row["kind"],
        reviewer=row["reviewer"],
        team=row["team"],
        roles=tuple(row["roles"]),
        digest=row["digest"],
        text=row["text"],
        actions=tuple(row["actions"]),
        to=row["delegate"],
        statement=row["statement"],
    )
