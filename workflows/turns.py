"""How a turn runs: triage, the agent's steps, proposals, approvals, handoffs."""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutError

from holdfast.workflows import patches
from holdfast.workflows.action_calls import ActionCalls
from holdfast.workflows.activity_calls import ActivityCalls, answer_before
from holdfast.workflows.outages import ModelOutages, NoModel, pause_asked_for

with workflow.unsafe.imports_passed_through():
    from typing import assert_never

    from holdfast.domain import failures, wire
    from holdfast.domain.activity_protocol import (
        ActionRequest,
        AlarmRequest,
        EndResult,
        EndTurnRequest,
        HandoffResult,
        ProposalResult,
        RepeatResult,
        RouteResult,
        StepReport,
        StepRequest,
    )
    from holdfast.domain.approval import Approval
    from holdfast.domain.conversation import (
        ConversationStart,
        ConversationState,
        ParkedTurn,
        QueuedMessage,
        Takeover,
        TurnResult,
        TurnStatus,
    )
    from holdfast.domain.errors import PERMANENT_CODES, AttemptsLost, TookTooLong
    from holdfast.domain.outcomes import ActionState

_FOR_A_PERSON = PERMANENT_CODES | {AttemptsLost.code, TookTooLong.code, "TurnBudgetExceeded"}
"""Errors of a step that say that it has reached a bound, or would fail again: a person takes over."""

_STUCK = "the agent cannot go on from where it was"
_LEAST_TIME = timedelta(seconds=1)


@dataclass
class _Cursor:
    """Where a turn is. `thread` is the step that started the agent's graph."""

    turn: int
    step: int
    thread: int
    agent: str
    handoffs: int = 0
    note: str = ""
    package: str | None = None
    """Whose workers have the agent, where that had to be found out."""


@dataclass(frozen=True)
class _Stop:
    """Why a turn ends that no subgraph ended, and as what. `to_person` says that a person goes on with
    it where something was done and the rest was not; `cause` tells operators more than `reason`."""

    status: TurnStatus
    reason: str
    to_person: bool = True
    cause: str = ""


class _Stopped(Exception):
    """The running turn has reached a point where it can end."""


class _OutOfTime(Exception):
    """The turn has had its time."""


class _Stuck(Exception):
    """Nothing of a proposal was done, since its agent could not have gone on afterwards."""


class _TakenOver(Exception):
    """A person took the conversation while a turn went on after a decision; it goes on later."""


