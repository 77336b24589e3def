"""The activities that record what becomes of an approval, and that check a reviewer's edit."""

from datetime import UTC, datetime

from pydantic import JsonValue
from temporalio import activity

from activities.attempts import bounded_attempts
from activities.proposals import Judgement, Origin, judge
from activities.services import Services
from holdfast.domain import wire
from holdfast.domain.approval import Approval, Decision
from holdfast.domain.errors import ApprovalNotFound
from holdfast.domain.events import NewEvent
from holdfast.domain.outcomes import ActionState
from holdfast.domain.steps import DecisionRequest, EditReview
from holdfast.store.actions import replace_arguments, set_open_actions
from holdfast.store.approvals import (
    ApprovalRecord,
    read_approval,
    record_decision,
    set_approval_state,
)
from holdfast.store.audit import append_audit
from holdfast.store.events import append_events
from holdfast.store.pool import Connection

_REVIEW_ATTEMPTS = 3
"""Attempts to check an edit where an action's own code raises; then the decision fails."""


class ApprovalActivities:
    """Records decisions, expiries and withdrawals."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=wire.RECORD_DECISION)
    async def record_decision(self, request: DecisionRequest) -> None:
        """Record it once, with event and audit entry; what was recorded before stays."""
        if request.refusal is not None and request.decision is not None:
            await self._record_refusal(request, request.decision, request.refusal)
        elif request.approval is not None:
            await self._record(request, request.approval, request.decision)

    @activity.defn(name=wire.REVIEW_EDIT)
    async def review_edit(self, request: DecisionRequest) -> EditReview:
        """Check edited arguments against schema and policy, as if the agent had proposed them."""
        assert request.decision is not None
        with bounded_attempts(_REVIEW_ATTEMPTS):
            async with self._services.reads.acquire() as connection:
                record = await read_approval(connection, request.tenant, request.decision.approval)
            judgement = await self._judge_edit(record, request.tenant, request.decision)
        names = [action["name"] for action in record.actions]
        edited = [action.name for action in request.decision.actions]
        if edited != names:
            return EditReview(
                refusal=f"an edit keeps the actions: {', '.join(names)}; it has {', '.join(edited)}"
            )
        problems = [action.error for action in judgement.actions if action.error]
        if problems:
            return EditReview(refusal=" ".join(problems))
        missing = [role for role in judgement.roles if role not in request.decision.roles]
        if missing:
            return EditReview(refusal=f"the edit needs the role {' and '.join(missing)}")
        return EditReview(digest=judgement.digest)

    async def _judge_edit(
        self, record: ApprovalRecord, tenant: str, decision: Decision
    ) -> Judgement:
        origin = Origin(
            tenant=tenant,
            conversation=record.conversation,
            turn=record.turn,
            step=record.step,
            agent=record.agent,
            customer=record.customer,
        )
        return await judge(self._services, origin, decision.actions)

    async def _record(
        self, request: DecisionRequest, approval: Approval, decision: Decision | None
    ) -> None:
        edited = None
        if decision is not None and decision.kind == "edit":
            async with self._services.reads.acquire() as connection:
                record = await read_approval(connection, request.tenant, approval.id)
            edited = await self._judge_edit(record, request.tenant, decision)
        async with self._services.pool.acquire() as connection, connection.transaction():
            moved = await set_approval_state(
                connection, request.tenant, approval.id, approval.state, digest=approval.args_digest
            )
            if not moved:
                return
            if decision is not None:
                await record_decision(
                    connection, request.tenant, decision, refusal=None, at=datetime.now(UTC)
                )
            for index, action in enumerate(edited.actions if edited else ()):
                await replace_arguments(
                    connection,
                    request.tenant,
                    approval.id,
                    index,
                    arguments=action.proposed.arguments,
                    facts=action.facts,
                )
            await _end_actions(connection, request, approval, decision)
            await _announce(connection, request, approval, decision)

    async def _record_refusal(
        self, request: DecisionRequest, decision: Decision, refusal: str
    ) -> None:
        async with self._services.pool.acquire() as connection, connection.transaction():
            try:
                await read_approval(connection, request.tenant, decision.approval)
                known = True
            except ApprovalNotFound:
                known = False
            if known and not await record_decision(
                connection, request.tenant, decision, refusal=refusal, at=datetime.now(UTC)
            ):
                return
            data: dict[str, JsonValue] = {
                "approval": decision.approval,
                "reviewer": decision.reviewer,
                "kind": decision.kind,
                "refusal": refusal,
            }
            await append_events(
                connection,
                request.tenant,
                request.conversation,
                [NewEvent(type="decision_refused", data=data)],
            )
            await append_audit(
                connection,
                tenant=request.tenant,
                kind="decision_refused",
                conversation=request.conversation,
                subject=decision.approval,
                data=data,
            )


async def _end_actions(
    connection: Connection,
    request: DecisionRequest,
    approval: Approval,
    decision: Decision | None,
) -> None:
    """Give the actions of an approval that was not accepted their end, for the agent to read."""
    text = decision.text if decision else ""
    ends: dict[str, tuple[ActionState, str]] = {
        "rejected": ("rejected", text),
        "responded": ("responded", text),
        "expired": ("expired", "Nobody decided in time."),
        "withdrawn": ("withdrawn", "The request was cancelled."),
    }
    if approval.state in ends:
        state, error = ends[approval.state]
        await set_open_actions(
            connection,
            request.tenant,
            request.conversation,
            approval.turn,
            approval.step,
            state=state,
            error=error,
            reviewer=decision.reviewer if decision else None,
        )


async def _announce(
    connection: Connection,
    request: DecisionRequest,
    approval: Approval,
    decision: Decision | None,
) -> None:
    data: dict[str, JsonValue] = {"approval": approval.id, "state": approval.state}
    if decision is not None:
        data |= {"reviewer": decision.reviewer, "kind": decision.kind, "text": decision.text}
    await append_events(
        connection,
        request.tenant,
        request.conversation,
        [NewEvent(type="approval_decided", turn=approval.turn, data=data)],
    )
    await append_audit(
        connection,
        tenant=request.tenant,
        kind=f"approval_{approval.state}",
        conversation=request.conversation,
        subject=approval.id,
        data={**data, "digest": approval.args_digest, "roles": list(approval.roles)},
    )
