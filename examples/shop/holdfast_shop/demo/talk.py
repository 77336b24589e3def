"""How the story talks to the platform: as the customer's channel, and as the reviewer's desk."""

import asyncio
import time
from typing import Literal

from holdfast import (
    Accept,
    ApprovalRecord,
    HoldfastClient,
    HoldfastError,
    Reject,
    Reviewer,
    SentMessage,
    events,
)
from holdfast_shop.demo.card import card_of, needs_in_words
from holdfast_shop.demo.expectations import Unexpected, expect
from holdfast_shop.demo.narrator import Narrator
from holdfast_shop.demo_data import CUSTOMER, CUSTOMER_NAME

CUSTOMER_CALLED = CUSTOMER_NAME[0]

_AGENT = "Agent"
_PATIENCE_SECONDS = 60.0
_ALARMS = ("approval_reminded", "approval_escalated")


REVIEWER = Reviewer("ines.okafor", roles=("refunds", "returns"))
LEAD = Reviewer("tove.lindqvist", roles=("refunds-lead",))


class Talk:
    """One conversation of the story, told while it is held."""

    def __init__(self, client: HoldfastClient, narrator: Narrator, conversation: str) -> None:
        self.conversation = conversation
        self._client = client
        self._narrator = narrator

    async def ask(
        self, text: str, *, gets: Literal["answered", "awaiting_approval"] = "answered"
    ) -> SentMessage:
        """Send the customer's message, tell it and its answer.

        Raises:
            Unexpected: the answer is not what the message `gets`.
        """
        self._narrator.says(CUSTOMER_CALLED, text)
        began = time.monotonic()
        answer = await self.send(text)
        self.hear(answer, time.monotonic() - began, gets=gets)
        return answer

    async def send(self, text: str) -> SentMessage:
        """Send the customer's message, and wait for its answer however long that takes."""
        return await self._client.send(self.conversation, text, customer=CUSTOMER)

    def hear(self, answer: SentMessage, seconds: float, *, gets: str = "answered") -> None:
        """Tell an answer.

        Raises:
            Unexpected: it is not what the message `gets`.
        """
        promise = f"turn {answer.turn} of {self.conversation!r} is {gets}"
        expect(answer.status == gets and bool(answer.reply), promise, answer.status)
        self._narrator.says(_AGENT, answer.reply or "", ours=True)
        for number, citation in enumerate(answer.citations, start=1):
            self._narrator.notes(f"[{number}] is the article “{citation.title}”")
        self._narrator.notes(f"turn {answer.turn}: {answer.status}", seconds)

    async def waiting_approval(self) -> ApprovalRecord:
        """What waits for a reviewer in this conversation, as the reviewer sees it; told as a card.

        Raises:
            Unexpected: not exactly one approval waits.
        """
        found = await self._client.approvals.list(conversation=self.conversation)
        expect(len(found) == 1, f"one approval waits in {self.conversation!r}", len(found))
        self._narrator.card(f"Approval {found[0].id}", card_of(found[0]))
        return found[0]

    async def decide(
        self, approval: ApprovalRecord, review: Accept | Reject, reviewer: Reviewer
    ) -> None:
        """Decide as the reviewer, and wait for the message that follows in the conversation, once
        nobody else has to agree.

        Raises:
            Unexpected: none follows within a minute.
        """
        messages = await self._client.messages(self.conversation)
        began = time.monotonic()
        state = await self._decide(approval, review, reviewer)
        took = time.monotonic() - began
        said = f": “{review.reason}”" if isinstance(review, Reject) else ""
        told = f"{reviewer.id} ({', '.join(reviewer.roles)}) decides to {review.kind}{said}"
        if state == "pending":
            needs = needs_in_words(await self._client.approvals.get(approval.id))
            self._narrator.notes(f"{told}; the approval still needs {needs}", took)
            return
        self._narrator.notes(f"{told}; the approval is {state}", took)
        follow_up = await self._next_message(after=messages[-1].seq)
        self._narrator.says(_AGENT, follow_up, ours=True)
        self._narrator.notes("the follow-up message came by itself", time.monotonic() - began)

    async def accept_again(self, approval: ApprovalRecord, reviewer: Reviewer) -> None:
        """Accept as somebody who has accepted before, and tell the refusal.

        Raises:
            Unexpected: it is not refused, or for another reason.
        """
        promise = f"{reviewer.id} cannot accept {approval.id} twice"
        try:
            state = await self._decide(approval, Accept(), reviewer)
        except HoldfastError as refusal:
            expect(refusal.code == "AlreadyDecided", promise, f"{refusal.code}: {refusal}")
            self._narrator.notes(
                f"{reviewer.id} decides to accept once more, and is refused: {refusal.code}: {refusal}"
            )
        else:
            expect(False, promise, state)

    async def escalation(self, approval: ApprovalRecord) -> None:
        """Wait for the approval's reminder and its escalation, and tell them as they come.

        Raises:
            Unexpected: one of the two did not happen within a minute.
        """
        happened: list[str] = []
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                async for event in self._client.events(self.conversation, follow=True):
                    match event.data:
                        case (
                            events.ApprovalReminded(approval=approval.id)
                            | events.ApprovalEscalated(approval=approval.id)
                        ):
                            happened.append(event.type)
                        case _:
                            continue
                    after = (event.at - approval.requested_at).total_seconds()
                    self._narrator.notes(
                        f"{event.type}: event {event.seq} of the conversation, after", after
                    )
                    if event.type == "approval_escalated":
                        break
        except TimeoutError:
            pass
        promise = f"{approval.id} is reminded of, then escalated, within {_PATIENCE_SECONDS:.0f} s"
        expect(happened == list(_ALARMS), promise, happened)
        needs = needs_in_words(await self._client.approvals.get(approval.id))
        self._narrator.notes(f"from now on the approval needs {needs}")

    async def _decide(
        self, approval: ApprovalRecord, review: Accept | Reject, reviewer: Reviewer
    ) -> str:
        """The state of the approval after the decision, which quotes what the reviewer saw."""
        status = await self._client.approvals.decide(
            approval.id, review, by=reviewer, seen=approval.args_digest
        )
        return status.state

    async def _next_message(self, *, after: int) -> str:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                async for event in self._client.events(self.conversation, follow=True):
                    if event.type != "message_sent":
                        continue
                    messages = await self._client.messages(self.conversation, after=after)
                    if messages:
                        return messages[0].text
        except TimeoutError:
            pass
        raise Unexpected(
            f"expected that a message follows the decision in {self.conversation!r}; none came "
            f"within {_PATIENCE_SECONDS:.0f} s"
        )
