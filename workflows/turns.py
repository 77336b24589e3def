"""How a turn runs: triage, the agent's steps, proposals, approvals, handoffs."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from holdfast.workflows.action_calls import ActionCalls, Stuck
from holdfast.workflows.activity_calls import ActivityCalls, answer_before
from holdfast.workflows.outages import NoModel
from holdfast.workflows.step_calls import OutOfTime, StepCalls, Stopped
from holdfast.workflows.turn_ends import Stop, TurnEnds

with workflow.unsafe.imports_passed_through():
    from typing import assert_never

    from holdfast.domain import wire
    from holdfast.domain.activity_protocol import (
        EndResult,
        HandoffResult,
        ProposalResult,
        RepeatResult,
        RouteResult,
        StepReport,
        StepRequest,
    )
    from holdfast.domain.conversation import (
        ConversationStart,
        ConversationState,
        ParkedTurn,
        QueuedMessage,
        TurnResult,
        TurnStatus,
    )
    from holdfast.domain.outcomes import ActionState

_STUCK = "the agent cannot go on from where it was"


@dataclass(eq=False, repr=False)
class _Cursor:
    """Where a turn is. `thread` is the step that started the agent's graph."""

    turn: int
    step: int
    thread: int
    agent: str
    handoffs: int = 0
    note: str = ""
    package: str | None = None
    """The package whose workers have the agent, once a worker without it has said so."""


class _TakenOver(Exception):
    """A person took the conversation while a turn went on after a decision; it goes on later."""


