"""The activities that execute and undo actions: the effect and its records are one transaction."""

from collections.abc import Awaitable, Callable

import httpx2
from pydantic import BaseModel, JsonValue
from temporalio import activity

from holdfast.activities.attempts import Attempt, beating
from holdfast.activities.permission import objection
from holdfast.activities.services import Services
from holdfast.activities.serving import look_before_acting
from holdfast.domain import wire
from holdfast.domain.approval import Approval, ShownAction, replay, shown_digest
from holdfast.domain.errors import AttemptsLost, NotAllowed, NotApproved, TookTooLong
from holdfast.domain.events import EventType, NewEvent
from holdfast.domain.failures import in_words
from holdfast.domain.outcomes import ActionState
from holdfast.domain.steps import ActionReport, ActionRequest
from holdfast.store.actions import (
    ActionRecord,
    begin_execution,
    end_execution,
    lock_action,
    mark_compensated,
    proposal_of,
    set_open_actions,
)
from holdfast.store.approvals import lock_approval, mark_stale, read_taken
from holdfast.store.audit import append_audit
from holdfast.store.clock import database_now
from holdfast.store.compensation import is_to_be_undone
from holdfast.store.events import append_events
from holdfast.store.faults import reach
from holdfast.store.pool import Connection
from holdfast.store.subjects import lock_subjects
from holdfast.subgraphs.action import ActionContext, ActionRefused, AnyAction

_UNKNOWN_OUTCOMES = (TookTooLong, AttemptsLost, TimeoutError, httpx2.TimeoutException)
"""Failures after which another system may have done what it was asked for."""

_NOT_ATTEMPTED = "An earlier action of the same proposal did not succeed."


