"""Approvals and the decisions on them."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg

from holdfast.domain.approval import Approval
from holdfast.domain.decision import Decision
from holdfast.domain.errors import ApprovalNotFound
from holdfast.domain.events import ApprovalDecided, NewEvent
from holdfast.domain.identity import ConversationKey
from holdfast.domain.records import ApprovalFilter, ApprovalRecord
from holdfast.domain.terms import EditTerms
from holdfast.domain.transitions import TakenDecision
from holdfast.store.events import append_events
from holdfast.store.pool import Connection
from holdfast.store.sql import statement

MOST_REFUSALS = 50
"""Refused decisions that are recorded of an approval, and again as many that a reviewer has signed."""


_APPROVALS = statement("approvals")
_ONE = _APPROVALS + "where approval.tenant = :tenant and approval.id = :id"
_WANTED = statement("wanted_approvals", approvals=_APPROVALS)


async def read_approval(connection: Connection, tenant: str, approval: str) -> ApprovalRecord:
    """One approval.

    Raises:
        ApprovalNotFound: there is none of this id.
    """
    row = await connection.fetchrow(*_ONE(tenant=tenant, id=approval))
    if row is None:
        raise ApprovalNotFound(f"tenant {tenant!r} has no approval {approval!r}")
    return ApprovalRecord.model_validate(dict(row))


async def list_approvals(
    connection: Connection, tenant: str, wanted: ApprovalFilter
) -> list[ApprovalRecord]:
    """Approvals of a tenant, those whose next deadline is nearest first, a thousand at most."""
    rows = await connection.fetch(
        *_WANTED(
            tenant=tenant,
            state=wanted.state,
            conversation=wanted.conversation,
            roles=list(wanted.roles),
            reviewer=wanted.reviewer,
            agent=wanted.agent,
            at_least=wanted.at_least,
            overdue=wanted.overdue,
        )
    )
    return [ApprovalRecord.model_validate(dict(row)) for row in rows]


async def lock_approval(
    connection: Connection, tenant: str, approval: str, *, conversation: str | None = None
) -> Approval:
    """An approval as it is recorded, locked until the transaction ends; of this conversation, where one
    is named.

    Raises:
        ApprovalNotFound: there is none of this id.
    """
    row = await connection.fetchrow(
        "select state, approval, conversation from holdfast.approvals "
        "where tenant = $1 and id = $2 for update",
        tenant,
        approval,
    )
    if row is None or conversation not in (None, row["conversation"]):
        raise ApprovalNotFound(f"tenant {tenant!r} has no approval {approval!r}")
    return Approval.model_validate({**row["approval"], "state": row["state"]})


async def save_approval(connection: Connection, tenant: str, approval: Approval) -> bool:
    """Record how a pending approval is now; False when it was not pending (or is not there)."""
    saved = await connection.fetchval(
        """
        update holdfast.approvals
           set state = $3, approval = $4, roles = $5, args_digest = $6, due_at = $7,
               claimed_by = $8, claimed_until = $9, expires_at = $10,
               decided_at = case when $3 <> 'pending' then now() end
         where tenant = $1 and id = $2 and state = 'pending' returning true
        """,
        tenant,
        approval.id,
        approval.state,
        approval.model_dump(mode="json"),
        list(approval.roles),
        approval.args_digest,
        approval.due_at,
        approval.claim and approval.claim.reviewer,
        approval.claim and approval.claim.until,
        approval.expires_at,
    )
    return bool(saved)


async def mark_stale(connection: Connection, tenant: str, approval: str, reason: str) -> None:
    """Record that what was approved had changed."""
    await connection.execute(
        """
        update holdfast.approvals set state = 'stale', stale_reason = $3
         where tenant = $1 and id = $2 and state = 'accepted'
        """,
        tenant,
        approval,
        reason,
    )


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


_LATE = timedelta(minutes=1)
_LATE_SHARE = 0.1


async def was_heard(
    connection: Connection, tenant: str, approval: Approval, *, now: datetime
) -> bool:
    """Whether silence about an approval may be taken for consent at `now`.

    Where channels are told of it, one of them has to have taken it, or somebody has to have looked at
    it or said something. And its end has to be noticed about when it comes: a platform that was down
    meanwhile (by more than a minute and a tenth of the time) has shown it to nobody.
    """
    late = max(_LATE, (approval.expires_at - approval.requested_at) * _LATE_SHARE)
    if now - approval.expires_at > late:
        return False
    heard = await connection.fetchval(
        """
        select not exists (select from holdfast.deliveries
                            where tenant = $1 and conversation = approval.conversation
                              and deliveries.approval = $2)
            or exists (select from holdfast.deliveries
                        where tenant = $1 and conversation = approval.conversation
                          and deliveries.approval = $2 and state = 'delivered')
            or exists (select from holdfast.decisions
                        where tenant = $1 and decisions.approval = $2 and refusal is null)
            or exists (select from holdfast.audit
                        where tenant = $1 and subject = $2 and kind = 'approval_seen')
          from holdfast.approvals as approval where tenant = $1 and id = $2
        """,
        tenant,
        approval.id,
    )
    return bool(heard)


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


async def withdraw_orphans(
    connection: Connection,
    key: ConversationKey,
    *,
    reason: str,
    turn: int | None = None,
) -> None:
    """Withdraw approvals that no workflow waits for, of one turn or of all: their run was terminated,
    or the worker that asked died before it could say so, and the turn was ended meanwhile."""
    orphans = await connection.fetch(
        """
        with withdrawn as (
            update holdfast.approvals set state = 'withdrawn', decided_at = now()
             where tenant = $1 and conversation = $2 and state = 'pending'
               and ($4::int is null or turn = $4)
            returning id, turn
        ), ended as (
            update holdfast.actions
               set state = 'withdrawn', error = $3, updated_at = now()
             where tenant = $1 and approval in (select id from withdrawn)
        )
        select id, turn from withdrawn
        """,
        key.tenant,
        key.conversation,
        reason,
        turn,
    )
    await append_events(
        connection,
        key,
        [
            NewEvent(
                turn=orphan["turn"], data=ApprovalDecided(approval=orphan["id"], state="withdrawn")
            )
            for orphan in orphans
        ],
    )