class TurnRunner:
    """Runs one turn at a time; the conversation's workflow owns it and its state."""

    def __init__(
        self,
        start: ConversationStart,
        state: ConversationState,
        calls: ActivityCalls,
        ends: TurnEnds,
    ) -> None:
        self._start = start
        self._state = state
        self._calls = calls
        self._ends = ends
        self._actions = ActionCalls(start.limits, calls)
        self._steps = StepCalls(start, calls, turn=0)  # of no turn yet
        self._going_on = False
        self.running: int | None = None
        """The turn that is running."""

    @property
    def answering(self) -> int | None:
        """The running turn, unless its message has been answered: it goes on after a decision."""
        return None if self._going_on else self.running

    def stop(self, status: TurnStatus, reason: str, *, to_person: bool = True) -> None:
        """End the running turn as soon as nothing is half done; a finished answer still counts. What was
        approved is executed even if a person takes the conversation over meanwhile."""
        self._steps.stop(Stop(status, reason, to_person))
        if status == "cancelled" or not self._going_on:
            self._actions.stop()

    def interrupt(self, reason: str) -> None:
        """End the running turn for a message that does not want to wait. A turn that goes on after a
        decision is left alone: the customer has to hear what became of the action. No person is
        called: the agent that gets the message knows what was done."""
        if self.answering is not None:
            self.stop("cancelled", reason, to_person=False)

    async def answer(self, queued: QueuedMessage) -> TurnResult:
        """Run the turn of a message until it is answered, parked, or ended otherwise. Raises
        `MessageConflict` if the message's id was used before with another text."""
        self._begin(queued.turn)
        try:
            if self._state.takeover is not None:
                stop = Stop("awaiting_human", "a person has the conversation")
                return await self._ends.stop(queued.turn, stop, queued)
            return await self._run(self._triage(queued), queued.turn, queued)
        finally:
            self.running = None

    async def go_on(self, parked: ParkedTurn) -> bool:
        """Go on with a parked turn whose approval is decided; False if it has to wait, since a person holds
        the conversation and agents keep quiet."""
        self._begin(parked.turn)
        self._going_on = True
        try:
            if parked.approval.state == "expired" and parked.approval.on_expiry == "person":
                reason = f"nobody decided on {parked.approval.id} in time"
                await self._ends.hand_over(parked.turn, reason)
                return True
            if parked.approval.state == "accepted":
                ended = await self._execute(parked.turn, parked.step, parked.actions)
                if ended == "stale":
                    self._mark_stale(parked)
            if self._state.takeover is not None:
                return False
            cursor = _Cursor(
                turn=parked.turn,
                step=parked.step + 1,
                thread=parked.thread,
                agent=parked.agent,
                handoffs=parked.handoffs,
            )
            await self._run(self._agent(cursor), parked.turn)
            return True
        except Stuck as stuck:
            self._mark_stale(parked)
            await self._ends.hand_over(parked.turn, _STUCK, cause=str(stuck))
            return True
        except _TakenOver:
            return False
        finally:
            self.running, self._going_on = None, False

    def _begin(self, turn: int) -> None:
        self.running = turn
        self._steps = StepCalls(self._start, self._calls, turn)

    async def _run(
        self,
        work: Coroutine[Any, Any, TurnResult],
        turn: int,
        queued: QueuedMessage | None = None,
    ) -> TurnResult:
        """The result of the work; if it has none, that of ending the turn for the reason."""
        try:
            return await work
        except Stopped as stopped:
            if self._going_on and self._state.takeover is not None:
                raise _TakenOver from None
            return await self._ends.stop(turn, stopped.stop, queued)
        except OutOfTime:
            return await self._ends.out_of_time(turn, queued)
        except NoModel as outage:
            return await self._ends.hand_over(turn, str(outage), queued)
        except ActivityError as error:
            return await self._ends.failed(turn, error, queued)

    async def _triage(self, queued: QueuedMessage) -> TurnResult:
        cursor = _Cursor(turn=queued.turn, step=1, thread=1, agent=wire.TRIAGE)
        request = self._request(cursor).model_copy(
            update={
                "message": queued.message,
                "agent": self._state.agent,
                "asked_back": self._state.asked_back,
            }
        )
        report = await self._steps.run(request)
        if report.routed is not None:
            return await self._agent_goes_on(queued.turn, report.routed, report)
        result = report.result
        if isinstance(result, RepeatResult):
            return answer_before(result.recorded, queued.message)
        if not isinstance(result, EndResult):
            raise AssertionError(f"triage ended in {result and result.kind}")
        self._state.asked_back = self._state.asked_back + 1 if result.asked_back else 0
        return self._ends.answered(result)

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
        """Run the agent's steps from the cursor on; `report` is that of its step, if it has been run."""
        limits = self._start.limits
        while report is not None or cursor.step <= limits.steps_per_turn:
            if report is None:
                report = await self._steps.run(self._request(cursor), cursor.package)
            result, cursor.package, report = report.result, report.elsewhere or cursor.package, None
            match result:
                case None:  # taken to where the agent is
                    continue
                case EndResult():
                    return self._ends.answered(result)
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
                        except Stuck as stuck:
                            return await self._ends.hand_over(cursor.turn, _STUCK, cause=str(stuck))
                case ProposalResult():
                    return await self._park(cursor, result)
                case RepeatResult():
                    raise AssertionError(f"{cursor.agent} ended in {result.kind}")
                case _:
                    assert_never(result)
            cursor.step += 1
        reason = f"turn {cursor.turn} reached its bound of steps or handoffs"
        return await self._ends.hand_over(cursor.turn, reason)

    async def _execute(self, turn: int, step: int, actions: int) -> ActionState:
        key = self._start.key.turn_key(turn).step_key(step)
        return await self._actions.execute(key, actions, self._steps.time_left)

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

    def _mark_stale(self, parked: ParkedTurn) -> None:
        stale = parked.model_copy(update={"approval": parked.approval.go_stale()})
        self._state.parked[parked.approval.id] = stale

    def _request(self, cursor: _Cursor) -> StepRequest:
        limits = self._start.limits
        return StepRequest(
            **self._start.key.turn_key(cursor.turn).step_key(cursor.step).fields,
            thread=cursor.thread,
            subgraph=cursor.agent,
            attempts=limits.attempts,
            lost_attempts=limits.lost_attempts,
            action_seconds=limits.action_seconds,
            note=cursor.note,
            may_park=len(self._state.parked) < limits.parked_turns,
            waits_for_model=True,
        )
