"""The activities that execute and undo actions: the effect and its records are one transaction."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import BaseModel
from temporalio import activity

from holdfast.activities.action_ends import (
    compensated,
    finish,
    go_stale,
    not_undone,
    report_of,
    undone_perhaps,
)
from holdfast.activities.arguments import OtherForm, recorded_arguments
from holdfast.activities.attempts import Attempt, beating
from holdfast.activities.lock_retries import patiently
from holdfast.activities.permission import permission, require_order
from holdfast.activities.resources import Resources
from holdfast.activities.routing import check_before_acting, waited_for_long
from holdfast.activities.unsent import was_not_sent
from holdfast.contract.action import ActionContext, ActionRefused, AnyAction
from holdfast.domain import wire
from holdfast.domain.activity_protocol import ActionReport, ActionRequest
from holdfast.domain.approval import Approval
from holdfast.domain.errors import (
    LockTaken,
    NotAllowed,
    NotApproved,
    NotServedHere,
    TransactionEnded,
)
from holdfast.domain.failures import in_words
from holdfast.domain.outcomes import OUTCOME_UNKNOWN, ActionState
from holdfast.domain.records import ActionRecord
from holdfast.domain.shown import ShownAction, shown_digest
from holdfast.domain.transitions import replay
from holdfast.store.actions import (
    begin_execution,
    begin_undoing,
    lock_action,
    proposal_of,
    take_back_execution,
    take_back_undoing,
)
from holdfast.store.approvals import lock_approval
from holdfast.store.clock import database_now
from holdfast.store.compensation import is_to_be_undone
from holdfast.store.decisions import read_taken
from holdfast.store.faults import reach
from holdfast.store.pool import Connection, lend
from holdfast.store.subjects import lock_subjects, require_no_call, writing


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A call of another system that is recorded as begun."""

    record: ActionRecord
    action: AnyAction
    arguments: BaseModel


