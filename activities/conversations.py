"""The activities that record a conversation outside of its subgraphs' steps."""

from contextlib import AbstractAsyncContextManager

from pydantic import JsonValue
from temporalio import activity

from activities.attempts import heartbeating, recording
from activities.services import Services
from holdfast.domain import wire
from holdfast.domain.events import NewEvent
from holdfast.domain.steps import (
    CloseRequest,
    EndTurnRequest,
    HumanTurnRequest,
    Opened,
    OpenRequest,
    RecallRequest,
    RecordedTurn,
    TakeoverRequest,
    TurnEnd,
)
from holdfast.domain.texts import customer_text
from holdfast.store import conversations, events, transcript, turns
from holdfast.store.pool import Connection
from holdfast.store.steps import NewMessage

_Request = OpenRequest | EndTurnRequest | HumanTurnRequest | TakeoverRequest | CloseRequest


class ConversationActivities:
    """Writes conversation records."""

    def __init__(self, services: Services) -> None:
        self._pool = services.pool
        self._remote = services.registry.remote_actions()
        self._fleet = services.fleet

    def _recording(self, request: _Request) -> AbstractAsyncContextManager[Connection]:
        return recording(self._pool, request.tenant, request.conversation)

    @activity.defn(name=wire.OPEN_CONVERSATION)
    @heartbeating
    async def open_conversation(self, request: OpenRequest) -> Opened:
        """Create the conversation's records, or find and reopen them."""
        async with self._recording(request) as connection:
            return await conversations.open_conversation(
                connection,
                tenant=request.tenant,
                conversation=request.conversation,
                customer=request.customer,
                message_id=request.message_id,
                scope=self._fleet.scope,
            )

    @activity.defn(name=wire.RECALL_TURN)
    @heartbeating
    async def recall_turn(self, request: RecallRequest) -> RecordedTurn | None:
        """Find what a message was answered; None where it is new."""
        async with self._pool.acquire() as connection:
            return await turns.find_turn(
                connection, request.tenant, request.conversation, request.message_id
            )

    @activity.defn(name=wire.END_TURN)
    @heartbeating
    async def end_turn(self, request: EndTurnRequest) -> TurnEnd:
        """End a turn that no subgraph ended; one that has ended keeps its end."""
        async with self._recording(request) as connection:
            return await turns.end_turn(
                connection,
                tenant=request.tenant,
                conversation=request.conversation,
                turn=request.turn,
                status=request.status,
                reason=request.reason,
                message=request.message,
                held=request.held,
                to_person=request.to_person,
                remote=self._remote,
            )

    @activity.defn(name=wire.RECORD_HUMAN_TURN)
    @heartbeating
    async def record_human_turn(self, request: HumanTurnRequest) -> int:
        """Append a person's message, once for each id; its number."""
        async with self._recording(request) as connection:
            return await transcript.append_message(
                connection,
                request.tenant,
                request.conversation,
                request.turn,
                NewMessage(role="human", author=request.reviewer, text=request.text),
                request_id=request.id,
            )

    @activity.defn(name=wire.RECORD_TAKEOVER)
    @heartbeating
    async def record_takeover(self, request: TakeoverRequest) -> None:
        """Record that a person holds the conversation, or that the agents have it again."""
        held = request.reviewer is not None
        phase = "awaiting_human" if held else "open"
        async with self._recording(request) as connection:
            changed = await conversations.set_phase(
                connection, request.tenant, request.conversation, phase, request.reviewer
            )
            if not changed:
                return
            data: dict[str, JsonValue] = {"reviewer": request.reviewer} if held else {}
            if request.note:
                data["note"] = request.note
                await transcript.append_message(
                    connection,
                    request.tenant,
                    request.conversation,
                    request.turn,
                    NewMessage(role="note", text=request.note),
                )
            event = NewEvent(type="taken_over" if held else "handed_back", data=data)
            await events.append_events(connection, request.tenant, request.conversation, [event])

    @activity.defn(name=wire.CLOSE_CONVERSATION)
    @heartbeating
    async def close_conversation(self, request: CloseRequest) -> None:
        """Close the records, with a farewell to a customer who has not written for a while."""
        async with self._recording(request) as connection:
            changed = await conversations.set_phase(
                connection, request.tenant, request.conversation, "closed"
            )
            if not changed:
                return
            data: dict[str, JsonValue] = {"reason": request.reason}
            if request.idle:
                found = await conversations.read_conversation(
                    connection, request.tenant, request.conversation
                )
                data["farewell"] = customer_text("closed_idle", found.language)
            await events.append_events(
                connection,
                request.tenant,
                request.conversation,
                [NewEvent(type="conversation_closed", data=data)],
            )
