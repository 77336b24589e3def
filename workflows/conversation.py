"""One conversation: its queue of work, its handlers, its deadlines, its handover to the next run."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError
from temporalio.workflow import ContinueAsNewVersioningBehavior

from holdfast.workflows.activity_calls import ActivityCalls
from holdfast.workflows.approvals import ApprovalDesk
from holdfast.workflows.intake import Intake
from holdfast.workflows.overview import Overview
from holdfast.workflows.requests import read, read_start, refusal, refusing
from holdfast.workflows.turns import TurnRunner

with workflow.unsafe.imports_passed_through():
    from holdfast.domain import wire
    from holdfast.domain.activity_protocol import (
        CloseRequest,
        HumanTurnRequest,
        OpenRequest,
        RecallRequest,
        RecordedTurn,
        TakeoverRequest,
    )
    from holdfast.domain.approval import ApprovalStatus
    from holdfast.domain.conversation import (
        CancelTurn,
        ConversationStart,
        ConversationState,
        CustomerMessage,
        HandBack,
        HumanReply,
        ParkedTurn,
        TakeOver,
        Takeover,
        TurnResult,
    )
    from holdfast.domain.decision import Decision
    from holdfast.domain.display import line
    from holdfast.domain.errors import (
        ConversationBusy,
        ConversationMoved,
        NotHeld,
        Refused,
        TurnNotFound,
    )
    from holdfast.domain.people import PersonAct, same_person

_IDLE = "idle"
_TRY_AGAIN_AFTER = timedelta(minutes=10)
_MOST_TOLD = 20
"""Lines in the log, for each run, about signals that are passed over."""
_RECORDED_FIRST = "a-takeover-is-recorded-first"
"""Who is allowed to hold a conversation is known once it is recorded; it used to be taken for granted."""
_ALL_TURNS_END = "closing-ends-all-turns"
"""Closing used to end those turns alone that waited for a decision when it began."""
_DECIDED_IS_CANCELLED = "a-turn-decided-meanwhile-is-cancelled"
"""A turn used to escape that was decided, or held back by a takeover, while it was being cancelled."""

_FULL_MOVES = "a-full-run-moves-on"
"""A run used to continue as new after turns alone, however much else it was sent."""

_NOBODY = ConversationStart(tenant="nobody", conversation="none", customer="nobody")
"""In the place of a start that is none, until the workflow has failed."""


def _build() -> str | None:
    """The build of the worker that executes this, where workers are versioned."""
    version = workflow.info().get_current_deployment_version()
    return version.build_id if version else None


def _build_has_changed() -> bool:
    return workflow.info().is_target_worker_deployment_version_changed()


@workflow.defn(name=wire.CONVERSATION_WORKFLOW)
class ConversationWorkflow:
    """A conversation, for as long as it lives. See `ConversationStart` for its input.

    Where workers are versioned, a run stays with the build that it began with. When another build has
    become the deployment's current one, the conversation continues there as a new run, at the next
    moment in which something happens and no turn runs.
    """

    @workflow.init
    def __init__(self, *received: Any) -> None:
        start, self._unusable = read_start(ConversationStart, received, _NOBODY)
        self._start = start
        self._limits = start.limits
        self._state = start.state.model_copy(deep=True) if start.state else ConversationState()
        self._calls = ActivityCalls(start)
        self._calls.priority = self._state.priority
        self._turns = TurnRunner(start, self._state, self._calls)
        self._desk = ApprovalDesk(start, self._state, self._calls)
        self._intake = Intake(start, self._state, self._turns)
        self._overview = Overview(self._state, self._desk)
        self._opened = start.state is not None
        self._held_back: set[str] = set()
        self._turns_in_run = 0
        self._passed_over = 0
        self._draining = False
        self._leaving = False
        self._close_reason: str | None = None

    @workflow.run
    async def run(self, *received: Any) -> None:
        """Take a `ConversationStart`; with anything else, the workflow fails as `InvalidRequest`."""
        if self._unusable is not None:
            raise refusal(self._unusable)
        if not self._opened and not await self._open():
            await workflow.wait_condition(workflow.all_handlers_finished)
            return
        self._desk.watch()
        idle = asyncio.create_task(self._watch_idleness())
        try:
            while True:
                self._desk.changed = False
                self._overview.publish()
                await workflow.wait_condition(self._has_something_to_do)
                if self._has_work():
                    await self._work()
                elif self._close_reason is not None:
                    await self._close(self._close_reason)
                    return
                elif self._must_drain():
                    self._draining = True
                elif self._must_move() and self._is_quiet():
                    self._move_on()
        finally:
            idle.cancel()
            self._desk.stop_watching()

    # What services, reviewers and operators may ask for.

    @workflow.update(name=wire.SEND_MESSAGE)
    async def send_message(self, *received: Any) -> TurnResult:
        """Answer a `CustomerMessage`; returns when the turn is answered or parked."""
        with refusing(self._unusable):
            message = read(CustomerMessage, received)
            await workflow.wait_condition(lambda: self._opened)
            if self._intake.would_interrupt_unseen(message):  # an old one must not
                recorded = await self._recall(message.message_id)
                if recorded is not None:
                    self._intake.found(message.message_id, recorded)
            while self._intake.disputed_by(message) is not None:  # another may have come in between
                await workflow.wait_condition(lambda: self._intake.disputed_by(message) is None)
            self._check_message(message)
            if (answer := self._intake.recorded_answer(message)) is not None:
                return answer
            if self._is_outdated() and not self._intake.knows(message) and not self._is_working():
                self._draining = True  # the message is sent again, to the current build
                raise ConversationMoved("the conversation moves to another build")
            is_new = not self._intake.knows(message)
            if is_new and self._intake.is_over_full() and workflow.patched("full-at-once"):
                raise ConversationBusy("others came at the same time; send the message again later")
            turn = self._intake.accept(message)
            if not self._intake.is_under_way(turn):
                recorded = await self._recall(message.message_id)
                answered = recorded.result if recorded is not None else None
                return answered or TurnResult(turn=turn, status="failed")
            await workflow.wait_condition(lambda: turn in self._intake.results)
            result = self._intake.results[turn]
            if isinstance(result, Refused):
                raise result
            return result

    @send_message.validator
    def _validate_message(self, *received: Any) -> None:
        with refusing(self._unusable):
            message = read(CustomerMessage, received)
            self._check_message(message)
            if not self._intake.knows(message):
                self._intake.check_capacity(message)

    @workflow.update(name=wire.DECIDE)
    async def decide(self, *received: Any) -> ApprovalStatus:
        """Take a reviewer's `Decision`; returns when it is recorded."""
        with refusing(self._unusable):
            return await self._desk.decide(read(Decision, received))

    @decide.validator
    def _validate_decision(self, *received: Any) -> None:
        with refusing(self._unusable):
            decision = read(Decision, received)
            self._check_open()
            self._desk.check(decision)

    @workflow.signal(name=wire.APPROVAL_DECISION)
    async def approval_decision(self, *received: Any) -> None:
        """The same as `decide` for those who can only signal; a refusal is recorded."""
        try:
            decision = read(Decision, received)
        except Refused as refused:
            self._pass_over("it holds no decision", refused)
            return
        with self._desk.hearing(decision):
            await workflow.wait_condition(lambda: self._opened)
            await self._desk.take_signalled(decision)

    @workflow.update(name=wire.TAKE_OVER)
    async def take_over(self, *received: Any) -> None:
        """A person takes the conversation (`TakeOver`); a running turn ends without an agent's answer."""
        with refusing(self._unusable):
            request = read(TakeOver, received)
            before = self._state.takeover
            recorded_first = workflow.patched(_RECORDED_FIRST)
            if not recorded_first:
                self._be_held(request.reviewer)
            try:
                await self._calls.record_takeover(self._takeover_request(request))
            except ActivityError:
                self._state.takeover = before
                raise
            if recorded_first:
                self._be_held(request.reviewer)
        self._overview.publish()

    @take_over.validator
    def _validate_take_over(self, *received: Any) -> None:
        with refusing(self._unusable):
            request = read(TakeOver, received)
            self._check_open()
            held_by = self._state.takeover.reviewer if self._state.takeover else None
            if held_by is not None and not same_person(held_by, request.reviewer):
                raise NotHeld(f"{held_by} holds the conversation")

    @workflow.update(name=wire.REPLY_AS_HUMAN)
    async def reply_as_human(self, *received: Any) -> int:
        """Send a person's message to the customer (`HumanReply`); returns its number in the
        conversation."""
        with refusing(self._unusable):
            reply = read(HumanReply, received)
            return await self._calls.record_human_turn(
                HumanTurnRequest(
                    tenant=self._start.tenant,
                    conversation=self._start.conversation,
                    turn=self._state.turns,
                    reviewer=reply.reviewer,
                    text=reply.text,
                    id=reply.id,
                    statement=reply.statement,
                )
            )

    @reply_as_human.validator
    def _validate_human_reply(self, *received: Any) -> None:
        with refusing(self._unusable):
            self._require_holder(read(HumanReply, received).reviewer)

    @workflow.update(name=wire.HAND_BACK)
    async def hand_back(self, *received: Any) -> None:
        """Give the conversation back to the agents (`HandBack`)."""
        with refusing(self._unusable):
            request = read(HandBack, received)
            before = self._state.takeover
            recorded_first = workflow.patched(_RECORDED_FIRST)
            if not recorded_first:
                self._be_free()
            try:
                await self._calls.record_takeover(self._takeover_request(request))
            except ActivityError:
                self._state.takeover = before
                raise
            if recorded_first:
                self._be_free()
        self._overview.publish()

    @hand_back.validator
    def _validate_hand_back(self, *received: Any) -> None:
        with refusing(self._unusable):
            self._require_holder(read(HandBack, received).reviewer)

    @workflow.update(name=wire.CANCEL_TURN)
    async def cancel_turn(self, *received: Any) -> int:
        """Cancel a turn (`CancelTurn`); returns its number when it is cancelled, or has ended otherwise
        meanwhile."""
        with refusing(self._unusable):
            request = read(CancelTurn, received)
            turn = self._turn_to_cancel(request)
            await self._cancel(turn, request.reason)
            return turn

    @cancel_turn.validator
    def _validate_cancel(self, *received: Any) -> None:
        with refusing(self._unusable):
            self._turn_to_cancel(read(CancelTurn, received))

    def _turn_to_cancel(self, request: CancelTurn) -> int:
        running = self._turns.running
        parked = [parked.turn for parked in self._desk.waiting()]
        if request.turn is None:
            if running is None:
                waiting = ", ".join(str(turn) for turn in parked) or "none"
                raise TurnNotFound(f"no turn is running (waiting for approval: {waiting})")
            return running
        queued = [queued.turn for queued in self._intake.queue]
        if request.turn not in (running, *parked, *queued) and not self._is_decided(request.turn):
            raise TurnNotFound(f"turn {request.turn} is not queued, running or waiting")
        return request.turn

    @workflow.signal(name=wire.CLOSE)
    def close(self, *received: Any) -> None:
        """Close the conversation once the messages that were accepted are answered, for a reason in
        words."""
        try:
            reason = read(str, received)
        except Refused as refused:
            self._pass_over("it holds no reason", refused)
            return
        if self._close_reason is None:
            self._close_reason = line(reason) or "closed on request"

    @workflow.signal(name=wire.UPGRADE)
    def upgrade(self, *_: Any) -> None:
        """Wake an idle conversation, so that it notices that another build has become current."""

    @workflow.signal(dynamic=True)
    def other(self, _name: str, _received: Sequence[RawValue]) -> None:
        """Pass over what has no handler; the SDK would keep it, and not wake the run that it makes long."""

    def _pass_over(self, why: str, refused: Refused) -> None:
        self._passed_over += 1
        if self._passed_over <= _MOST_TOLD:
            workflow.logger.warning("a signal is passed over, %s: %s", why, refused)

    # Messages.

    async def _open(self) -> bool:
        """Create or find the records; False when the conversation is to stay closed."""
        opened = await self._calls.open(
            OpenRequest(
                tenant=self._start.tenant,
                conversation=self._start.conversation,
                customer=self._start.customer,
                message_id=self._start.message_id,
            )
        )
        self._intake.customer = opened.customer
        self._state.turns = opened.turns
        self._intake.has_forgotten = opened.turns > 0
        self._state.agent = opened.agent
        if opened.repeated is not None and self._start.message_id is not None:
            self._intake.found(self._start.message_id, opened.repeated)
        if (opened.held_by is not None or opened.awaits_person) and self._state.takeover is None:
            reason = "taken over" if opened.held_by is not None else "a person was called"
            self._state.takeover = Takeover(
                reason=reason, since=workflow.now(), reviewer=opened.held_by
            )
        self._leaving = opened.closed
        self._opened = True
        self._state.last_activity = workflow.now()
        return not opened.closed

    def _check_open(self) -> None:
        if self._draining or self._leaving or self._close_reason is not None:
            raise ConversationMoved("the conversation is handing over; send the request again")

    def _check_message(self, message: CustomerMessage) -> None:
        self._intake.check(message)
        if not self._intake.knows(message):
            self._check_open()

    async def _recall(self, message_id: str) -> RecordedTurn | None:
        return await self._calls.recall(
            RecallRequest(
                tenant=self._start.tenant,
                conversation=self._start.conversation,
                message_id=message_id,
            )
        )

    # Work.

    def _has_work(self) -> bool:
        return bool(self._intake.queue) or self._next_to_resume() is not None

    def _has_something_to_do(self) -> bool:
        if self._has_work() or self._close_reason is not None or self._desk.changed:
            return True
        if self._must_drain():
            return True
        return self._must_move() and self._is_quiet()

    def _is_working(self) -> bool:
        return self._turns.running is not None or self._has_work()

    def _is_quiet(self) -> bool:
        return workflow.all_handlers_finished() and not self._desk.busy()

    def _next_to_resume(self) -> str | None:
        waiting = (one for one in self._state.resuming if one not in self._held_back)
        return next(waiting, None)

    async def _work(self) -> None:
        approval_id = self._next_to_resume()
        if approval_id is not None:
            if await self._turns.go_on(self._state.parked[approval_id]):
                self._desk.forget(approval_id)
            else:
                self._held_back.add(approval_id)
        else:
            queued = self._intake.queue.popleft()
            try:
                self._intake.results[queued.turn] = await self._turns.answer(queued)
            except Refused as refused:
                self._intake.refuse(queued, refused)
            self._turns_in_run += 1
        self._desk.watch()
        self._state.last_activity = workflow.now()
        full = self._turns_in_run >= self._limits.turns_per_run
        if full or self._is_outdated() or workflow.info().is_continue_as_new_suggested():
            self._draining = True

    def _is_outdated(self) -> bool:
        """Whether another build has become the deployment's current one. Where moving there has led back
        to the same one, since an operator has pinned the conversation, say, it is tried again later."""
        returned = _build() == self._state.left_build
        age = workflow.now() - workflow.info().start_time
        return _build_has_changed() and (not returned or age > _TRY_AGAIN_AFTER)

    def _must_drain(self) -> bool:
        """Whether this run's history has become long: without an end, what is sent would stop it. Looked at
        when no turn runs."""
        if self._draining:
            return False
        info = workflow.info()
        long = info.get_current_history_length() >= self._limits.events_per_run
        return (long or info.is_continue_as_new_suggested()) and workflow.patched(_FULL_MOVES)

    def _must_move(self) -> bool:
        return self._draining or self._is_outdated()

    def _move_on(self) -> NoReturn:
        self._state.left_build = _build() if _build_has_changed() else None
        workflow.continue_as_new(
            self._start.model_copy(update={"state": self._state}),
            initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )

    async def _close(self, reason: str) -> None:
        self._leaving = True
        await self._cancel_all_parked(reason)
        while self._has_work():  # what was decided just before
            await self._work()
            if self._desk.waiting() and workflow.patched(_ALL_TURNS_END):  # it has asked again
                await self._cancel_all_parked(reason)
        for approval_id in list(self._state.resuming):
            if workflow.patched(_ALL_TURNS_END):
                await self._cancel_decided(approval_id, reason, to_person=False)
        await self._calls.close(
            CloseRequest(
                tenant=self._start.tenant,
                conversation=self._start.conversation,
                reason=reason,
                idle=reason == _IDLE,
            )
        )
        self._overview.publish(closed=True)
        await workflow.wait_condition(workflow.all_handlers_finished)

    def _is_decided(self, turn: int) -> bool:
        """Whether the turn's approval is decided, and the turn has not gone on to its end yet."""
        return any(self._state.parked[one].turn == turn for one in self._state.resuming)

    async def _cancel(self, turn: int, reason: str) -> None:
        await self._try_to_cancel(turn, reason)
        while self._is_decided(turn) and workflow.patched(_DECIDED_IS_CANCELLED):
            await self._try_to_cancel(turn, reason)

    async def _try_to_cancel(self, turn: int, reason: str) -> None:
        """Cancel a turn, unless it is decided, or held back, while that is going on."""
        if self._turns.running == turn:
            self._turns.stop("cancelled", reason)
            await workflow.wait_condition(lambda: self._turns.running != turn)
            return
        for parked in self._desk.waiting():
            if parked.turn == turn:
                if await self._cancel_parked(parked, reason):
                    self._overview.publish()
                return
        for approval_id in self._state.resuming:
            if self._state.parked[approval_id].turn == turn:
                held = self._state.takeover is not None
                await self._cancel_decided(approval_id, reason, to_person=not held)
                return
        for queued in self._intake.queue:
            if queued.turn == turn:
                self._intake.queue.remove(queued)
                try:
                    ended = await self._turns.cancel(turn, reason, queued=queued)
                    self._intake.results[turn] = ended
                except Refused as refused:
                    self._intake.refuse(queued, refused)
                return

    async def _cancel_all_parked(self, reason: str) -> None:
        for parked in self._desk.waiting():
            await self._cancel_parked(parked, reason, to_person=False)

    async def _cancel_parked(
        self, parked: ParkedTurn, reason: str, *, to_person: bool = True
    ) -> bool:
        """Cancel a turn that waits for an approval; False when that was decided meanwhile."""
        if not await self._desk.withdraw(parked):
            return False
        await self._turns.cancel(parked.turn, reason, to_person=to_person)
        return True

    async def _cancel_decided(self, approval_id: str, reason: str, *, to_person: bool) -> None:
        """Cancel a turn whose approval was decided, before it goes on."""
        turn = self._state.parked[approval_id].turn
        self._held_back.discard(approval_id)
        self._desk.forget(approval_id)
        await self._turns.cancel(turn, reason, to_person=to_person)

    async def _watch_idleness(self) -> None:
        """Close the conversation after a long silence; one timer, looked at again when it fires."""
        limit = timedelta(seconds=self._limits.idle_seconds)
        while True:
            silent_since = self._state.last_activity or workflow.now()
            remaining = silent_since + limit - workflow.now()
            if remaining > timedelta(0):
                await workflow.sleep(remaining, summary="Closes when nobody writes until then")
            elif self._state.parked or self._state.takeover or self._has_work():
                await workflow.sleep(limit, summary="Idle, but somebody is waited for")
            else:
                self._close_reason = self._close_reason or _IDLE
                return

    # People.

    def _require_holder(self, reviewer: str) -> None:
        held_by = self._state.takeover.reviewer if self._state.takeover else None
        self._check_open()
        if not same_person(held_by, reviewer):
            raise NotHeld(f"{held_by or 'nobody'} holds the conversation; take it over first")

    def _be_held(self, reviewer: str) -> None:
        self._state.takeover = Takeover(
            reason="taken over", since=workflow.now(), reviewer=reviewer
        )
        self._turns.stop("awaiting_human", f"{reviewer} took the conversation over")

    def _be_free(self) -> None:
        self._state.takeover = None
        self._held_back.clear()

    def _takeover_request(self, asked: TakeOver | HandBack) -> TakeoverRequest:
        back = isinstance(asked, HandBack)
        note = asked.note if isinstance(asked, HandBack) else ""
        return TakeoverRequest(
            tenant=self._start.tenant,
            conversation=self._start.conversation,
            turn=self._state.turns,
            reviewer=None if back else asked.reviewer,
            note=note,
            act=PersonAct(
                id=asked.id or "",
                kind="hand_back" if back else "take_over",
                reviewer=asked.reviewer,
                conversation=self._start.conversation,
                text=note,
                statement=asked.statement,
            ),
        )
