"""The activities as a conversation calls them: queue, timeouts, retries, and a summary for people."""

from datetime import timedelta
from typing import TypeVar, cast

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityHandle

from holdfast.workflows.notifications import start_notifications

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from holdfast.domain import wire
    from holdfast.domain.activity_protocol import (
        ActionReport,
        ActionRequest,
        AlarmOutcome,
        AlarmRequest,
        CloseRequest,
        DecisionOutcome,
        DecisionRequest,
        DelayRequest,
        EndTurnRequest,
        HumanTurnRequest,
        LeaveRequest,
        OpenReport,
        OpenRequest,
        RecallRequest,
        RecordedTurn,
        RefusalRequest,
        StepReport,
        StepRequest,
        TakeoverRequest,
        TurnEnd,
    )
    from holdfast.domain.conversation import ConversationStart, CustomerMessage, TurnResult
    from holdfast.domain.errors import MessageConflict
    from holdfast.domain.ids import text_digest
    from holdfast.domain.notifications import NotificationStart
    from holdfast.domain.outcomes import PRIORITY_LEVELS, PriorityName

ResultT = TypeVar("ResultT")

_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=3)
)
_RECORD_TIMEOUT = timedelta(seconds=30)


def answer_before(recorded: RecordedTurn, message: CustomerMessage) -> TurnResult:
    """What a message was answered when it came first.

    Raises:
        MessageConflict: that was another text.
    """
    if recorded.digest != text_digest(message.text):
        raise MessageConflict(
            f"message id {message.message_id!r} was used before with another text"
        )
    return recorded.result or TurnResult(turn=recorded.turn, status="failed")