class ActionActivities:
    """Executes actions, each at most once."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=wire.EXECUTE_ACTION)
    async def execute_action(self, request: ActionRequest) -> ActionReport:
        """Execute one action of a proposal, or say what became of it before."""
        return await _tried(request, self._execute_where_served, self._give_up)

    @activity.defn(name=wire.COMPENSATE_ACTION)
    async def compensate_action(self, request: ActionRequest) -> ActionReport:
        """Undo an executed action where it says how; otherwise it stands."""
        try:
            return await _tried(request, self._compensate_where_served, self._let_stand)
        except NotAllowed as refused:
            return await self._let_stand(request, refused)

    async def _execute_where_served(self, request: ActionRequest) -> ActionReport:
        report = await look_before_acting(self._services, request)
        if report is None:
            return await self._execute(request)
        if report.stuck is not None:
            async with self._services.pool.acquire() as connection, connection.transaction():
                record = await _locked(connection, request)
                if record.state != "proposed":
                    return _report(record)
                await _go_stale(connection, request, record, report.stuck)
        return report

    async def _compensate_where_served(self, request: ActionRequest) -> ActionReport:
        report = await look_before_acting(self._services, request)
        return await self._compensate(request) if report is None else report

    async def _execute(self, request: ActionRequest) -> ActionReport:
        async with self._services.pool.acquire() as connection:
            async with connection.transaction():
                record = await _locked(connection, request)
                if record.state != "proposed":
                    return _report(record)
                action = self._action(record)
                arguments = action.arguments.model_validate(record.arguments)
                approval = None
                if record.approval is not None or record.verdict == "approve":
                    approval = await self._require_approval(connection, request, record)
                await _lock_subject(connection, request, record, action, arguments)
                if not record.begun:  # what was sent once is sent again, whatever has changed since
                    problem = await objection(
                        self._services,
                        connection,
                        request.tenant,
                        record,
                        action,
                        arguments,
                        approval,
                    )
                    if problem is not None:
                        return await _go_stale(connection, request, record, problem)
                await reach("after_permission")
                await begin_execution(
                    connection, request.tenant, record.id, idempotency_key=record.id
                )
                if not action.remote:
                    context = _context(request, record, connection)
                    report = await self._carry_out(
                        connection, request, record, action, arguments, context
                    )
                    await reach("before_action_commit")
            if action.remote:
                report = await self._send(connection, request, record, action, arguments)
        await reach("after_action_commit")
        return report

    async def _send(
        self,
        connection: Connection,
        request: ActionRequest,
        record: ActionRecord,
        action: AnyAction,
        arguments: BaseModel,
    ) -> ActionReport:
        """A remote action: the intention is committed, the call is made without a transaction and
        with the same key on every try, and then its result is recorded."""
        context = _context(request, record, None)
        try:
            result, error = await action.execute(context, arguments), None
        except ActionRefused as refused:
            result, error = None, str(refused)
        await reach("before_action_commit")
        async with connection.transaction():
            record = await _locked(connection, request)
            if record.state != "proposed":
                return _report(record)
            return await _finish(connection, request, record, result, error)

    async def _carry_out(
        self,
        connection: Connection,
        request: ActionRequest,
        record: ActionRecord,
        action: AnyAction,
        arguments: BaseModel,
        context: ActionContext,
    ) -> ActionReport:
        try:
            async with connection.transaction():
                result, error = await action.execute(context, arguments), None
        except ActionRefused as refused:
            result, error = None, str(refused)
        return await _finish(connection, request, record, result, error)

    async def _compensate(self, request: ActionRequest) -> ActionReport:
        async with self._services.pool.acquire() as connection:
            async with connection.transaction():
                record = await _locked(connection, request)
                action = self._action(record)
                if record.state != "executed" or action.compensate is None:
                    return _report(record)
                if not await is_to_be_undone(connection, request.tenant, record.id):
                    raise NotAllowed(f"nothing of the proposal of action {record.id} has failed")
                arguments = action.arguments.model_validate(record.arguments)
                await _lock_subject(connection, request, record, action, arguments)
                if not action.remote:
                    context = _context(request, record, connection)
                    await action.compensate(context, arguments, record.result)
                    return await _compensated(connection, request, record)
            await action.compensate(_context(request, record, None), arguments, record.result)
            async with connection.transaction():
                record = await _locked(connection, request)
                return await _compensated(connection, request, record)

    async def _give_up(self, request: ActionRequest, error: Exception) -> ActionReport:
        async with self._services.pool.acquire() as connection, connection.transaction():
            record = await _locked(connection, request)
            if record.state != "proposed":
                return _report(record)
            await begin_execution(connection, request.tenant, record.id, idempotency_key=record.id)
            problem = in_words(error)
            action = self._services.registry.action(record.name)
            if action is not None and action.remote and isinstance(error, _UNKNOWN_OUTCOMES):
                problem += "; its outcome is unknown"
            return await _finish(connection, request, record, None, problem, state="failed")

    async def _let_stand(self, request: ActionRequest, error: Exception) -> ActionReport:
        async with self._services.pool.acquire() as connection, connection.transaction():
            record = await _locked(connection, request)
            problem = f"could not be undone: {in_words(error)}"
            await _announce(connection, request, record, "failed", {"problem": problem})
        return ActionReport(state="executed")

    async def _require_approval(
        self, connection: Connection, request: ActionRequest, record: ActionRecord
    ) -> Approval:
        """Check that an action that needs an approval has one, for exactly what was shown: every
        signed decision is verified again, and the approval is worked out from them anew."""
        if record.approval is None:
            raise NotApproved(f"action {record.id} needs an approval and has none")
        asked, taken = await read_taken(connection, request.tenant, record.approval)
        for one in taken:
            await self._services.verifier.verify(one.decision, tenant=request.tenant, at=one.at)
        recorded = await lock_approval(connection, request.tenant, record.approval)
        approval = replay(asked, taken, now=await database_now(connection))
        if recorded.state != "accepted" or approval.state != "accepted":
            raise NotApproved(
                f"approval {record.approval} is {approval.state} (recorded: {recorded.state})"
            )
        proposal = await proposal_of(
            connection, request.tenant, request.conversation, request.turn, request.step
        )
        shown = (ShownAction.model_validate(one.model_dump()) for one in proposal)
        if approval.args_digest != shown_digest(shown, approval.covers):
            raise NotApproved(f"approval {record.approval} was given for something else")
        return approval

    def _action(self, record: ActionRecord) -> AnyAction:
        action = self._services.registry.action(record.name)
        if action is None:
            raise LookupError(f"this worker has no action {record.name!r}")
        return action


async def _tried(
    request: ActionRequest,
    work: Callable[[ActionRequest], Awaitable[ActionReport]],
    give_up: Callable[[ActionRequest, Exception], Awaitable[ActionReport]],
) -> ActionReport:
    """What `work` reports; on the last attempt, what `give_up` makes of its failure."""
    attempt = Attempt(request.attempts, lost=request.lost_attempts, within=request.seconds)
    try:
        async with attempt.running():
            return await work(request)
    except Exception as error:
        if attempt.repeats(error):
            raise
        async with beating():
            return await give_up(request, error)


async def _locked(connection: Connection, request: ActionRequest) -> ActionRecord:
    record = await lock_action(
        connection,
        request.tenant,
        request.conversation,
        request.turn,
        request.step,
        request.index,
    )
    if record is None:
        raise LookupError(
            f"step {request.turn}.{request.step} of {request.conversation} proposed no action "
            f"{request.index}"
        )
    return record


async def _lock_subject(
    connection: Connection,
    request: ActionRequest,
    record: ActionRecord,
    action: AnyAction,
    arguments: BaseModel,
) -> None:
    """Let no other action on the same subject run until the transaction ends."""
    subject = action.subject_of(_context(request, record, None), arguments)
    await lock_subjects(connection, request.tenant, [subject])


async def _go_stale(
    connection: Connection, request: ActionRequest, record: ActionRecord, reason: str
) -> ActionReport:
    """End what may not run any more, the rest of its proposal, and the approval that it had."""
    if record.approval is not None:
        await mark_stale(connection, request.tenant, record.approval, reason)
    await set_open_actions(
        connection,
        request.tenant,
        request.conversation,
        request.turn,
        request.step,
        state="stale",
        error=reason,
    )
    if record.approval is None:
        await _announce(connection, request, record, "stale", {"error": reason})
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


def _context(
    request: ActionRequest, record: ActionRecord, connection: Connection | None
) -> ActionContext:
    return ActionContext(
        tenant=request.tenant,
        conversation=request.conversation,
        turn=request.turn,
        customer=record.customer,
        idempotency_key=record.id,
        connection=connection,
    )


async def _finish(
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
    await end_execution(
        connection, request.tenant, record.id, state=ended, result=result, error=error
    )
    if ended != "executed":
        await set_open_actions(
            connection,
            request.tenant,
            request.conversation,
            request.turn,
            request.step,
            state="not_attempted",
            error=_NOT_ATTEMPTED,
        )
    await _announce(connection, request, record, ended, {"error": error} if error else {})
    return ActionReport(state=ended)


async def _compensated(
    connection: Connection, request: ActionRequest, record: ActionRecord
) -> ActionReport:
    if record.state == "executed":
        await mark_compensated(connection, request.tenant, record.id)
        await _announce(connection, request, record, "compensated", {})
    return ActionReport(state="compensated")


async def _announce(
    connection: Connection,
    request: ActionRequest,
    record: ActionRecord,
    state: ActionState,
    more: dict[str, JsonValue],
) -> None:
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


def _report(record: ActionRecord) -> ActionReport:
    return ActionReport.model_validate({"state": record.state})
