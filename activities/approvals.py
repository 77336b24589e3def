"""The activities that take decisions on approvals, and that record what their schedule does to them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.arguments import are_equal
from holdfast.activities.attempts import Attempt, attempting, heartbeating, recording
from holdfast.activities.judgement import (
    Judgement,
    judged,
    recorded_actions,
    what_an_edit_needs,
)
from holdfast.activities.lock_retries import patiently
from holdfast.activities.policy_input import ProposalOrigin
from holdfast.activities.refusals import refused, this_activity
from holdfast.activities.rehearsal import rehearse
from holdfast.activities.repeats import denied_repeats
from holdfast.activities.resources import Resources
from holdfast.activities.routing import elsewhere
from holdfast.contract.action import AnyAction
from holdfast.domain import wire
from holdfast.domain.activity_protocol import (
    AlarmOutcome,
    AlarmRequest,
    DecisionOutcome,
    DecisionRequest,
    RefusalRequest,
)
from holdfast.domain.approval import Approval, ApprovalState, TakenDecision
from holdfast.domain.decision import Decision
from holdfast.domain.errors import (
    ERRORS_BY_CODE,
    AlreadyDecided,
    ApprovalNotFound,
    HoldfastError,
    InvalidEdit,
    InvalidStatement,
    Refused,
)
from holdfast.domain.events import (
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalReminded,
    ApprovalUpdated,
    DecisionRefused,
    NewEvent,
)
from holdfast.domain.identity import ConversationKey
from holdfast.domain.outcomes import ActionState, ProposedAction
from holdfast.domain.records import ApprovalRecord, AskedAction
from holdfast.domain.terms import Alarm, EditTerms
from holdfast.notifications.outbox import enqueue_alarm, enqueue_decision
from holdfast.store.actions import replace_action, set_open_actions
from holdfast.store.approvals import lock_approval, read_approval, save_approval, was_heard
from holdfast.store.audit import append_audit
from holdfast.store.clock import database_now
from holdfast.store.conversations import read_conversation
from holdfast.store.decisions import (
    outcome_of,
    record_refused,
    record_taken,
    refusal_of,
    room_for_refusals,
)
from holdfast.store.events import append_events
from holdfast.store.handed_in import was_passed_over
from holdfast.store.pool import Connection
from holdfast.store.statements import spend

_DECISION_ATTEMPTS = 3
"""Attempts to take a decision where an action's own code raises on an edit; then it fails."""

_CLOCKS_DIFFER = timedelta(milliseconds=20)
_LOOKS_AGAIN = timedelta(hours=1)
"""The longest wait for an alarm that is not due by the database's clock; Temporal's may be ahead of it."""

_ENDS: Mapping[ApprovalState, tuple[ActionState, str]] = {
    "rejected": ("rejected", ""),
    "responded": ("responded", ""),
    "expired": ("expired", "Nobody decided in time."),
    "withdrawn": ("withdrawn", "The request was cancelled."),
}
"""What becomes of the actions of an approval that ended so, and why where no reviewer says it."""


