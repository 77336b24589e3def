"""How actions end on record: state, event and audit entry, in the caller's transaction."""

from pydantic import JsonValue

from holdfast.domain.activity_protocol import ActionReport, ActionRequest
from holdfast.domain.events import (
    ActionCompensated,
    ActionExecuted,
    ActionNotExecuted,
    ActionNotUndone,
    ApprovalStale,
    NewEvent,
)
from holdfast.domain.outcomes import OUTCOME_UNKNOWN, ActionState
from holdfast.domain.records import ActionRecord
from holdfast.domain.text import storable, storable_value
from holdfast.store.actions import (
    end_execution,
    mark_compensated,
    mark_not_undone,
    set_open_actions,
)
from holdfast.store.approvals import mark_stale
from holdfast.store.audit import append_audit
from holdfast.store.events import append_events
from holdfast.store.pool import Connection

_NOT_ATTEMPTED = "An earlier action of the same proposal did not succeed."


async def finish(
    connection: Connection,
    request: ActionRequest,
    record: ActionRecord,
    result: JsonValue,
    error: str | None,
    *,
    state: ActionState = "refused",
) -> ActionReport:
    """Record the end of an execution in the caller's transaction; `state` is the one with an error."""
    error = error and storable(error)
    ended = (
        ActionExecuted(action=record.id, name=record.name)
        if error is None
        else ActionNotExecuted(action=record.id, name=record.name, state=state, error=error or None)
    )
    await end_execution(
        connection,
        request.tenant,
        record.id,
        state=ended.state,
        result=storable_value(result),
        error=error,
    )
    if error is not None:
        await set_open_actions(connection, request.key, state="not_attempted", error=_NOT_ATTEMPTED)
    await announce(connection, request, record, ended)
    return ActionReport(state=ended.state)


async def go_stale(
    connection: Connection, request: ActionRequest, record: ActionRecord, reason: str
) -> ActionReport:
    """End what may not run any more, the rest of its proposal, and the approval that it had."""
    if record.approval is not None:
        await mark_stale(connection, request.tenant, record.approval, reason)
    await set_open_actions(connection, request.key, state="stale", error=reason)
    if record.approval is None:
        ended = ActionNotExecuted(action=record.id, name=record.name, state="stale", error=reason)
        await announce(connection, request, record, ended)
        return ActionReport(state="stale")
    stale = ApprovalStale(approval=record.approval, reason=reason)
    event = NewEvent(turn=request.turn, data=stale)
    await append_events(connection, request.key, [event])
    await append_audit(
        connection,
        request.key,
        kind="approval_stale",
        subject=record.approval,
        data=stale.model_dump(mode="json"),
    )
    return ActionReport(state="stale")


async def compensated(
    connection: Connection, request: ActionRequest, record: ActionRecord
) -> ActionReport:
    """Record that the action's effect was undone, if it stood until now."""
    if record.state == "executed":
        await mark_compensated(connection, request.tenant, record.id)
        undone = ActionCompensated(action=record.id, name=record.name)
        await announce(connection, request, record, undone)
    return ActionReport(state="compensated")


async def not_undone(
    connection: Connection, request: ActionRequest, record: ActionRecord, problem: str
) -> ActionReport:
    """Record that the action's effect stands, although it was to be undone."""
    error = storable(f"It should have been undone, and could not be: {problem}")
    await mark_not_undone(connection, request.tenant, record.id, error=error)
    stands = ActionNotUndone(action=record.id, name=record.name, error=error)
    await announce(connection, request, record, stands)
    return report_of(record)


async def undone_perhaps(
    connection: Connection, request: ActionRequest, record: ActionRecord, problem: str
) -> ActionReport:
    """Record that nobody knows whether the action's effect stands: another system was asked to undo it."""
    error = f"It should have been undone, and may have been: {problem}; {OUTCOME_UNKNOWN}"
    return await finish(connection, request, record, record.result, error, state="failed")


async def announce(
    connection: Connection,
    request: ActionRequest,
    record: ActionRecord,
    ended: ActionExecuted | ActionNotExecuted | ActionNotUndone | ActionCompensated,
) -> None:
    """Write the event and the audit entry of an action's end."""
    event = NewEvent(turn=request.turn, data=ended)
    await append_events(connection, request.key, [event])
    await append_audit(
        connection,
        request.key,
        kind=f"action_{ended.state}",
        subject=record.id,
        data={
            "name": record.name,
            "arguments": record.arguments,
            "approval": record.approval,
            **ended.model_dump(mode="json", exclude={"action", "name", "state"}),
        },
    )


def report_of(record: ActionRecord) -> ActionReport:
    """The recorded end of an action."""
    return ActionReport.model_validate({"state": record.state})
