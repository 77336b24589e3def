"""Approvals: how they are, who waits for them, and whether anybody has heard of them."""

from datetime import datetime, timedelta

from holdfast.domain.approval import Approval
from holdfast.domain.errors import ApprovalNotFound
from holdfast.domain.events import ApprovalDecided, NewEvent
from holdfast.domain.identity import ConversationKey
from holdfast.domain.records import ApprovalFilter, ApprovalRecord
from holdfast.store.events import append_events
from holdfast.store.pool import Connection
from holdfast.store.sql import statement

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