class TurnRunner:
    """Runs one turn at a time; the conversation's workflow owns it and its state."""

    def __init__(
        self, start: ConversationStart, state: ConversationState, calls: ActivityCalls
    ) -> None:
        self._start = start
        self._key = start.key
        self._state = state
        self._calls = calls
        self._stop: _Stop | None = None
        self._step_under_way: workflow.ActivityHandle[StepReport] | None = None
        self._acting = ActionCalls(calls)
        self._outages = ModelOutages(start, calls, 0)
        self._going_on = False
        self._until: datetime | None = None
        self.running: int | None = None
        """The turn that is running."""

    @property
    def answering(self) -> int | None:
        """The turn that is running whose message has no answer yet, as one that goes on has."""
        return None if self._going_on else self.running

    def stop(self, status: TurnStatus, reason: str, *, to_person: bool = True) -> None:
        """End the running turn as soon as nothing is half done; a finished answer still counts. What was
        approved is executed also where a person takes the conversation over meanwhile."""
        if self._stop is None:
            self._stop = _Stop(status, reason, to_person)
            if self._step_under_way is not None:
                self._step_under_way.cancel()
        if status == "cancelled" or not self._going_on:
            self._acting.stop()

    def interrupt(self, reason: str) -> None:
        """End the running turn for a message that does not want to wait. A turn that goes on after a
        decision is left alone: the customer has to hear what became of the action. No person is
        called: the agent that gets the message knows what was done."""
        if self.answering is not None:
            self.stop("cancelled", reason, to_person=False)

    async def cancel(
        self, turn: int, reason: str, *, queued: QueuedMessage | None = None, to_person: bool = True
    ) -> TurnResult:
        """End a turn that does not run: one that waits for an approval, or one whose message is queued.

        Raises:
            MessageConflict: the id of its message is an old one, with another text.
        """
        return await self._end(turn, _Stop("cancelled", reason, to_person), queued)

    async def answer(self, queued: QueuedMessage) -> TurnResult:
        """Run the turn of a message until it is answered, parked, or ended otherwise.

        Raises:
            MessageConflict: its id is an old one, with another text.
        """
        self._begin(queued.turn)
        try:
            if self._state.takeover is not None:
                return await self._end(
                    queued.turn, _Stop("awaiting_human", "a person has the conversation"), queued
                )
            return await self._guarded(self._triage(queued), queued.turn, queued)
        finally:
            self.running = None

    async def go_on(self, parked: ParkedTurn) -> bool:
        """Go on with a parked turn whose approval is decided; False while it has to wait, since a
        person holds the conversation and agents keep quiet."""
        self._begin(parked.turn)
        self._going_on = True
        try:
            if parked.approval.state == "expired" and parked.approval.on_expiry == "person":
                await self._hand_over(
                    parked.turn, f"nobody decided on {parked.approval.id} in time"
                )
                return True
            if parked.approval.state == "accepted":
                ended = await self._execute(parked.turn, parked.step, parked.actions)
                if ended == "stale":
                    parked = parked.model_copy(update={"approval": parked.approval.go_stale()})
                    self._state.parked[parked.approval.id] = parked
            if self._state.takeover is not None:
                return False
            cursor = _Cursor(
                turn=parked.turn,
                step=parked.step + 1,
                thread=parked.thread,
                agent=parked.agent,
                handoffs=parked.handoffs,
            )
            await self._guarded(self._agent(cursor), parked.turn, None)
            return True
        except _Stuck as stuck:
            stale = parked.approval.go_stale()
            self._state.parked[parked.approval.id] = parked.model_copy(update={"approval": stale})
            await self._hand_over(parked.turn, _STUCK, cause=str(stuck))
            return True
        except _TakenOver:
            return False
        finally:
            self.running, self._going_on = None, False

    def _begin(self, turn: int) -> None:
        self.running, self._stop = turn, None
        self._outages = ModelOutages(self._start, self._calls, turn)
        self._until = workflow.now() + timedelta(seconds=self._start.limits.turn_seconds)

    async def _guarded(
        self,
        work: Coroutine[Any, Any, TurnResult],
        turn: int,
        queued: QueuedMessage | None,
    ) -> TurnResult:
        try:
            return await work
        except _Stopped:
            assert self._stop is not None
            if self._going_on and self._state.takeover is not None:
                raise _TakenOver from None
            return await self._end(turn, self._stop, queued)
        except _OutOfTime:
            return await self._hand_over(turn, self._too_long(turn), queued)
        except NoModel as outage:
            return await self._hand_over(turn, str(outage), queued)
        except ActivityError as error:
            workflow.logger.error("turn %s failed: %s", turn, error.cause)
            if isinstance(error.cause, TimeoutError) or error.retry_state == RetryState.TIMEOUT:
                return await self._hand_over(turn, self._too_long(turn), queued)
            if isinstance(error.cause, ApplicationError) and error.cause.type in _FOR_A_PERSON:
                reason = failures.told(error.cause.type)
                return await self._hand_over(turn, reason, queued, cause=_cause_of(error))
            stop = _Stop("failed", failures.told(None), cause=_cause_of(error))
            return await self._end(turn, stop, queued)

    async def _triage(self, queued: QueuedMessage) -> TurnResult:
        request = self._request(queued.turn, 1, 1, wire.TRIAGE).model_copy(
            update={
                "message": queued.message,
                "agent": self._state.agent,
                "asked_back": self._state.asked_back,
            }
        )
        report = await self._step(request)
        if report.routed is not None:
            return await self._agent_goes_on(queued.turn, report.routed, report)
        result = report.result
        if isinstance(result, RepeatResult):
            return answer_before(result.recorded, queued.message)
        if not isinstance(result, EndResult):
            raise AssertionError(f"triage ended in {result and result.kind}")
        self._state.asked_back = self._state.asked_back + 1 if result.asked_back else 0
        return self._ended(result)

    async def _agent_goes_on(
        self, turn: int, routed: RouteResult, report: StepReport
    ) -> TurnResult:
        """Go on after triage and the first step of the agent that it has chosen."""
        self._state.asked_back = 0
        self._state.agent = routed.agent
        self._state.priority = self._calls.priority = routed.priority
        cursor = _Cursor(turn=turn, step=2, thread=2, agent=routed.agent, package=report.elsewhere)
        return await self._agent(cursor, report if report.result is not None else None)

    async def _agent(self, cursor: _Cursor, report: StepReport | None = None) -> TurnResult:
        """Run the agent's steps from the cursor on; `report` is there where its step has been run."""
        limits = self._start.limits
        while report is not None or cursor.step <= limits.steps_per_turn:
            if report is None:
                request = self._request(cursor.turn, cursor.step, cursor.thread, cursor.agent)
                request = request.model_copy(update={"note": cursor.note})
                report = await self._step(request, cursor.package)
            result, cursor.package, report = report.result, report.elsewhere or cursor.package, None
            match result:
                case None:  # taken to where the agent is
                    continue
                case EndResult():
                    return self._ended(result)
                case HandoffResult():
                    cursor.handoffs += 1
                    if cursor.handoffs > limits.handoffs_per_turn:
                        break
                    cursor.agent, cursor.note = result.to, result.note
                    cursor.thread, cursor.package = cursor.step + 1, None
                    self._state.agent = result.to
                case ProposalResult(approval=None):
                    if not result.blocked:
                        try:
                            await self._execute(cursor.turn, cursor.step, result.actions)
                        except _Stuck as stuck:
                            return await self._hand_over(cursor.turn, _STUCK, cause=str(stuck))
                case ProposalResult():
                    return await self._park(cursor, result)
                case RepeatResult():
                    raise AssertionError(f"{cursor.agent} ended in {result.kind}")
                case _:
                    assert_never(result)
            cursor.step += 1
        return await self._hand_over(
            cursor.turn, f"turn {cursor.turn} reached its bound of steps or handoffs"
        )

    def _time_left(self) -> timedelta:
        """How long the next step may take, all its attempts together."""
        left = self._remaining()
        if left <= timedelta(0) and workflow.patched(patches.TURN_SECONDS):
            raise _OutOfTime
        return max(left, _LEAST_TIME)

    def _remaining(self) -> timedelta:
        assert self._until is not None
        return self._until - workflow.now()

    def _too_long(self, turn: int) -> str:
        return f"turn {turn} took longer than {self._start.limits.turn_seconds} s"

    async def _hand_over(
        self, turn: int, reason: str, queued: QueuedMessage | None = None, *, cause: str = ""
    ) -> TurnResult:
        """End the turn, and leave the conversation to a person."""
        held = self._state.takeover is not None
        called = Takeover(reason=cause or reason, since=workflow.now())
        if not held:
            self._state.takeover = called
        stop = _Stop("awaiting_human", reason, cause=cause)
        ended = await self._end(turn, stop, queued, held=held)
        if ended.status != "awaiting_human" and self._state.takeover is called:
            self._state.takeover = (
                None  # an attempt that nobody waited for any more had answered it
            )
        return ended

    async def _step(self, request: StepRequest, package: str | None = None) -> StepReport:
        if self._stop is not None:
            raise _Stopped
        report = await self._patiently(request, package)
        result = report.result
        if self._stop is not None and not isinstance(result, EndResult | RepeatResult):
            if isinstance(result, ProposalResult) and result.approval is not None:
                await self._withdraw(result.approval)
            raise _Stopped
        return report

    async def _patiently(self, request: StepRequest, package: str | None) -> StepReport:
        """Run a step, again and again while no model can be asked.

        Raises:
            NoModel: that has lasted too long.
        """
        self._outages.step_begins()
        while True:
            try:
                report = await self._try(request, package)
            except ActivityError as error:
                asked_for = pause_asked_for(error)
                if asked_for is None:
                    raise
            else:
                self._outages.step_ends()
                return report
            await self._outages.outlast(asked_for, self._is_stopped)
            if self._is_stopped():
                raise _Stopped
            request = request.model_copy(update={"message": None})  # the first try recorded it

    async def _try(self, request: StepRequest, package: str | None) -> StepReport:
        handle = self._step_under_way = self._calls.step(request, package, within=self._time_left())
        try:
            await self._outages.watch(lambda: handle.done() or self._is_stopped())
            return await handle
        except ActivityError:
            # Also when its worker died meanwhile: Temporal tries nothing again that is to be cancelled.
            if self._stop is not None:
                raise _Stopped from None
            raise
        finally:
            self._step_under_way = None

    def _is_stopped(self) -> bool:
        return self._stop is not None

    def _ended(self, ended: EndResult) -> TurnResult:
        if ended.result.status == "awaiting_human":
            self._state.takeover = Takeover(
                reason=ended.reason or "an agent asked for a person", since=workflow.now()
            )
        return ended.result

    async def _park(self, cursor: _Cursor, proposed: ProposalResult) -> TurnResult:
        assert proposed.approval is not None
        assert proposed.result is not None
        await self._calls.notify(proposed.deliveries)
        self._state.parked[proposed.approval.id] = ParkedTurn(
            turn=cursor.turn,
            step=cursor.step,
            thread=cursor.thread,
            handoffs=cursor.handoffs,
            agent=cursor.agent,
            actions=proposed.actions,
            approval=proposed.approval,
        )
        return proposed.result

    async def _execute(self, turn: int, step: int, actions: int) -> ActionState:
        """Execute the actions in order; when one does not succeed, undo those before it. Returns what
        became of the last one that was tried.

        Raises:
            _Stuck: none was tried, since the agent could not go on afterwards.
        """
        limits = self._start.limits
        for index in range(actions):
            report = await self._acting.execute(
                self._action(turn, step, index), within=self._remaining()
            )
            if report.stuck is not None:
                raise _Stuck(report.stuck)
            if report.state != "executed":
                for earlier in reversed(range(index)):
                    await self._acting.undo(
                        self._action(turn, step, earlier),
                        within=max(self._remaining(), timedelta(seconds=limits.action_seconds)),
                    )
                return report.state
        return "executed"

    def _action(self, turn: int, step: int, index: int) -> ActionRequest:
        return ActionRequest(
            **self._key.turn_key(turn).step_key(step).action_key(index).fields,
            attempts=self._start.limits.attempts,
            lost_attempts=self._start.limits.lost_attempts,
            seconds=self._start.limits.turn_seconds,
        )

    async def _withdraw(self, approval: Approval) -> None:
        """Take back an approval that was asked for while the turn was being stopped."""
        outcome = await self._calls.record_alarm(
            AlarmRequest(**self._key.fields, approval=approval.withdraw())
        )
        await self._calls.notify(outcome.deliveries)

    async def _end(
        self, turn: int, stop: _Stop, queued: QueuedMessage | None, *, held: bool | None = None
    ) -> TurnResult:
        ended = await self._calls.end_turn(
            EndTurnRequest(
                **self._key.turn_key(turn).fields,
                status=stop.status,
                reason=stop.reason,
                cause=stop.cause,
                message=queued.message if queued else None,
                held=self._state.takeover is not None if held is None else held,
                to_person=stop.to_person,
            )
        )
        if ended.status == "awaiting_human" and self._state.takeover is None:
            # Something was done and the rest was not; or it had ended before, and the worker that knew
            # has died.
            self._state.takeover = Takeover(reason=stop.cause or stop.reason, since=workflow.now())
        return ended

    def _request(self, turn: int, step: int, thread: int, subgraph: str) -> StepRequest:
        return StepRequest(
            **self._key.turn_key(turn).step_key(step).fields,
            thread=thread,
            subgraph=subgraph,
            attempts=self._start.limits.attempts,
            lost_attempts=self._start.limits.lost_attempts,
            action_seconds=self._start.limits.action_seconds,
            may_park=len(self._state.parked) < self._start.limits.parked_turns,
            waits_for_model=True,
        )


def _cause_of(error: ActivityError) -> str:
    """What an activity failed of, with its code once."""
    cause = error.cause or error
    if isinstance(cause, ApplicationError) and cause.message.startswith(f"{cause.type}: "):
        return cause.message
    return str(cause)
