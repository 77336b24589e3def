"""The activities that take decisions on approvals, and that record refusals."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from temporalio import activity

from holdfast.activities.approval_changes import record_change
from holdfast.activities.attempts import Attempt, attempting, heartbeating
from holdfast.activities.edits import edit_origin, edited_actions, record_edit
from holdfast.activities.judgement import judged
from holdfast.activities.lock_retries import patiently
from holdfast.activities.refusals import this_activity
from holdfast.activities.rehearsal import rehearse
from holdfast.activities.resources import Resources
from holdfast.activities.routing import elsewhere
from holdfast.domain import wire
from holdfast.domain.activity_protocol import DecisionOutcome, DecisionRequest, RefusalRequest
from holdfast.domain.approval import Approval
from holdfast.domain.decision import Decision, used_before
from holdfast.domain.errors import (
    ERRORS_BY_CODE,
    AlreadyDecided,
    HoldfastError,
    InvalidStatement,
    Refused,
)
from holdfast.domain.events import ApprovalDecided, ApprovalUpdated, DecisionRefused, NewEvent
from holdfast.domain.identity import ConversationKey
from holdfast.domain.terms import EditTerms
from holdfast.domain.transitions import TakenDecision, decide
from holdfast.notifications.outbox import enqueue_decision
from holdfast.store.approvals import lock_approval, read_approval
from holdfast.store.audit import append_audit
from holdfast.store.clock import database_now
from holdfast.store.decisions import (
    record_refused,
    record_taken,
    refusal_of,
    room_for_refusals,
    taken_under,
)
from holdfast.store.events import append_events
from holdfast.store.handed_in import is_left_to_silence, note_handed_in
from holdfast.store.pool import Connection
from holdfast.store.statements import spend

_DECISION_ATTEMPTS = 3
"""Attempts to take a decision where an action's own code raises on an edit; then it fails."""

_EditRecorder = Callable[[Connection, datetime], Awaitable[EditTerms]]
"""Records the edit that a decision is, at its time."""


