"""People in a conversation: one takes it over, replies, and hands it back to the agents."""

from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from holdfast.workflows import patches
from holdfast.workflows.activity_calls import ActivityCalls
from holdfast.workflows.approvals import ApprovalDesk
from holdfast.workflows.turns import TurnRunner

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.activity_protocol import HumanTurnRequest, OpenReport, TakeoverRequest
    from holdfast.domain.conversation import (
        ConversationStart,
        ConversationState,
        HandBack,
        HumanReply,
        TakeOver,
        Takeover,
    )
    from holdfast.domain.errors import NotHeld
    from holdfast.domain.people import PersonAct, same_person


class Takeovers:
    """Lets one person at a time hold the conversation. Whether they may, the activities decide."""

    def __init__(
        self,
        start: ConversationStart,
        state: ConversationState,
        calls: ActivityCalls,
        turns: TurnRunner,
        desk: ApprovalDesk,
    ) -> None:
        self._key = start.key
        self._state = state
        self._calls = calls
        self._turns = turns
        self._desk = desk

    def restore(self, opened: OpenReport) -> None:
        """Take over from the records that a person holds the conversation, or was called for it."""
        if (opened.held_by is not None or opened.awaits_person) and self._state.takeover is None:
            reason = "taken over" if opened.held_by is not None else "a person was called"
            self._state.takeover = Takeover(
                reason=reason, since=workflow.now(), reviewer=opened.held_by
            )

    def check_free(self, reviewer: str) -> None:
        """Refuse a takeover by this person while another one holds the conversation.

        Raises:
            NotHeld.
        """
        held_by = self._held_by()
        if held_by is not None and not same_person(held_by, reviewer):
            raise NotHeld(f"{held_by} holds the conversation")

    def check_held(self, reviewer: str) -> None:
        """Refuse what only the person who holds the conversation may do.

        Raises:
            NotHeld.
        """
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
        return await self._calls.record_human_turn(
            HumanTurnRequest(
                **self._key.turn_key(self._state.turns).fields,
                reviewer=reply.reviewer,
                text=reply.text,
                id=reply.id,
                statement=reply.statement,
            )
        )

    def _held_by(self) -> str | None:
        return self._state.takeover.reviewer if self._state.takeover else None

    async def _record(self, asked: TakeOver | HandBack, take_effect: Callable[[], None]) -> None:
        before = self._state.takeover
        recorded_first = workflow.patched(patches.RECORDED_FIRST)
        if not recorded_first:
            take_effect()
        try:
            await self._calls.record_takeover(self._request(asked))
        except ActivityError:
            self._state.takeover = before
            raise
        if recorded_first:
            take_effect()

    def _hold(self, reviewer: str) -> None:
        self._state.takeover = Takeover(
            reason="taken over", since=workflow.now(), reviewer=reviewer
        )
        self._turns.stop("awaiting_human", f"{reviewer} took the conversation over")

    def _release(self) -> None:
        self._state.takeover = None
        self._desk.release_held_back()

    def _request(self, asked: TakeOver | HandBack) -> TakeoverRequest:
        back = isinstance(asked, HandBack)
        note = asked.note if isinstance(asked, HandBack) else ""
        return TakeoverRequest(
            **self._key.turn_key(self._state.turns).fields,
            reviewer=None if back else asked.reviewer,
            note=note,
            act=PersonAct(
                id=asked.id or "",
                kind="hand_back" if back else "take_over",
                reviewer=asked.reviewer,
                conversation=self._key.conversation,
                text=note,
                statement=asked.statement,
            ),
        )
