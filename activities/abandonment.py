"""The activity that leaves an action undone which nobody has begun: its code isn't needed for that."""

from temporalio import activity

from holdfast.activities.action_ends import finish, not_undone, report_of
from holdfast.activities.attempts import heartbeating, recording
from holdfast.activities.lock_retries import patiently
from holdfast.activities.resources import Resources
from holdfast.domain import wire
from holdfast.domain.activity_protocol import ActionReport, LeaveRequest
from holdfast.store.actions import lock_action
from holdfast.store.compensation import is_to_be_undone


class AbandonmentActivities:
    """Ends actions that no worker has begun."""

    def __init__(self, resources: Resources) -> None:
        self._pool = resources.pool

    @activity.defn(name=wire.LEAVE_ACTION)
    @heartbeating
    async def leave_action(self, request: LeaveRequest) -> ActionReport | None:
        """Leave an action that nobody has begun to execute, or to undo, as it is, or say what became of
        it; None where it is under way."""
        return await patiently(lambda: self._leave(request))

    async def _leave(self, request: LeaveRequest) -> ActionReport | None:
        async with recording(self._pool, request.key) as connection:
            record = await lock_action(connection, request.key, waits=False)
            if record is None:
                raise LookupError(f"no action {request.index} was proposed")
            if request.undo:
                if record.state != "executed":
                    return report_of(record)
                if not await is_to_be_undone(connection, request.tenant, record.id):
                    return report_of(record)
                if record.undo_tries:
                    return None
                return await not_undone(connection, request, record, request.reason)
            if record.state != "proposed":
                return report_of(record)
            if record.begun:
                return None
            problem = f"{request.reason}; nothing was done"
            return await finish(connection, request, record, None, problem, state="not_attempted")
