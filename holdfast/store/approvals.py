"""Approvals and the decisions on them."""

from datetime import datetime
from typing import Any

from holdfast.domain.approval import Decision
from holdfast.domain.errors import ApprovalNotFound
from holdfast.domain.model import Frozen
from holdfast.store.pool import Connection


class ApprovalRecord(Frozen):
    """An approval as a reviewer sees it. Each of `actions` has id, name, arguments and facts."""

    id: str
    conversation: str
    customer: str
    turn: int
    step: int
    state: str
    roles: tuple[str, ...]
    agent: str
    requester: str
    reason: str
    evidence: tuple[str, ...]
    args_digest: str
    policy_name: str
    policy_version: int
    policy_reason: str | None
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    actions: tuple[dict[str, Any], ...]
    decisions: tuple[dict[str, Any], ...]


_SELECT = """
select approval.*, conversation.customer,
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'id', id, 'name', name, 'arguments', arguments, 'facts', facts, 'state', state)
                   order by index), '[]')
          from holdfast.actions
         where tenant = approval.tenant and approval = approval.id) as actions,
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'id', id, 'kind', kind, 'reviewer', reviewer, 'text', text,
                   'refusal', refusal, 'at', decided_at) order by decided_at), '[]')
          from holdfast.decisions
         where tenant = approval.tenant and approval = approval.id) as decisions
  from holdfast.approvals as approval
  join holdfast.conversations as conversation
    on conversation.tenant = approval.tenant and conversation.id = approval.conversation
"""


async def read_approval(connection: Connection, tenant: str, approval: str) -> ApprovalRecord:
    """One approval.

    Raises:
        ApprovalNotFound: there is none of this id.
    """
    row = await connection.fetchrow(
        _SELECT + "where approval.tenant = $1 and approval.id = $2", tenant, approval
    )
    if row is None:
        raise ApprovalNotFound(f"tenant {tenant!r} has no approval {approval!r}")
    return ApprovalRecord.model_validate(dict(row))


async def list_approvals(
    connection: Connection, tenant: str, *, state: str | None, conversation: str | None = None
) -> list[ApprovalRecord]:
    """Approvals of a tenant, the nearest deadline first."""
    rows = await connection.fetch(
        _SELECT
        + """
        where approval.tenant = $1 and ($2::text is null or approval.state = $2)
          and ($3::text is null or approval.conversation = $3)
        order by approval.expires_at, approval.id limit 1000
        """,
        tenant,
        state,
        conversation,
    )
    return [ApprovalRecord.model_validate(dict(row)) for row in rows]


async def record_decision(
    connection: Connection, tenant: str, decision: Decision, *, refusal: str | None, at: datetime
) -> bool:
    """Record a decision, taken or refused; False when it is there already."""
    recorded = await connection.fetchval(
        """
        insert into holdfast.decisions
            (tenant, approval, id, kind, reviewer, roles, digest, text, actions, refusal,
             decided_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        on conflict do nothing returning true
        """,
        tenant,
        decision.approval,
        decision.id,
        decision.kind,
        decision.reviewer,
        list(decision.roles),
        decision.digest,
        decision.text,
        [action.model_dump(mode="json") for action in decision.actions],
        refusal,
        at,
    )
    return bool(recorded)


async def set_approval_state(
    connection: Connection, tenant: str, approval: str, state: str, *, digest: str | None = None
) -> bool:
    """Move a pending approval to `state`; False when it was not pending (or is not there)."""
    moved = await connection.fetchval(
        """
        update holdfast.approvals
           set state = $3, decided_at = now(), args_digest = coalesce($4, args_digest)
         where tenant = $1 and id = $2 and state = 'pending' returning true
        """,
        tenant,
        approval,
        state,
        digest,
    )
    return bool(moved)
