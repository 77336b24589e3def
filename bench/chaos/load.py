"""Plays customer and reviewer of one conversation, through whatever happens, and tells what it sees."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from bench.chaos.observations import (
    Answered,
    Assigned,
    Decided,
    Followed,
    Observation,
    Refusal,
    RoundDone,
)
from bench.chaos.plan import (
    EDITED,
    ConversationPlan,
    DecisionChoice,
    PlannedDecision,
    PlannedMessage,
    Round,
)
from bench.chaos.wording import understood
from holdfast.client import HoldfastClient
from holdfast.client.views import SentMessage
from holdfast.domain.errors import (
    ConversationBusy,
    ConversationNotFound,
    HoldfastError,
    Refused,
    Unavailable,
)
from holdfast.domain.events import Event
from holdfast.domain.ids import json_digest
from holdfast.domain.review import Accept, Edit, Reject, Respond, Review, Reviewer

AnswerT = TypeVar("AnswerT")

_PAUSE_SECONDS = 0.2
_TRY_SECONDS = 30.0

REVIEWER = "rita"
_ROLES = ("counters", "refunds", "retail")

Observe = Callable[[Observation], None]


def event_digest(event: Event) -> str:
    """What an event is recognised by when it is read again."""
    return json_digest(event.model_dump(mode="json"))[:16]


class Player:
    """Plays one conversation, from wherever another process has left it."""

    def __init__(self, client: HoldfastClient, assigned: Assigned, observe: Observe) -> None:
        self._client = client
        self._plan: ConversationPlan = assigned.plan
        self._assigned = assigned
        self._observe = observe
        self._ended = set(assigned.ended)
        self._after = assigned.after
        self._changed = asyncio.Event()

    async def play(self) -> None:
        """Play what is left of the conversation, while its events are followed."""
        following = asyncio.create_task(self._follow())
        try:
            for number in range(self._assigned.round, len(self._plan.rounds)):
                await self._play_round(self._plan.rounds[number])
                if number == len(self._plan.rounds) - 1:
                    await self._catch_up(following)
                self._observe(
                    RoundDone(
                        tenant=self._plan.tenant,
                        conversation=self._plan.conversation,
                        round=number,
                    )
                )
        finally:
            following.cancel()
            await asyncio.wait((following,))

    async def _play_round(self, round: Round) -> None:
        if round.close_first:
            with suppress(Refused):
                await _until_available(
                    lambda: self._client.close(self._plan.conversation, timeout=_TRY_SECONDS)
                )
        async with asyncio.TaskGroup() as group:
            sending = [
                group.create_task(self._send(message, delay))
                for message in round.messages
                for delay in message.delays
            ]
            if round.cancel_after is not None:
                group.create_task(self._cancel_running(round.cancel_after))
        answers = [sent for task in sending if (sent := task.result()) is not None]
        if any(sent.status == "awaiting_human" for sent in answers):
            await self._give_back()
        parked = [sent for sent in answers if sent.status == "awaiting_approval"]
        if round.kind not in ("again", "reopened"):
            for sent in parked:
                await self._see_to(round, sent)

    async def _send(self, message: PlannedMessage, delay: float) -> SentMessage | None:
        await asyncio.sleep(delay)
        while True:
            try:
                sent = await _until_available(
                    lambda: self._client.send(
                        self._plan.conversation,
                        message.text,
                        customer=self._plan.customer,
                        message_id=message.id,
                        on_busy=message.on_busy,
                        timeout=_TRY_SECONDS,
                    )
                )
            except ConversationBusy:
                await asyncio.sleep(_PAUSE_SECONDS)
            except HoldfastError as refused:
                self._observe(
                    Refusal(
                        tenant=self._plan.tenant,
                        conversation=self._plan.conversation,
                        message=message.id,
                        text=message.text,
                        code=refused.code,
                    )
                )
                return None
            else:
                self._observe(
                    Answered(
                        tenant=self._plan.tenant, conversation=self._plan.conversation, sent=sent
                    )
                )
                return sent

    async def _give_back(self) -> None:
        """Be the person who was called, since a turn was stopped after an effect of its own."""
        people, name = self._client.people, self._plan.conversation
        with suppress(Refused):
            await _until_available(
                lambda: people.take_over(name, reviewer="pat", timeout=_TRY_SECONDS)
            )
            await _until_available(
                lambda: people.hand_back(name, reviewer="pat", timeout=_TRY_SECONDS)
            )

    async def _cancel_running(self, after: float) -> None:
        await asyncio.sleep(after)
        with suppress(Refused):
            await _until_available(
                lambda: self._client.cancel_turn(self._plan.conversation, timeout=_TRY_SECONDS)
            )

    async def _see_to(self, round: Round, parked: SentMessage) -> None:
        """Do what is planned about a turn that waits for an approval, until it has ended."""
        assert parked.turn is not None
        if round.withdraw:
            with suppress(Refused):
                await _until_available(
                    lambda: self._client.cancel_turn(
                        self._plan.conversation, parked.turn, timeout=_TRY_SECONDS
                    )
                )
        async with asyncio.TaskGroup() as group:
            for decision in round.decisions:
                group.create_task(self._decide(decision, parked))
        if round.reviewer_accepts:
            await asyncio.sleep(round.accepts_after)
        while parked.turn not in self._ended:
            self._changed.clear()
            if round.reviewer_accepts:
                await self._accept_what_waits()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _PAUSE_SECONDS)

    async def _decide(self, decision: PlannedDecision, parked: SentMessage) -> None:
        wish = understood(self._plan.messages()[parked.message_id].text)
        assert wish is not None
        reviews: dict[DecisionChoice, Review] = {
            "accept": Accept(),
            "edit": Edit([{"counter": wish.message, "amount": EDITED}]),
            "reject": Reject("because"),
            "respond": Respond("because"),
        }
        (approval,) = parked.approvals
        told = Decided(tenant=self._plan.tenant, approval=approval, decision=decision.id)
        try:
            status = await _until_available(
                lambda: self._client.approvals.decide(
                    approval,
                    reviews[decision.kind],
                    by=Reviewer(REVIEWER, roles=_ROLES),
                    decision_id=decision.id,
                    timeout=_TRY_SECONDS,
                )
            )
        except HoldfastError as refused:
            self._observe(told.model_copy(update={"code": refused.code}))
        else:
            self._observe(told.model_copy(update={"state": status.state, "by": status.decision_id}))

    async def _accept_what_waits(self) -> None:
        with suppress(Refused):
            for waiting in await _until_available(
                lambda: self._client.approvals.list(conversation=self._plan.conversation)
            ):
                id_ = waiting.id
                await _until_available(
                    lambda id_=id_: self._client.approvals.decide(  # type: ignore[misc]
                        id_,
                        Accept(),
                        by=Reviewer(REVIEWER, roles=_ROLES),
                        decision_id=f"{id_}.accepted",
                        timeout=_TRY_SECONDS,
                    )
                )

    async def _follow(self) -> None:
        """Read the stream of events to its end, which never comes; each is told once."""
        while True:
            with suppress(ConversationNotFound, Unavailable):
                async for event in self._client.events(
                    self._plan.conversation, after=self._after, follow=True
                ):
                    self._after = event.seq
                    self._tell(event)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _catch_up(self, following: asyncio.Task[None]) -> None:
        """Wait until the stream has told everything that is recorded."""
        while await _until_available(self._is_behind):
            if following.done():  # it ends with an error only
                following.result()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _is_behind(self) -> bool:
        async for _ in self._client.events(self._plan.conversation, after=self._after):
            return True
        return False

    def _tell(self, event: Event) -> None:
        ended = event.turn if event.type in ("turn_ended", "awaiting_human") else None
        self._observe(
            Followed(
                tenant=self._plan.tenant,
                conversation=self._plan.conversation,
                seq=event.seq,
                digest=event_digest(event),
                ended_turn=ended,
            )
        )
        if ended is not None:
            self._ended.add(ended)
            self._changed.set()


async def _until_available(request: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """The answer, asked for again while servers or workers are away."""
    while True:
        try:
            return await request()
        except Unavailable:
            await asyncio.sleep(_PAUSE_SECONDS)
