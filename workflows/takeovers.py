"""People in a conversation: one takes it over, replies, and hands it back to the agents."""

from collections.abc import Callable
from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError

from holdfast.workflows import patches
from holdfast.workflows.activity_calls import ActivityCalls
from holdfast.workflows.approvals import ApprovalDesk
from holdfast.workflows.turns import TurnRunner

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.activity_protocol import OpenReport
    from holdfast.domain.conversation import (
        ConversationState,
        HandBack,
        HumanReply,
        TakeOver,
        Takeover,
    )
    from holdfast.domain.errors import NotHeld
    from holdfast.domain.people import same_person


@dataclass(eq=False, repr=False)
class Takeovers:
    """Lets one person at a time hold the conversation. Whether they may, the activities decide."""

    state: ConversationState
    calls: ActivityCalls
    turns: TurnRunner
    desk: ApprovalDesk

    def restore(self, opened: OpenReport) -> None:
        """Adopt what the records say: a person holds the conversation, or was called for it."""
        if (opened.held_by is not None or opened.awaits_person) and self.state.takeover is None:
            reason = "taken over" if opened.held_by is not None else "a person was called"
            self.state.takeover = Takeover(
                reason=reason, since=workflow.now(), reviewer=opened.held_by
            )

    def check_free(self, reviewer: str) -> None:
        """Raise `NotHeld` if another person than this one holds the conversation."""
        held_by = self._held_by()
        if held_by is not None and not same_person(held_by, reviewer):
            raise NotHeld(f"{held_by} holds the conversation")

    def check_held(self, reviewer: str) -> None:
        """Raise `NotHeld` unless this person holds the conversation."""
        held_by = self._held_by()
        if not same_person(held_by, reviewer):
            raise NotHeld(f"{held_by or 'nobody'} holds the conversation; take it over first")

    async def take_over(self, request: TakeOver) -> None:
        """Give a person the conversation; a running turn ends without an agent's answer."""
        await self._record(request, lambda: self._hold(request.reviewer))

    async def hand_back(self, request: HandBack) -> None:
        """Give the agents the conversation; turns that were decided meanwhile go on."""
        await self._record(request, self._release)

    async def reply(self, reply: HumanReply) -> int:
        """Send a person's message to the customer; its number in the conversation."""
        return await self.calls.record_human_turn(self.state.turns, reply)

    def _held_by(self) -> str | None:
        return self.state.takeover.reviewer if self.state.takeover else None

    async def _record(self, asked: TakeOver | HandBack, take_effect: Callable[[], None]) -> None:
        before = self.state.takeover
        recorded_first = workflow.patched(patches.RECORDED_FIRST)
        if not recorded_first:
            take_effect()
        try:
            await self.calls.record_takeover(self.state.turns, asked)
        except ActivityError:
            self.state.takeover = before
            raise
        if recorded_first:
            take_effect()

    def _hold(self, reviewer: str) -> None:
        self.state.takeover = Takeover(reason="taken over", since=workflow.now(), reviewer=reviewer)
        self.turns.stop("awaiting_human", f"{reviewer} took the conversation over")

    def _release(self) -> None:
        self.state.takeover = None
        self.desk.release_held_back()
