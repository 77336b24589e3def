"""The activity that records what an approval's schedule does to it, or that its question was taken back."""

from datetime import datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.approval_changes import record_change
from holdfast.activities.attempts import heartbeating, recording
from holdfast.activities.refusals import refused
from holdfast.activities.resources import Resources
from holdfast.domain import wire
from holdfast.domain.activity_protocol import AlarmOutcome, AlarmRequest
from holdfast.domain.approval import Approval
from holdfast.domain.errors import ApprovalNotFound
from holdfast.domain.events import ApprovalDecided, ApprovalEscalated, ApprovalReminded
from holdfast.domain.terms import Alarm
from holdfast.notifications.outbox import enqueue_alarm
from holdfast.store.approvals import lock_approval, read_approval, was_heard
from holdfast.store.clock import database_now
from holdfast.store.handed_in import was_passed_over

_CLOCKS_DIFFER = timedelta(milliseconds=20)
_LOOKS_AGAIN = timedelta(hours=1)
"""The longest wait for an alarm that is not due by the database's clock; Temporal's may be ahead of it."""


class AlarmActivities:
    """Records alarms and withdrawals of approvals."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @activity.defn(name=wire.RECORD_ALARM)
    @heartbeating
    async def record_alarm(self, request: AlarmRequest) -> AlarmOutcome:
        """Record what an alarm does to an approval by now, or that its question was taken back.

        The record and the database's clock say which alarm that is. One that is not due is tried again
        when it is.
        """
        try:
            return await self._record(request)
        except ApprovalNotFound as error:
            raise refused(error) from None

    async def _record(self, request: AlarmRequest) -> AlarmOutcome:
        alarm = request.alarm
        able = await self._could_somebody_decide(request) if alarm is not None else True
        async with recording(self._resources.pool, request.key) as connection:
            approval = await lock_approval(
                connection,
                request.tenant,
                request.approval.id,
                conversation=request.conversation,
            )
            if _is_recorded(approval, request):
                alarm = _last_alarm(approval) if alarm is not None else None
            elif approval.state != "pending":
                return AlarmOutcome(approval=approval)
            else:
                now = await database_now(connection)
                approval, alarm = _gone_off(approval, request, now=now)
                if alarm is not None and alarm.kind == "expire":
                    silent = able and not approval.claims  # a claim has kept others off
                    counts = _who_counts(approval)
                    if not silent or await was_passed_over(
                        connection,
                        request.tenant,
                        approval.id,
                        counts,
                        lent_to=approval.lent_to(counts),
                    ):
                        approval = approval.unheard()
                await record_change(connection, request.key, approval, _event(approval, alarm))
            deliveries = await enqueue_alarm(
                connection,
                self._resources.notifications,
                tenant=request.tenant,
                approval=approval,
                alarm=alarm,
            )
            return AlarmOutcome(approval=approval, deliveries=deliveries)

    async def _could_somebody_decide(self, request: AlarmRequest) -> bool:
        """Whether silence may be taken for consent: only where a person who could have signed a decision was
        told in time."""
        async with self._resources.pool.acquire() as connection:
            now = await database_now(connection)
            record = await read_approval(connection, request.tenant, request.approval.id)
            approval = record.approval
            if approval.on_expiry != "allow":
                return True
            heard = await was_heard(connection, request.tenant, approval, now=now)
        roles = frozenset(_who_counts(approval.advance(now)))
        return heard and await self._resources.verifier.may_anybody(roles, tenant=request.tenant)


def _who_counts(approval: Approval) -> list[str]:
    """The roles whose decisions count, with those that escalations have added."""
    return [role for one in approval.current_requirements() for role in one.roles]


def _is_recorded(recorded: Approval, request: AlarmRequest) -> bool:
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


def _event(
    approval: Approval, alarm: Alarm | None
) -> ApprovalReminded | ApprovalEscalated | ApprovalDecided:
    if alarm is None or alarm.kind == "expire":
        return ApprovalDecided(approval=approval.id, state=approval.state, roles=approval.roles)
    payload = ApprovalReminded if alarm.kind == "remind" else ApprovalEscalated
    return payload(approval=approval.id, roles=approval.roles)