class ApprovalActivities:
    """Takes decisions; records decisions, alarms and withdrawals."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @activity.defn(name=wire.DECIDE_APPROVAL)
    async def decide_approval(self, request: DecisionRequest) -> DecisionOutcome:
        """Verify a decision's statement, look at its edit, take it, and record all of that at once.

        What the approval is and what time it is, the records and the database's clock say, whatever the
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

    @activity.defn(name=wire.RECORD_ALARM)
    @heartbeating
    async def record_alarm(self, request: AlarmRequest) -> AlarmOutcome:
        """Record what an alarm does to an approval by now, or that its question was taken back. Which
        alarm that is, the record and the database's clock say; one that is not due is tried again when
        it is."""
        try:
            return await self._let_go_off(request)
        except ApprovalNotFound as error:
            raise refused(error) from None

    async def _let_go_off(self, request: AlarmRequest) -> AlarmOutcome:
        alarm = request.alarm
        able = await self._could_somebody_decide(request) if alarm is not None else True
        async with recording(self._resources.pool, request.key) as connection:
            approval = await lock_approval(
                connection,
                request.tenant,
                request.approval.id,
                conversation=request.conversation,
            )
            before = _recorded_before(approval, request)
            if before:
                alarm = _last_alarm(approval) if alarm is not None else None
            elif approval.state == "pending":
                now = await database_now(connection)
                approval, alarm = _gone_off(approval, request, now=now)
                if alarm is not None and alarm.kind == "expire":
                    silent = able and not approval.claims  # a claim has kept others off
                    if not silent or await was_passed_over(
                        connection, request.tenant, approval.id, _who_counts(approval)
                    ):
                        approval = approval.unheard()
                await self._record_alarm(connection, request, approval, alarm)
            else:
                return AlarmOutcome(approval=approval)
            deliveries = await enqueue_alarm(
                connection,
                self._resources.notifications,
                tenant=request.tenant,
                approval=approval,
                alarm=alarm,
            )
            return AlarmOutcome(approval=approval, deliveries=deliveries)

    async def _could_somebody_decide(self, request: AlarmRequest) -> bool:
        """Whether silence may be taken for consent: somebody has to have been told, in time, who could
        have signed a decision."""
        async with self._resources.pool.acquire() as connection:
            now = await database_now(connection)
            record = await read_approval(connection, request.tenant, request.approval.id)
            approval = record.approval
            if approval.on_expiry != "allow":
                return True
            heard = await was_heard(connection, request.tenant, approval, now=now)
        roles = frozenset(_who_counts(approval.advance(now)))
        return heard and await self._resources.verifier.may_anybody(roles, tenant=request.tenant)

    async def _record_alarm(
        self,
        connection: Connection,
        request: AlarmRequest,
        approval: Approval,
        alarm: Alarm | None,
    ) -> None:
        await save_approval(connection, request.tenant, approval)
        await _end_actions(connection, request.key, approval, None)
        await _announce(
            connection,
            request.key,
            approval,
            _of_alarm(approval, alarm),
            audit=_audit_kind(approval, alarm),
        )

    async def _before(
        self, connection: Connection, request: DecisionRequest
    ) -> DecisionOutcome | None:
        """What came of this very decision when it was handed in before: taken, or refused by another
        attempt at this."""
        decision = request.decision
        taken = await outcome_of(
            connection,
            request.tenant,
            decision.approval,
            decision.id,
            statement=decision.statement,
        )
        if taken is not None and decision.statement:
            async with connection.transaction():
                return await self._decided(connection, request, taken)
        refusal = await refusal_of(connection, request.tenant, decision, by=this_activity())
        if refusal is not None:
            code, _, text = refusal.partition(": ")
            return DecisionOutcome(code=code, refusal=text)
        return None

    async def _take(self, request: DecisionRequest, *, is_last: bool) -> DecisionOutcome:
        decision = request.decision
        if decision.kind != "edit":
            async with self._resources.pool.acquire() as connection, connection.transaction():
                return await self._record(connection, request)
        async with self._resources.reads.acquire() as reading:
            taken = await outcome_of(reading, request.tenant, decision.approval, decision.id)
            record = await read_approval(reading, request.tenant, decision.approval)
            origin = await _origin(reading, request, record)
        if taken is None and (place := self._elsewhere(decision)) is not None:
            return DecisionOutcome(elsewhere=place)
        if taken is not None:
            async with self._resources.pool.acquire() as connection, connection.transaction():
                return await self._decided(connection, request, taken)
        edited = [
            _as_recorded(self._resources.registry.action(one.name), one, asked)
            for one, asked in zip(decision.actions, record.actions, strict=True)
        ]
        rehearsed = await rehearse(self._resources, origin, edited, is_last=is_last)

        async def judge_and_record() -> DecisionOutcome:
            async with judged(self._resources, origin, rehearsed) as (writing, judgement):
                return await self._record(writing, request, origin, judgement)

        return await patiently(judge_and_record)

    def _elsewhere(self, edit: Decision) -> str | None:
        """The package to whose workers an edit is taken whose actions are not here."""
        fleet, registry = self._resources.fleet, self._resources.registry
        for action in edit.actions:
            if registry.action(action.name) is None:
                place = fleet.place_of_action(action.name)
                shared = wire.subgraphs_queue(fleet.task_queue)
                return elsewhere(place, f"action {action.name!r}", shared=shared)
        return None

    async def _record(
        self,
        connection: Connection,
        request: DecisionRequest,
        origin: ProposalOrigin | None = None,
        judgement: Judgement | None = None,
    ) -> DecisionOutcome:
        """Take the decision, with policy's word on its arguments where it is an edit."""
        decision = request.decision
        recorded = await lock_approval(
            connection, request.tenant, decision.approval, conversation=request.conversation
        )
        before = await outcome_of(connection, request.tenant, decision.approval, decision.id)
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
        edit = None
        if judgement is not None and origin is not None:
            edit = await _edit(connection, request, origin, judgement, at=at)
            repeats = await denied_repeats(self._resources, connection, origin, judgement)
            if repeats:
                raise InvalidEdit(" ".join(repeats))
        approval = recorded.decide(decision, now=at, edit=edit)
        taken = TakenDecision(decision=decision, at=at, edit=edit)
        await record_taken(connection, request.tenant, taken, approval)
        await save_approval(connection, request.tenant, approval)
        await _end_actions(connection, request.key, approval, decision)
        await _announce(
            connection,
            request.key,
            approval,
            _of_decision(approval, decision),
            audit=f"decision_{decision.kind}",
        )
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
        """Record a refusal, up to a bound: whoever can signal could fill the tables. A genuine statement is
        spent by it."""
        refusal = f"{error.code}: {error}"
        async with self._resources.pool.acquire() as connection, connection.transaction():
            if genuine and decision.statement:
                await spend(connection, key.tenant, decision.statement, by=this_activity())
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


def _who_counts(approval: Approval) -> list[str]:
    """The roles whose decisions count, with those that escalations have added."""
    return [role for one in approval.current_requirements() for role in one.roles]