class ActivityCalls:
    """Calls activities for one conversation."""

    def __init__(self, start: ConversationStart) -> None:
        self._limits = start.limits
        self._subgraphs = wire.subgraphs_queue(start.task_queue)
        self._actions = wire.actions_queue(start.task_queue)
        self._key = start.key
        self._task_queue = start.task_queue
        self.priority: PriorityName = "normal"

    def step(
        self, request: StepRequest, package: str | None = None, *, within: timedelta
    ) -> ActivityHandle[StepReport]:
        """Start a step of a turn, in a worker that has the package, all attempts of which end within that
        time; triage goes on with the agent's first one."""
        more = " and agent" if request.subgraph == wire.TRIAGE else ""
        more = " goes on" if request.step != request.thread else more
        return workflow.start_activity(
            wire.RUN_SUBGRAPH,
            request,
            result_type=StepReport,
            task_queue=wire.package_queue(self._subgraphs, package),
            schedule_to_close_timeout=within,
            start_to_close_timeout=timedelta(seconds=self._limits.step_seconds),
            heartbeat_timeout=timedelta(seconds=self._limits.heartbeat_seconds),
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=_RETRY,
            summary=f"Turn {request.turn}: {request.subgraph}{more}",
            priority=self._priority(),
        )

    def act(
        self, request: ActionRequest, package: str | None, *, undo: bool, begun_within: timedelta
    ) -> ActivityHandle[ActionReport]:
        """Start executing one action of a proposal, or undoing it, in a worker that has the package; it
        times out where no worker takes it within that time."""
        verb = "undo" if undo else "execute"
        return workflow.start_activity(
            wire.COMPENSATE_ACTION if undo else wire.EXECUTE_ACTION,
            request,
            result_type=ActionReport,
            task_queue=wire.package_queue(self._actions, package),
            schedule_to_start_timeout=begun_within,
            start_to_close_timeout=timedelta(seconds=self._limits.action_seconds),
            heartbeat_timeout=timedelta(seconds=self._limits.heartbeat_seconds),
            retry_policy=_RETRY,
            summary=f"Turn {request.turn}: {verb} action {request.index + 1}",
            priority=self._priority(),
        )

    async def leave_action(self, request: LeaveRequest) -> ActionReport | None:
        """Leave an action undone that nobody has begun; None where it is under way."""
        found = cast("type[ActionReport | None]", ActionReport | None)
        what = f"Turn {request.turn}: nobody has begun action {request.index + 1}"
        return await self._record(wire.LEAVE_ACTION, request, found, what)

    async def open(self, request: OpenRequest) -> OpenReport:
        """Create or find the conversation's records."""
        return await self._record(
            wire.OPEN_CONVERSATION, request, OpenReport, "Open the conversation"
        )

    async def decide(self, request: DecisionRequest) -> DecisionOutcome:
        """Check a reviewer's decision, take it and record it."""
        what = f"Approval: {request.decision.kind}"
        outcome = await self._record(wire.DECIDE_APPROVAL, request, DecisionOutcome, what)
        if outcome.elsewhere is None:
            return outcome
        return await self._record(
            wire.DECIDE_APPROVAL, request, DecisionOutcome, what, outcome.elsewhere
        )

    async def record_refusal(self, request: RefusalRequest) -> None:
        """Record a decision that was refused."""
        await self._record(wire.RECORD_REFUSAL, request, type(None), "Approval: decision refused")

    async def record_alarm(self, request: AlarmRequest) -> AlarmOutcome:
        """Record what an approval's schedule has done to it, or that it was taken back."""
        what = request.alarm.kind if request.alarm else "taken back"
        return await self._record(wire.RECORD_ALARM, request, AlarmOutcome, f"Approval: {what}")

    async def recall(self, request: RecallRequest) -> RecordedTurn | None:
        """Find the turn of a message that may have been sent before, with its answer."""
        found = cast("type[RecordedTurn | None]", RecordedTurn | None)
        return await self._record(wire.RECALL_TURN, request, found, "Find an earlier turn's answer")

    async def end_turn(self, request: EndTurnRequest) -> TurnResult:
        """End a turn that no subgraph ended.

        Raises:
            MessageConflict: the id of its message is an old one, with another text.
        """
        ended = await self._record(
            wire.END_TURN, request, TurnEnd, f"Turn {request.turn}: {request.status}"
        )
        if ended.result is not None:
            return ended.result
        assert ended.repeated is not None
        assert request.message is not None
        return answer_before(ended.repeated, request.message)

    async def announce_delay(self, request: DelayRequest) -> None:
        """Tell the customer that a turn takes longer."""
        what = f"Turn {request.turn}: no model answers yet"
        await self._record(wire.ANNOUNCE_DELAY, request, type(None), what)

    async def record_human_turn(self, request: HumanTurnRequest) -> int:
        """Record a person's message to the customer; its number."""
        return await self._record(wire.RECORD_HUMAN_TURN, request, int, "A person answers")

    async def record_takeover(self, request: TakeoverRequest) -> None:
        """Record who has the conversation."""
        what = "A person takes over" if request.reviewer else "Back to the agents"
        await self._record(wire.RECORD_TAKEOVER, request, type(None), what)

    async def close(self, request: CloseRequest) -> None:
        """Close the conversation's records."""
        await self._record(wire.CLOSE_CONVERSATION, request, type(None), "Close the conversation")

    async def notify(self, deliveries: tuple[str, ...]) -> None:
        """Have notifications sent that were written down; conversations don't wait for that."""
        await start_notifications(
            NotificationStart(
                **self._key.fields, task_queue=self._task_queue, deliveries=deliveries
            )
        )

    async def _record(
        self,
        name: str,
        request: BaseModel,
        result: type[ResultT],
        summary: str,
        package: str | None = None,
    ) -> ResultT:
        recorded: ResultT = await workflow.execute_activity(
            name,
            request,
            result_type=result,
            task_queue=wire.package_queue(self._subgraphs, package),
            start_to_close_timeout=_RECORD_TIMEOUT,
            heartbeat_timeout=timedelta(seconds=self._limits.heartbeat_seconds),
            retry_policy=_RETRY,
            summary=summary,
            priority=self._priority(),
        )
        return recorded

    def _priority(self) -> Priority:
        return Priority(priority_key=PRIORITY_LEVELS[self.priority], fairness_key=self._key.tenant)
