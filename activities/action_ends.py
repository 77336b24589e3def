"""How actions end on record: state, event and audit entry, in the transaction of whoever ends them."""

from pydantic import JsonValue

from holdfast.domain.events import EventType, NewEvent
from holdfast.domain.model import storable, storable_value
from holdfast.domain.outcomes import ActionState
from holdfast.domain.steps import ActionReport, ActionRequest
from holdfast.store.actions import ActionRecord, end_execution, mark_compensated, set_open_actions
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
    ended: ActionState = "executed" if error is None else state
    error = error and storable(error)
    await end_execution(
        connection,
        request.tenant,
        record.id,
        state=ended,
        result=storable_value(result),
        error=error,
    )
    if ended != "executed":
        await _end_the_rest(connection, request, "not_attempted", _NOT_ATTEMPTED)
    await announce(connection, request, record, ended, {"error": error} if error else {})
    return ActionReport(state=ended)


async def go_stale(
    connection: Connection, request: ActionRequest, record: ActionRecord, reason: str
) -> ActionReport:
    """End what may not run any more, the rest of its proposal, and the approval that it had."""
    if record.approval is not None:
        await mark_stale(connection, request.tenant, record.approval, reason)
    await _end_the_rest(connection, request, "stale", reason)
    if record.approval is None:
        await announce(connection, request, record, "stale", {"error": reason})
        return ActionReport(state="stale")
    data: dict[str, JsonValue] = {"approval": record.approval, "reason": reason}
    event = NewEvent(type="approval_stale", turn=request.turn, data=data)
    await append_events(connection, request.tenant, request.conversation, [event])
    await append_audit(
        connection,
        tenant=request.tenant,
        kind="approval_stale",
        conversation=request.conversation,
        subject=record.approval,
        data=data,
    )
    return ActionReport(state="stale")


async def compensated(
    connection: Connection, request: ActionRequest, record: ActionRecord
) -> ActionReport:
    """Record that the action's effect was undone, if it stood until now."""
    if record.state == "executed":
        await mark_compensated(connection, request.tenant, record.id)
        await announce(connection, request, record, "compensated", {})
    return ActionReport(state="compensated")


async def _end_the_rest(
    connection: Connection, request: ActionRequest, state: ActionState, error: str
) -> None:
    """End every action of the proposal that is still open and was not begun."""
    await set_open_actions(
        connection,
        request.tenant,
        request.conversation,
        request.turn,
        request.step,
        state=state,
        error=error,
    )


async def announce(
    connection: Connection,
    request: ActionRequest,
    record: ActionRecord,
    state: ActionState,
    more: dict[str, JsonValue],
) -> None:
    """Write the event and the audit entry of what has become of the action."""
    kinds: dict[ActionState, EventType] = {
        "executed": "action_executed",
        "compensated": "action_compensated",
    }
    data: dict[str, JsonValue] = {"action": record.id, "name": record.name, "state": state, **more}
    event = NewEvent(type=kinds.get(state, "action_not_executed"), turn=request.turn, data=data)
    await append_events(connection, request.tenant, request.conversation, [event])
    await append_audit(
        connection,
        tenant=request.tenant,
        kind=f"action_{state}",
        conversation=request.conversation,
        subject=record.id,
        data={
            "name": record.name,
            "arguments": record.arguments,
            "approval": record.approval,
            **more,
        },
    )


def report_of(record: ActionRecord) -> ActionReport:
    """What is recorded of an action that has ended before."""
    return ActionReport.model_validate({"state": record.state})
