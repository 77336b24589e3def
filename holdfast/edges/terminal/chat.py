"""An interactive conversation: lines go out as messages; answers and follow-ups come in by themselves."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from holdfast.client import HoldfastClient
from holdfast.domain.errors import ConversationNotFound, HoldfastError, WrongCustomer
from holdfast.domain.events import (
    ApprovalDecided,
    ApprovalRequested,
    AwaitingHuman,
    ConversationClosed,
    Event,
    HandedBack,
    TakenOver,
    TurnEnded,
)
from holdfast.domain.records import MessageRecord

_SHOWN_ROLES = ("assistant", "human", "notice")


class Chat:
    """A chat of one customer in one conversation.

    `show` gets each new message to the customer, once and in order; `notice` gets refusals and what
    else happens, in words.
    """

    def __init__(
        self,
        client: HoldfastClient,
        conversation: str,
        customer: str,
        *,
        show: Callable[[MessageRecord], object],
        notice: Callable[[str], None],
    ) -> None:
        self._client = client
        self._conversation = conversation
        self._customer = customer
        self._show = show
        self._notice = notice
        self._event = 0
        self._message = 0
        self._taking = asyncio.Lock()
        self._exists = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Follow the conversation from its present end on, for as long as the context lasts.

        Raises:
            WrongCustomer: it is another customer's.
        """
        with suppress(ConversationNotFound):
            async for event in self._client.events(self._conversation, customer=self._customer):
                self._event = event.seq
            for message in await self._client.messages(self._conversation, customer=self._customer):
                self._message = message.seq
            self._exists.set()
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def say(self, text: str) -> None:
        """Send a line; returns when its answer has been shown, or why there is none.

        Raises:
            WrongCustomer: the conversation has become another customer's since the chat was opened.
        """
        try:
            await self._client.send(self._conversation, text, customer=self._customer, timeout=None)
            self._exists.set()
            async for event in self._client.events(
                self._conversation, after=self._event, customer=self._customer
            ):
                await self._take(event)
        except WrongCustomer:
            raise
        except HoldfastError as error:
            self._notice(f"{error.code}: {error}")

    async def _follow(self) -> None:
        await self._exists.wait()
        try:
            async for event in self._client.events(
                self._conversation, after=self._event, follow=True, customer=self._customer
            ):
                await self._take(event)
        except HoldfastError as error:
            self._notice(f"follow-ups are not shown any more: {error}")

    async def _take(self, event: Event) -> None:
        async with self._taking:
            if event.seq <= self._event:
                return
            self._event = event.seq
            if event.type == "message_sent":
                for message in await self._client.messages(
                    self._conversation, after=self._message, customer=self._customer
                ):
                    self._message = message.seq
                    if message.role in _SHOWN_ROLES:
                        self._show(message)
            elif (text := _in_words(event)) is not None:
                self._notice(text)


async def chat_by_lines(chat: Chat) -> None:
    """Send the lines of the standard input, each when the one before is answered."""
    async with chat.open():
        while line := await asyncio.to_thread(sys.stdin.readline):
            if text := line.strip():
                await chat.say(text)


async def chat_on_terminal(chat: Chat) -> None:
    """Prompt for lines until Ctrl-D; what comes in meanwhile appears above the prompt."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.patch_stdout import patch_stdout

    session: PromptSession[str] = PromptSession("> ")
    try:
        async with chat.open(), asyncio.TaskGroup() as saying:
            with patch_stdout(raw=True), suppress(EOFError):
                while True:
                    if text := (await session.prompt_async()).strip():
                        saying.create_task(chat.say(text))
    except* WrongCustomer as group:
        raise group.exceptions[0] from None


def _in_words(event: Event) -> str | None:
    """What the customer's side should know of an event that is not a message."""
    match event.data:
        case ApprovalRequested(approval=approval):
            return f"turn {event.turn} waits for approval {approval}"
        case ApprovalDecided(approval=approval, state=state):
            return f"approval {approval} is {state}"
        case AwaitingHuman() | TurnEnded(status="awaiting_human"):
            return "waits for a person"
        case TakenOver(reviewer=reviewer):
            return f"{reviewer} has taken over"
        case HandedBack():
            return "the agents have it again"
        case TurnEnded(status="failed"):
            return f"turn {event.turn} failed"
        case TurnEnded(status="cancelled", reason=reason):
            return f"turn {event.turn} cancelled: {reason or ''}"
        case ConversationClosed(farewell=farewell):
            return farewell or "the conversation is closed"
        case _:
            return None
