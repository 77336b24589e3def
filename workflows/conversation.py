"""One conversation: its handlers, and the loop that does its work in order."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue

from holdfast.workflows import patches
from holdfast.workflows.activity_calls import ActivityCalls
from holdfast.workflows.approvals import ApprovalDesk
from holdfast.workflows.cancellation import Cancellation
from holdfast.workflows.intake import Intake
from holdfast.workflows.lifecycle import IDLE, RunLifecycle
from holdfast.workflows.overview import Overview
from holdfast.workflows.requests import read, read_start, refusal, refusing
from holdfast.workflows.takeovers import Takeovers
from holdfast.workflows.turn_ends import TurnEnds
from holdfast.workflows.turns import TurnRunner

with workflow.unsafe.imports_passed_through():
    from holdfast.domain import wire
    from holdfast.domain.approval import ApprovalStatus
    from holdfast.domain.conversation import (
        CancelTurn,
        ConversationStart,
        ConversationState,
        CustomerMessage,
        HandBack,
        HumanReply,
        TakeOver,
        TurnResult,
    )
    from holdfast.domain.decision import Decision
    from holdfast.domain.errors import ConversationBusy, ConversationMoved, Refused
    from holdfast.domain.text import line

RequestT = TypeVar("RequestT")

_MOST_WARNINGS = 20
"""Warnings in the log, in each run, of signals that are ignored."""

_NOBODY = ConversationStart(tenant="nobody", conversation="none", customer="nobody")
"""In place of an input that can't be read, until the workflow has failed."""


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
        self._state = start.state.model_copy(deep=True) if start.state else ConversationState()
        self._lifecycle = RunLifecycle(start, self._state)
        self._calls = ActivityCalls(start)
        self._calls.priority = self._state.priority
        self._ends = TurnEnds(start, self._state, self._calls)
        self._turns = TurnRunner(start, self._state, self._calls, self._ends)
        self._desk = ApprovalDesk(start, self._state, self._calls)
        self._intake = Intake(start, self._state, self._turns)
        self._overview = Overview(self._state, self._desk)
        self._takeovers = Takeovers(self._state, self._calls, self._turns, self._desk)
        self._cancellation = Cancellation(
            self._state, self._intake, self._turns, self._ends, self._desk, self._overview
        )
        self._ignored = 0

    @workflow.run
    async def run(self, *received: Any) -> None:
        """Take a `ConversationStart`; with anything else, the workflow fails as `InvalidRequest`."""
        if self._unusable is not None:
            raise refusal(self._unusable)
        if not self._lifecycle.opened and not await self._open():
            await workflow.wait_condition(workflow.all_handlers_finished)
            return
        self._desk.watch()
        idle = asyncio.create_task(self._lifecycle.close_when_idle(self._has_work))
        try:
            while True:
                self._desk.changed = False
                self._overview.publish()
                await workflow.wait_condition(self._has_something_to_do)
                if self._has_work():
                    await self._work()
                elif self._lifecycle.close_reason is not None:
                    await self._close(self._lifecycle.close_reason)
                    return
                elif self._lifecycle.is_held_up():
                    self._lifecycle.pause()
                elif self._must_drain():
                    self._lifecycle.draining = True
                elif self._lifecycle.must_move() and self._is_quiet():
                    self._lifecycle.continue_as_new()
        finally:
            idle.cancel()
            self._desk.stop_watching()

    # What services, reviewers and operators may ask for.

    @workflow.update(name=wire.SEND_MESSAGE)
    async def send_message(self, *received: Any) -> TurnResult:
        """Answer a `CustomerMessage`; returns when the turn is answered or parked."""
        with self._request(CustomerMessage, received) as message:
            await workflow.wait_condition(lambda: self._lifecycle.opened)
            if self._intake.would_interrupt_unseen(message):  # an old one must not
                recorded = await self._calls.recall(message.message_id)
                if recorded is not None:
                    self._intake.found(message.message_id, recorded)
            while self._intake.disputed_by(message) is not None:  # another may have come in between
                await workflow.wait_condition(lambda: self._intake.disputed_by(message) is None)
            self._check_message(message)
            if (answer := self._intake.recorded_answer(message)) is not None:
                return answer
            is_new = not self._intake.knows(message)
            if self._lifecycle.is_outdated() and is_new and not self._is_working():
                self._lifecycle.draining = True  # the message is sent again, to the current build
                raise ConversationMoved("the conversation moves to another build")
            if is_new and self._intake.is_over_full() and workflow.patched(patches.FULL_AT_ONCE):
                raise ConversationBusy("others came at the same time; send the message again later")
            turn = self._intake.accept(message)
            if not self._intake.is_under_way(turn):
                recorded = await self._calls.recall(message.message_id)
                answered = recorded.result if recorded is not None else None
                return answered or TurnResult(turn=turn, status="failed")
            await workflow.wait_condition(lambda: turn in self._intake.results)
            result = self._intake.results[turn]
            if isinstance(result, Refused):
                raise result
            return result

    @send_message.validator
    def _validate_message(self, *received: Any) -> None:
        with self._request(CustomerMessage, received) as message:
            self._check_message(message)
            if not self._intake.knows(message):
                self._intake.check_capacity(message)

    @workflow.update(name=wire.DECIDE)
    async def decide(self, *received: Any) -> ApprovalStatus:
        """Take a reviewer's `Decision`; returns when it is recorded."""
        with self._request(Decision, received) as decision:
            return await self._desk.decide(decision)

    @decide.validator
    def _validate_decision(self, *received: Any) -> None:
        with self._request(Decision, received) as decision:
            self._lifecycle.check_open()
            self._desk.check(decision)

    @workflow.signal(name=wire.APPROVAL_DECISION)
    async def approval_decision(self, *received: Any) -> None:
        """The same as `decide` for those who can only signal; a refusal is recorded."""
        self._lifecycle.signal_came()
        try:
            decision = read(Decision, received)
        except Refused as refused:
            self._ignore("it holds no decision", refused)
            return
        with self._desk.hearing(decision):
            await workflow.wait_condition(lambda: self._lifecycle.opened)
            await self._desk.take_signalled(decision)

    @workflow.update(name=wire.TAKE_OVER)
    async def take_over(self, *received: Any) -> None:
        """A person takes the conversation (`TakeOver`); a running turn ends without an agent's answer."""
        with self._request(TakeOver, received) as request:
            await self._takeovers.take_over(request)
        self._overview.publish()

    @take_over.validator
    def _validate_take_over(self, *received: Any) -> None:
        with self._request(TakeOver, received) as request:
            self._lifecycle.check_open()
            self._takeovers.check_free(request.reviewer)

    @workflow.update(name=wire.REPLY_AS_HUMAN)
    async def reply_as_human(self, *received: Any) -> int:
        """Send a person's message to the customer (`HumanReply`); returns its number in the
        conversation."""
        with self._request(HumanReply, received) as reply:
            return await self._takeovers.reply(reply)

    @reply_as_human.validator
    def _validate_human_reply(self, *received: Any) -> None:
        with self._request(HumanReply, received) as reply:
            self._lifecycle.check_open()
            self._takeovers.check_held(reply.reviewer)

    @workflow.update(name=wire.HAND_BACK)
    async def hand_back(self, *received: Any) -> None:
        """Give the conversation back to the agents (`HandBack`)."""
        with self._request(HandBack, received) as request:
            await self._takeovers.hand_back(request)
        self._overview.publish()

    @hand_back.validator
    def _validate_hand_back(self, *received: Any) -> None:
        with self._request(HandBack, received) as request:
            self._lifecycle.check_open()
            self._takeovers.check_held(request.reviewer)

    @workflow.update(name=wire.CANCEL_TURN)
    async def cancel_turn(self, *received: Any) -> int:
        """Cancel a turn (`CancelTurn`); returns its number when it is cancelled, or has ended otherwise
        meanwhile."""
        with self._request(CancelTurn, received) as request:
            turn = self._cancellation.find(request)
            await self._cancellation.cancel(turn, request.reason)
            return turn

    @cancel_turn.validator
    def _validate_cancel(self, *received: Any) -> None:
        with self._request(CancelTurn, received) as request:
            self._cancellation.find(request)

    @workflow.signal(name=wire.CLOSE)
    def close(self, *received: Any) -> None:
        """Close the conversation once the messages that were accepted are answered, for a reason in
        words."""
        self._lifecycle.signal_came()
        try:
            reason = read(str, received)
        except Refused as refused:
            self._ignore("it holds no reason", refused)
            return
        if self._lifecycle.close_reason is None:
            self._lifecycle.close_reason = line(reason) or "closed on request"

    @workflow.signal(name=wire.UPGRADE)
    def upgrade(self, *_: Any) -> None:
        """Wake an idle conversation, so that it notices that another build has become current."""
        self._lifecycle.signal_came()

    @workflow.signal(dynamic=True)
    def other(self, _name: str, _received: Sequence[RawValue]) -> None:
        """Ignore a signal without a handler; the SDK would keep it, and not wake the run that it makes
        long."""
        self._lifecycle.signal_came()

    @contextmanager
    def _request(self, kind: type[RequestT], received: Sequence[Any]) -> Iterator[RequestT]:
        with refusing(self._unusable):
            yield read(kind, received)

    def _ignore(self, why: str, refused: Refused) -> None:
        self._ignored += 1
        if self._ignored <= _MOST_WARNINGS:
            workflow.logger.warning("a signal is ignored, %s: %s", why, refused)

    # Messages.

    async def _open(self) -> bool:
        """Create or find the records; False when the conversation is to stay closed."""
        opened = await self._calls.open()
        self._intake.customer = opened.customer
        self._state.turns = opened.turns
        self._intake.has_forgotten = opened.turns > 0
        self._state.agent = opened.agent
        if opened.repeated is not None and self._start.message_id is not None:
            self._intake.found(self._start.message_id, opened.repeated)
        self._takeovers.restore(opened)
        self._lifecycle.leaving = opened.closed
        self._lifecycle.opened = True
        self._state.last_activity = workflow.now()
        return not opened.closed

    def _check_message(self, message: CustomerMessage) -> None:
        self._intake.check(message)
        if not self._intake.knows(message):
            self._lifecycle.check_open()

    # Work.

    def _has_work(self) -> bool:
        return bool(self._intake.queue) or self._desk.next_to_resume() is not None

    def _has_something_to_do(self) -> bool:
        closing = self._lifecycle.close_reason is not None
        if self._has_work() or closing or self._desk.changed:
            return True
        if self._lifecycle.is_held_up():
            return not self._lifecycle.pausing
        if self._must_drain():
            return True
        return self._lifecycle.must_move() and self._is_quiet()

    def _must_drain(self) -> bool:
        """Whether the run is full and nothing that signals have started is under way: messages are taken
        until then."""
        if not self._lifecycle.must_drain():
            return False
        return not (self._desk.takes_signals() and workflow.patched(patches.FLOODS_END))

    def _is_working(self) -> bool:
        return self._turns.running is not None or self._has_work()

    def _is_quiet(self) -> bool:
        return workflow.all_handlers_finished() and not self._desk.busy()

    async def _work(self) -> None:
        approval_id = self._desk.next_to_resume()
        if approval_id is not None:
            if await self._turns.go_on(self._state.parked[approval_id]):
                self._desk.forget(approval_id)
            else:
                self._desk.hold_back(approval_id)
        else:
            queued = self._intake.queue.popleft()
            try:
                self._intake.results[queued.turn] = await self._turns.answer(queued)
            except Refused as refused:
                self._intake.refuse(queued, refused)
        self._desk.watch()
        self._lifecycle.work_done(turn=approval_id is None)

    async def _close(self, reason: str) -> None:
        self._lifecycle.leaving = True
        await self._cancellation.cancel_parked(reason)
        while self._has_work():  # what was decided just before
            await self._work()
            if self._desk.waiting() and workflow.patched(patches.ALL_TURNS_END):  # it asked again
                await self._cancellation.cancel_parked(reason)
        for approval_id in list(self._state.resuming):
            if workflow.patched(patches.ALL_TURNS_END):
                await self._cancellation.cancel_decided(approval_id, reason, to_person=False)
        await self._calls.close(reason, idle=reason == IDLE)
        self._overview.publish(closed=True)
        await workflow.wait_condition(workflow.all_handlers_finished)
