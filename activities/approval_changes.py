"""Changes of approvals on record: state, ends of actions, event and audit entry, in the caller's transaction."""

from collections.abc import Mapping

from holdfast.domain.approval import Approval, ApprovalState
from holdfast.domain.decision import Decision
from holdfast.domain.events import (
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalReminded,
    ApprovalUpdated,
    NewEvent,
)
from holdfast.domain.identity import ConversationKey
from holdfast.domain.outcomes import ActionState
from holdfast.store.actions import set_open_actions
from holdfast.store.approvals import save_approval
from holdfast.store.audit import append_audit
from holdfast.store.events import append_events
from holdfast.store.pool import Connection

_ENDS: Mapping[ApprovalState, tuple[ActionState, str]] = {
    "rejected": ("rejected", ""),
    "responded": ("responded", ""),
    "expired": ("expired", "Nobody decided in time."),
    "withdrawn": ("withdrawn", "The request was cancelled."),
}
"""How the actions of an approval end that was not accepted, and why where no reviewer says it."""


async def record_change(
    connection: Connection,
    key: ConversationKey,
    approval: Approval,
    payload: ApprovalUpdated | ApprovalReminded | ApprovalEscalated | ApprovalDecided,
    *,
    decision: Decision | None = None,
) -> None:
    """Record an approval as it is now, after `decision` or by itself, and end its actions where it ended
    without being accepted, for the agent to read."""
    await save_approval(connection, key.tenant, approval)
    if approval.state in _ENDS:
        state, error = _ENDS[approval.state]
        await set_open_actions(
            connection,
            key.turn_key(approval.turn).step_key(approval.step),
            state=state,
            error=decision.text if decision else error,
            reviewer=decision.reviewer if decision else None,
        )
    if decision is not None:
        kind = f"decision_{decision.kind}"
    else:
        ended = isinstance(payload, ApprovalDecided)
        kind = f"approval_{approval.state}" if ended else payload.type
    await append_events(connection, key, [NewEvent(turn=approval.turn, data=payload)])
    await append_audit(
        connection,
        key,
        kind=kind,
        subject=approval.id,
        data={**payload.model_dump(mode="json"), "digest": approval.args_digest},
    )