class ActionActivities:
    """Executes actions, each at most once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @activity.defn(name=wire.EXECUTE_ACTION)
    async def execute_action(self, request: ActionRequest) -> ActionReport:
        """Execute one action of a proposal; one that has ended before gives its recorded end."""
        return await _tried(request, self._execute, self._give_up)

    @activity.defn(name=wire.COMPENSATE_ACTION)
    async def compensate_action(self, request: ActionRequest) -> ActionReport:
        """Undo an executed action where it says how; otherwise it stands."""
        try:
            return await _tried(request, self._compensate, self._let_stand)
        except (NotAllowed, ActionRefused) as refused:
            return await self._let_stand(request, refused)

    async def _execute(self, request: ActionRequest) -> ActionReport:
        report = await check_before_acting(self._resources, request, acts_on="proposed")
        if report is not None:
            if report.stuck is None:
                return report
            async with self._locked(request) as (connection, record):
                if record.state != "proposed":
                    return report_of(record)
                if not record.begun:  # else something may have been done already
                    await require_order(connection, request, record)
                    await go_stale(connection, request, record, report.stuck)
                    return report
        begun = await patiently(lambda: self._begin(request))
        report = await self._send(request, begun) if isinstance(begun, _Call) else begun
        await reach("after_action_commit")
        return report

    async def _begin(self, request: ActionRequest) -> ActionReport | _Call:
        """Check permission and have the effect, in one transaction. For an action on another system, record
        the intention instead, which holds its subject from then on."""
        async with self._locked(request, waits=False) as (connection, record):
            if record.state != "proposed":
                return report_of(record)
            await require_order(connection, request, record)
            action = self._action(record)
            if record.begun and not action.remote:
                raise TransactionEnded("an earlier try has ended its transaction")
            approval = None
            if record.approval is not None or record.verdict == "approve":
                approval = await self._require_approval(connection, request, record)
            try:
                arguments = recorded_arguments(action, record.arguments)
            except OtherForm as other:
                if record.begun:  # it may have been done
                    raise
                return await go_stale(connection, request, record, str(other))
            subject = await _lock_subject(connection, request, record, action)
            facts = None
            if not record.begun:  # what was sent once is sent again, whatever has changed since
                permitted = await permission(
                    self._resources, connection, request.key, record, action, arguments, approval
                )
                if permitted.objection is not None:
                    return await go_stale(connection, request, record, permitted.objection)
                facts = permitted.facts
            await reach("after_permission")
            await begin_execution(
                connection,
                request.tenant,
                record.id,
                idempotency_key=record.id,
                subject=subject if action.remote else None,
                facts=facts,
            )
            if action.remote:
                return _Call(record=record, action=action, arguments=arguments)
            context = _context(request, record, connection)
            try:
                async with writing(connection):
                    result, error = await action.execute(context, arguments), None
            except ActionRefused as refused:
                result, error = None, str(refused)
            report = await finish(connection, request, record, result, error)
            await reach("before_action_commit")
            return report

    async def _send(self, request: ActionRequest, call: _Call) -> ActionReport:
        """Make the call without a transaction and with the same key on every try, and record its result."""
        context = _context(request, call.record, None)
        try:
            result, error = await call.action.execute(context, call.arguments), None
        except ActionRefused as refused:
            result, error = None, str(refused)
        except Exception as failure:
            if not was_not_sent(failure):
                raise
            async with self._resources.pool.acquire() as connection:
                await take_back_execution(connection, request.tenant, call.record.id)
            raise
        await reach("before_action_commit")
        async with self._locked(request) as (connection, record):
            if record.state != "proposed":
                return report_of(record)
            # After several tries, it may be refused because an earlier one was taken.
            if error is not None and record.tries > 1:
                error = f"{error.rstrip('.')}; {OUTCOME_UNKNOWN}"
                return await finish(connection, request, record, None, error, state="failed")
            return await finish(connection, request, record, result, error)

    async def _compensate(self, request: ActionRequest) -> ActionReport:
        report = await check_before_acting(self._resources, request, acts_on="executed")
        if report is not None:
            return report
        begun = await patiently(lambda: self._begin_undoing(request))
        if isinstance(begun, ActionReport):
            return begun
        record, action = begun.record, begun.action
        assert action.compensate is not None
        context = _context(request, record, None)
        try:
            await action.compensate(context, begun.arguments, record.result)
        except Exception as failure:
            if not (isinstance(failure, ActionRefused) or was_not_sent(failure)):
                raise
            async with self._resources.pool.acquire() as connection:
                await take_back_undoing(connection, request.tenant, record.id)
            raise
        async with self._locked(request) as (connection, record):
            return await compensated(connection, request, record)

    async def _begin_undoing(self, request: ActionRequest) -> ActionReport | _Call:
        async with self._locked(request, waits=False) as (connection, record):
            action = self._action(record)
            if record.state != "executed" or action.compensate is None:
                return report_of(record)
            if not await is_to_be_undone(connection, request.tenant, record.id):
                raise NotAllowed(f"nothing of the proposal of action {record.id} has failed")
            arguments = recorded_arguments(action, record.arguments)
            await _lock_subject(connection, request, record, action)
            if action.remote:
                await begin_undoing(connection, request.tenant, record.id)
                return _Call(record=record, action=action, arguments=arguments)
            context = _context(request, record, connection)
            async with writing(connection):
                await action.compensate(context, arguments, record.result)
            return await compensated(connection, request, record)

    async def _give_up(self, request: ActionRequest, error: Exception) -> ActionReport:
        """End an action that has failed too often. One that was begun and has no end is on another system, or
        has ended its transaction: whatever its last failure was, it may have been done."""
        async with self._locked(request) as (connection, record):
            if record.state != "proposed":
                return report_of(record)
            await require_order(connection, request, record)
            problem = in_words(error)
            state: ActionState = "failed"
            action = self._resources.registry.action(record.name)
            remote = action is not None and action.remote
            if record.begun and isinstance(error, NotServedHere):
                raise error  # somebody else began it, and will come back
            if record.begun or isinstance(error, TransactionEnded):
                problem += f"; {OUTCOME_UNKNOWN}"
                if action is not None and not remote:  # it counts as what is on another system does
                    subject = _subject(request, record, action)
                    await begin_execution(
                        connection,
                        request.tenant,
                        record.id,
                        idempotency_key=record.id,
                        subject=subject,
                    )
            elif isinstance(error, LockTaken | NotServedHere) or remote:
                problem, state = f"{problem}; nothing was done", "not_attempted"
            else:
                await begin_execution(
                    connection, request.tenant, record.id, idempotency_key=record.id
                )
            return await finish(connection, request, record, None, problem, state=state)

    async def _let_stand(self, request: ActionRequest, error: Exception) -> ActionReport:
        """Record that an action could not be undone. Another system that was asked may have undone it after
        all."""
        async with self._locked(request) as (connection, record):
            if record.state != "executed" or not await is_to_be_undone(
                connection, request.tenant, record.id
            ):
                return report_of(record)
            if record.undo_tries:
                if isinstance(error, NotServedHere):
                    raise error
                return await undone_perhaps(connection, request, record, in_words(error))
            return await not_undone(connection, request, record, in_words(error))

    async def _require_approval(
        self, connection: Connection, request: ActionRequest, record: ActionRecord
    ) -> Approval:
        """The approval of an action that needs one, given for exactly what was shown: every signed decision is
        verified again, and the approval replayed from them."""
        if record.approval is None:
            raise NotApproved(f"action {record.id} needs an approval and has none")
        asked, taken = await read_taken(connection, request.tenant, record.approval)
        for one in taken:
            if one.decision.kind == "comment":  # which counts for nothing
                continue
            await self._resources.verifier.verify(one.decision, tenant=request.tenant, at=one.at)
        recorded = await lock_approval(connection, request.tenant, record.approval)
        approval = replay(asked, taken, now=await database_now(connection))
        if recorded.state != "accepted" or approval.state != "accepted":
            raise NotApproved(
                f"approval {record.approval} is {approval.state} (recorded: {recorded.state})"
            )
        proposal = await proposal_of(connection, request.key)
        shown = (ShownAction.model_validate(one.model_dump()) for one in proposal)
        if approval.args_digest != shown_digest(shown, approval.covers):
            raise NotApproved(f"approval {record.approval} was given for something else")
        return approval

    @asynccontextmanager
    async def _locked(
        self, request: ActionRequest, *, waits: bool = True
    ) -> AsyncIterator[tuple[Connection, ActionRecord]]:
        """The transaction that holds the lock of the action's record, and that record."""
        async with self._resources.pool.acquire() as connection, connection.transaction():
            record = await lock_action(connection, request.key, waits=waits)
            if record is None:
                raise LookupError(
                    f"step {request.turn}.{request.step} of {request.conversation} proposed no "
                    f"action {request.index}"
                )
            yield connection, record

    def _action(self, record: ActionRecord) -> AnyAction:
        action = self._resources.registry.action(record.name)
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
        if attempt.repeats(error) and not waited_for_long(request, error):
            raise
        async with beating():
            return await give_up(request, error)


async def _lock_subject(
    connection: Connection, request: ActionRequest, record: ActionRecord, action: AnyAction
) -> str:
    """The action's subject, on which no other action runs until the transaction ends."""
    subject = _subject(request, record, action)
    await lock_subjects(connection, request.tenant, [subject])
    await require_no_call(connection, request.tenant, [subject], besides=record.id)
    return subject


def _subject(request: ActionRequest, record: ActionRecord, action: AnyAction) -> str:
    arguments = recorded_arguments(action, record.arguments)
    return action.subject_of(_context(request, record, None), arguments)


def _context(
    request: ActionRequest, record: ActionRecord, connection: Connection | None
) -> ActionContext:
    return ActionContext(
        tenant=request.tenant,
        conversation=request.conversation,
        turn=request.turn,
        customer=record.customer,
        idempotency_key=record.id,
        connection=connection and lend(connection),
    )
