"""How the story talks to the platform: as the customer's channel, and as the reviewer's desk."""

import asyncio
import time
from typing import Literal

from holdfast import ApprovalRecord, HoldfastClient, SentMessage
from shop.demo.expectations import Unexpected, expect
from shop.demo.narrator import Narrator
from shop.demo_data import CUSTOMER, CUSTOMER_NAME

CUSTOMER_CALLED = CUSTOMER_NAME[0]
REVIEWER = "ines.okafor"

_AGENT = "Agent"
_FOLLOW_UP_SECONDS = 60.0


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
        found = await self._client.approvals(conversation=self.conversation)
        expect(len(found) == 1, f"one approval waits in {self.conversation!r}", len(found))
        self._narrator.card(f"Approval {found[0].id}", _as_rows(found[0]))
        return found[0]

    async def decide(
        self, approval: ApprovalRecord, kind: Literal["accept", "reject"], text: str = ""
    ) -> None:
        """Decide as the reviewer, and wait for the message that follows in the conversation.

        Raises:
            Unexpected: none follows within a minute.
        """
        messages = await self._client.messages(self.conversation)
        began = time.monotonic()
        status = await self._client.decide(
            approval.id,
            kind,
            reviewer=REVIEWER,
            roles=approval.roles,
            text=text,
            digest=approval.args_digest,
        )
        said = f": “{text}”" if text else ""
        self._narrator.notes(
            f"{REVIEWER} decides to {kind}{said}; the approval is {status.state}",
            time.monotonic() - began,
        )
        follow_up = await self._next_message(after=messages[-1].seq)
        self._narrator.says(_AGENT, follow_up, ours=True)
        self._narrator.notes("the follow-up message came by itself", time.monotonic() - began)

    async def _next_message(self, *, after: int) -> str:
        try:
            async with asyncio.timeout(_FOLLOW_UP_SECONDS):
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
            f"within {_FOLLOW_UP_SECONDS:.0f} s"
        )


def _as_rows(approval: ApprovalRecord) -> list[tuple[str, str]]:
    rows = [("reason", approval.reason)]
    rows += [("evidence", line) for line in approval.evidence]
    for action in approval.actions:
        arguments = ", ".join(f"{name}={value}" for name, value in action.arguments.items())
        rows.append(("action", f"{action.name}({arguments})"))
        rows += [(name, str(action.facts[name])) for name in ("before", "after")]
    policy = f"{approval.policy_name} {approval.policy_version}: {approval.policy_reason}"
    return [
        *rows,
        ("policy", policy),
        ("needs", f"{' and '.join(approval.roles)}, until {approval.expires_at:%d %B %H:%M} UTC"),
        ("digest", f"{approval.args_digest[:16]}…, which the decision quotes"),
    ]
