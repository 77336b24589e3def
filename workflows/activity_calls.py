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
    from holdfast.domain.approval import Approval
    from holdfast.domain.conversation import (
        ConversationStart,
        CustomerMessage,
        HandBack,
        HumanReply,
        TakeOver,
        TurnResult,
    )
    from holdfast.domain.decision import Decision
    from holdfast.domain.errors import MessageConflict
    from holdfast.domain.ids import text_digest
    from holdfast.domain.notifications import NotificationStart
    from holdfast.domain.outcomes import PRIORITY_LEVELS, PriorityName
    from holdfast.domain.people import PersonAct
    from holdfast.domain.terms import Alarm

ResultT = TypeVar("ResultT")

_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=3)
)
_RECORD_TIMEOUT = timedelta(seconds=30)


def answer_before(recorded: RecordedTurn, message: CustomerMessage) -> TurnResult:
    """The answer that a repeated message had before. Raises `MessageConflict` if its text differs."""
    if recorded.digest != text_digest(message.text):
        raise MessageConflict(
            f"message id {message.message_id!r} was used before with another text"
        )
    return recorded.result or TurnResult(turn=recorded.turn, status="failed")


class ActivityCalls:
    """Calls the activities of one conversation."""

    def __init__(self, start: ConversationStart) -> None:
        self._start = start
        self._key = start.key
        self._limits = start.limits
        self._subgraphs = wire.subgraphs_queue(start.task_queue)
        self._actions = wire.actions_queue(start.task_queue)
        self.priority: PriorityName = "normal"

    def step(
        self, request: StepRequest, package: str | None = None, *, within: timedelta
    ) -> ActivityHandle[StepReport]:
        """Start a step of a turn, in a worker that has the package; all attempts together end `within` that
        time. Triage goes on with the agent's first step."""
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
        """Start executing an action, or undoing it, in a worker that has the package; it times out if no
        worker takes it within that time."""
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
        """Leave an action undone that no worker has begun; None if one has."""
        found = cast("type[ActionReport | None]", ActionReport | None)
        what = f"Turn {request.turn}: nobody has begun action {request.index + 1}"
        return await self._record(wire.LEAVE_ACTION, request, found, what)

    async def open(self) -> OpenReport:
        """Create or find the conversation's records."""
        request = OpenRequest(
            **self._key.fields, customer=self._start.customer, message_id=self._start.message_id
        )
        return await self._record(
            wire.OPEN_CONVERSATION, request, OpenReport, "Open the conversation"
        )

    async def decide(self, approval: Approval | None, decision: Decision) -> DecisionOutcome:
        """Verify a reviewer's decision on an approval, and record it; without the approval, where it has gone,
        say whether the decision is the one that was taken under its id."""
        request = DecisionRequest(
            **self._key.fields, approval=approval, decision=decision, at=workflow.now()
        )
        what = f"Approval: {decision.kind}"
        outcome = await self._record(wire.DECIDE_APPROVAL, request, DecisionOutcome, what)
        if outcome.elsewhere is None:
            return outcome
        return await self._record(
            wire.DECIDE_APPROVAL, request, DecisionOutcome, what, outcome.elsewhere
        )

    async def record_refusal(self, decision: Decision, code: str, refusal: str) -> None:
        """Record a decision that was refused: the error's code and its text."""
        request = RefusalRequest(**self._key.fields, decision=decision, code=code, refusal=refusal)
        await self._record(wire.RECORD_REFUSAL, request, type(None), "Approval: decision refused")

    async def record_alarm(self, approval: Approval, alarm: Alarm | None = None) -> AlarmOutcome:
        """Record what an approval's schedule has done to it, or, without an alarm, that it was withdrawn."""
        request = AlarmRequest(**self._key.fields, approval=approval, alarm=alarm)
        what = alarm.kind if alarm else "taken back"
        return await self._record(wire.RECORD_ALARM, request, AlarmOutcome, f"Approval: {what}")

    async def recall(self, message_id: str) -> RecordedTurn | None:
        """Find the turn that a message had before, with its answer."""
        request = RecallRequest(**self._key.fields, message_id=message_id)
        found = cast("type[RecordedTurn | None]", RecordedTurn | None)
        return await self._record(wire.RECALL_TURN, request, found, "Find an earlier turn's answer")

    async def end_turn(self, request: EndTurnRequest) -> TurnResult:
        """End a turn that no subgraph ended. Raises `MessageConflict` if the id of its message was used
        before with another text."""
        ended = await self._record(
            wire.END_TURN, request, TurnEnd, f"Turn {request.turn}: {request.status}"
        )
        if ended.result is not None:
            return ended.result
        assert ended.repeated is not None
        assert request.message is not None
        return answer_before(ended.repeated, request.message)

    async def announce_delay(self, turn: int) -> None:
        """Tell the customer that a turn takes longer."""
        request = DelayRequest(**self._key.turn_key(turn).fields)
        what = f"Turn {turn}: no model answers yet"
        await self._record(wire.ANNOUNCE_DELAY, request, type(None), what)

    async def record_human_turn(self, turn: int, reply: HumanReply) -> int:
        """Record a person's message to the customer, after this turn; its number in the conversation."""
        request = HumanTurnRequest(**self._key.turn_key(turn).fields, **reply.model_dump())
        return await self._record(wire.RECORD_HUMAN_TURN, request, int, "A person answers")

    async def record_takeover(self, turn: int, asked: TakeOver | HandBack) -> None:
        """Record who has the conversation after this turn."""
        back = isinstance(asked, HandBack)
        note = asked.note if isinstance(asked, HandBack) else ""
        act = PersonAct(
            id=asked.id or "",
            kind="hand_back" if back else "take_over",
            reviewer=asked.reviewer,
            conversation=self._key.conversation,
            text=note,
            statement=asked.statement,
        )
        request = TakeoverRequest(
            **self._key.turn_key(turn).fields,
            reviewer=None if back else asked.reviewer,
            note=note,
            act=act,
        )
        what = "Back to the agents" if back else "A person takes over"
        await self._record(wire.RECORD_TAKEOVER, request, type(None), what)

    async def close(self, reason: str, *, idle: bool) -> None:
        """Close the conversation's records; `idle` says that nobody wrote for a while."""
        request = CloseRequest(**self._key.fields, reason=reason, idle=idle)
        await self._record(wire.CLOSE_CONVERSATION, request, type(None), "Close the conversation")

    async def notify(self, deliveries: tuple[str, ...]) -> None:
        """Have recorded notifications sent; the conversation does not wait for that."""
        await start_notifications(
            NotificationStart(
                **self._key.fields, task_queue=self._start.task_queue, deliveries=deliveries
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