class ApprovalActivities:
    """Takes decisions, and records those that are refused."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @activity.defn(name=wire.DECIDE_APPROVAL)
    async def decide_approval(self, request: DecisionRequest) -> DecisionOutcome:
        """Verify a decision's statement, judge its edit, take it, and record all of that at once.

        The records and the database's clock say what the approval is and what time it is, whatever the
        workflow believes. A decision that was taken before gives its recorded outcome. A refusal is
        recorded, too.
        """
        decision = request.decision
        attempt = Attempt(_DECISION_ATTEMPTS)
        async with attempting(attempt):
            async with self._resources.pool.acquire() as connection:
                at = await database_now(connection)
                before = await self._before(connection, request)
            if before is not None:
                return before
            genuine = False
            try:
                await self._resources.verifier.verify(decision, tenant=request.tenant, at=at)
                genuine = True
                return await self._take(request, is_last=attempt.is_last)
            except Refused as error:
                await self._record_refusal(request.key, decision, error, genuine=genuine)
                return DecisionOutcome(code=error.code, refusal=str(error))

    @activity.defn(name=wire.RECORD_REFUSAL)
    @heartbeating
    async def record_refusal(self, request: RefusalRequest) -> None:
        """Record a decision that the workflow has refused; its statement, where genuine, is spent."""
        error = ERRORS_BY_CODE.get(request.code, Refused)(request.refusal)
        async with self._resources.pool.acquire() as connection:
            at = await database_now(connection)
        try:
            await self._resources.verifier.verify(request.decision, tenant=request.tenant, at=at)
            genuine = True
        except Refused:
            genuine = False
        await self._record_refusal(request.key, request.decision, error, genuine=genuine)

    async def _before(
        self, connection: Connection, request: DecisionRequest
    ) -> DecisionOutcome | None:
        """The recorded outcome of this very decision: taken before, or refused by an earlier attempt."""
        decision = request.decision
        taken = await taken_under(connection, request.tenant, decision)
        if taken is not None and decision.statement:
            before, outcome = taken
            if (before.statement, before.content) == (decision.statement, decision.content):
                async with connection.transaction():
                    return await self._decided(connection, request, outcome)
        refusal = await refusal_of(connection, request.tenant, decision, by=this_activity())
        if refusal is not None:
            code, _, text = refusal.partition(": ")
            return DecisionOutcome(code=code, refusal=text)
        return None

    async def _take(self, request: DecisionRequest, *, is_last: bool) -> DecisionOutcome:
        if request.decision.kind == "edit":
            return await self._take_edit(request, is_last=is_last)
        async with self._resources.pool.acquire() as connection, connection.transaction():
            return await self._record(connection, request)

    async def _take_edit(self, request: DecisionRequest, *, is_last: bool) -> DecisionOutcome:
        decision, resources = request.decision, self._resources
        async with resources.reads.acquire() as reading:
            taken = await _outcome_before(reading, request)
            record = await read_approval(reading, request.tenant, decision.approval)
            origin = await edit_origin(reading, request, record)
        if taken is not None:
            async with resources.pool.acquire() as connection, connection.transaction():
                return await self._decided(connection, request, taken)
        for action in decision.actions:
            if resources.registry.action(action.name) is None:
                place = resources.fleet.place_of_action(action.name)
                shared = wire.subgraphs_queue(resources.fleet.task_queue)
                lacking = f"action {action.name!r}"
                return DecisionOutcome(elsewhere=elsewhere(place, lacking, shared=shared))
        edited = edited_actions(resources, request, record)
        rehearsed = await rehearse(resources, origin, edited, is_last=is_last)

        async def judge_and_record() -> DecisionOutcome:
            async with judged(resources, origin, rehearsed) as (writing, judgement):
                return await self._record(
                    writing, request, partial(record_edit, resources, origin, judgement)
                )

        return await patiently(judge_and_record)

    async def _record(
        self,
        connection: Connection,
        request: DecisionRequest,
        edit: _EditRecorder | None = None,
    ) -> DecisionOutcome:
        decision = request.decision
        recorded = await lock_approval(
            connection, request.tenant, decision.approval, conversation=request.conversation
        )
        before = await _outcome_before(connection, request)
        if before is not None:
            return await self._decided(connection, request, before)
        # The time of the decision is one at which nothing else happens to the approval.
        at = await database_now(connection)
        await self._resources.verifier.verify(decision, tenant=request.tenant, at=at)
        if decision.statement and not await spend(
            connection, request.tenant, decision.statement, by=this_activity()
        ):
            raise InvalidStatement("the statement was refused before; have it signed again")
        if recorded.state != "pending":
            raise AlreadyDecided(f"approval {decision.approval} is already {recorded.state}")
        terms = await edit(connection, at) if edit is not None else None
        approval = decide(recorded, decision, now=at, edit=terms)
        taken = TakenDecision(decision=decision, at=at, edit=terms)
        await record_taken(connection, request.tenant, taken, approval)
        payload = _event(approval, decision)
        await record_change(connection, request.key, approval, payload, decision=decision)
        return await self._decided(connection, request, approval)

    async def _decided(
        self, connection: Connection, request: DecisionRequest, approval: Approval
    ) -> DecisionOutcome:
        """The outcome of a decision that is recorded; its notifications are written down once."""
        deliveries = await enqueue_decision(
            connection,
            self._resources.notifications,
            tenant=request.tenant,
            approval=approval,
            decision=request.decision,
        )
        return DecisionOutcome(approval=approval, deliveries=deliveries)

    async def _record_refusal(
        self,
        key: ConversationKey,
        decision: Decision,
        error: HoldfastError,
        *,
        genuine: bool,
    ) -> None:
        """Record a refusal, up to a bound, since signals could fill the tables. A genuine statement is
        spent by it, and whose it is was not silent."""
        refusal = f"{error.code}: {error}"
        async with self._resources.pool.acquire() as connection, connection.transaction():
            if genuine and decision.statement:
                await spend(connection, key.tenant, decision.statement, by=this_activity())
            if genuine and await is_left_to_silence(connection, key, decision.approval):
                await note_handed_in(connection, key, decision)
            room = await room_for_refusals(connection, key, decision.approval, genuine=genuine)
            if not room:
                activity.logger.warning("a refused decision is one too many to be recorded")
                return
            recorded = await record_refused(
                connection,
                key.tenant,
                decision,
                refusal=refusal,
                by=this_activity(),
                at=await database_now(connection),
            )
            if not recorded:
                return
            payload = DecisionRefused(
                approval=decision.approval,
                reviewer=decision.reviewer,
                kind=decision.kind,
                refusal=refusal,
                genuine=genuine,
                last=True if room == 1 else None,
            )
            await append_events(connection, key, [NewEvent(data=payload)])
            await append_audit(
                connection,
                key,
                kind="decision_refused",
                subject=decision.approval,
                data={
                    **payload.model_dump(mode="json"),
                    "decision": decision.id,
                    "digest": decision.digest,
                },
            )


async def _outcome_before(connection: Connection, request: DecisionRequest) -> Approval | None:
    """The approval as it was after this very decision, where it was taken before.

    Raises:
        MessageConflict: another decision was taken under its id.
    """
    taken = await taken_under(connection, request.tenant, request.decision)
    if taken is None:
        return None
    before, outcome = taken
    if before.content != request.decision.content:
        raise used_before(request.decision)
    return outcome


def _event(approval: Approval, decision: Decision) -> ApprovalUpdated | ApprovalDecided:
    payload = ApprovalUpdated if approval.state == "pending" else ApprovalDecided
    return payload(
        approval=approval.id,
        state=approval.state,
        decision=decision.id,
        kind=decision.kind,
        reviewer=decision.reviewer,
        team=decision.team,
        roles=decision.roles,
        text=decision.text,
        actions=decision.actions or None,
        to=decision.to or None,
    )