def _recorded_before(recorded: Approval, request: AlarmRequest) -> bool:
    """Whether this was recorded before, by an attempt whose answer was lost."""
    if request.alarm is None:
        return recorded.state == "withdrawn"
    if request.alarm.kind == "expire":
        return recorded.state != "pending" and recorded.ended_by_silence
    return recorded.state == "pending" and recorded.alarms >= max(1, request.approval.alarms)


def _last_alarm(approval: Approval) -> Alarm:
    if approval.state != "pending":
        return Alarm(at=approval.expires_at, kind="expire")
    return approval.schedule[approval.alarms - 1]


def _gone_off(
    recorded: Approval, request: AlarmRequest, *, now: datetime
) -> tuple[Approval, Alarm | None]:
    """The approval after its next alarm, and that alarm; after it was taken back, and none.

    Raises:
        ApplicationError: nothing is due yet; it is tried again when it is.
    """
    if request.alarm is None:
        return recorded.withdraw(), None
    due = recorded.next_alarm(now)
    if due is None:
        raise ApplicationError(
            f"the next alarm of approval {recorded.id} is due at {recorded.due_at:%Y-%m-%d %H:%M:%S} "
            "UTC by the database's clock",
            type="NotDue",
            next_retry_delay=min(recorded.due_at - now + _CLOCKS_DIFFER, _LOOKS_AGAIN),
        )
    return due


def _as_recorded(
    action: AnyAction | None, edited: ProposedAction, asked: AskedAction
) -> ProposedAction:
    """What is not changed, as it is recorded: "150.0" in the place of "150" is no change."""
    if action is None or not are_equal(action, edited.arguments, asked.arguments):
        return edited
    return edited.model_copy(update={"arguments": asked.arguments})


async def _origin(
    connection: Connection, request: DecisionRequest, record: ApprovalRecord
) -> ProposalOrigin:
    """Where the arguments come from that a reviewer edits.

    Raises:
        InvalidEdit: the edit is of other actions.
    """
    decision = request.decision
    names = [action.name for action in record.actions]
    edited = [action.name for action in decision.actions]
    if edited != names:
        raise InvalidEdit(
            f"an edit keeps the actions: {', '.join(names)}; it has {', '.join(edited)}"
        )
    key = ConversationKey(request.tenant, record.conversation)
    conversation = await read_conversation(connection, key)
    return ProposalOrigin(
        key=key.turn_key(record.turn).step_key(record.step),
        agent=record.agent,
        customer=record.customer,
        priority=conversation.priority,
        language=conversation.language,
        opened_at=conversation.created_at,
        approval=record.id,
    )


async def _edit(
    connection: Connection,
    request: DecisionRequest,
    origin: ProposalOrigin,
    judgement: Judgement,
    *,
    at: datetime,
) -> EditTerms:
    """Put edited arguments in the place of what was proposed; what policy says they need.

    Raises:
        InvalidEdit: they do not fit the actions, or policy does not let them through.
    """
    problems = [action.error for action in judgement.actions if action.error]
    if problems:
        raise InvalidEdit(" ".join(problems))
    approval = request.decision.approval
    for edited in recorded_actions(origin, judgement, approval=approval):
        await replace_action(connection, request.tenant, approval, edited)
    return what_an_edit_needs(judgement, now=at)


def _audit_kind(approval: Approval, alarm: Alarm | None) -> str:
    if alarm is None or alarm.kind == "expire":
        return f"approval_{approval.state}"
    return "approval_reminded" if alarm.kind == "remind" else "approval_escalated"


def _of_alarm(
    approval: Approval, alarm: Alarm | None
) -> ApprovalReminded | ApprovalEscalated | ApprovalDecided:
    if alarm is None or alarm.kind == "expire":
        return ApprovalDecided(approval=approval.id, state=approval.state, roles=approval.roles)
    payload = ApprovalReminded if alarm.kind == "remind" else ApprovalEscalated
    return payload(approval=approval.id, roles=approval.roles)


def _of_decision(approval: Approval, decision: Decision) -> ApprovalUpdated | ApprovalDecided:
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


async def _end_actions(
    connection: Connection,
    key: ConversationKey,
    approval: Approval,
    decision: Decision | None,
) -> None:
    """Give the actions of an approval that ended without being accepted their end, for the agent to
    read."""
    if approval.state in _ENDS:
        state, error = _ENDS[approval.state]
        await set_open_actions(
            connection,
            key.turn_key(approval.turn).step_key(approval.step),
            state=state,
            error=decision.text if decision else error,
            reviewer=decision.reviewer if decision else None,
        )


async def _announce(
    connection: Connection,
    key: ConversationKey,
    approval: Approval,
    payload: ApprovalUpdated | ApprovalReminded | ApprovalEscalated | ApprovalDecided,
    *,
    audit: str,
) -> None:
    await append_events(connection, key, [NewEvent(turn=approval.turn, data=payload)])
    await append_audit(
        connection,
        key,
        kind=audit,
        subject=approval.id,
        data={**payload.model_dump(mode="json"), "digest": approval.args_digest},
    )
