"""The activities that record a conversation outside of its subgraphs' steps."""

from temporalio import activity

from holdfast.activities.attempts import heartbeating, recording
from holdfast.activities.resources import Resources
from holdfast.domain import wire
from holdfast.domain.activity_protocol import (
    CloseRequest,
    DelayRequest,
    EndTurnRequest,
    OpenReport,
    OpenRequest,
    RecallRequest,
    RecordedTurn,
    TurnEnd,
)
from holdfast.domain.customer_texts import customer_text
from holdfast.domain.events import ConversationClosed, NewEvent
from holdfast.domain.words import language_of
from holdfast.store import conversations, events, notices, turns
from holdfast.store.audit import append_audit


class ConversationActivities:
    """Writes conversation records."""

    def __init__(self, resources: Resources) -> None:
        self._pool = resources.pool
        self._fleet = resources.fleet

    @activity.defn(name=wire.OPEN_CONVERSATION)
    @heartbeating
    async def open_conversation(self, request: OpenRequest) -> OpenReport:
        """Create the conversation's records, or find and reopen them."""
        async with recording(self._pool, request.key) as connection:
            return await conversations.open_conversation(
                connection,
                request.key,
                customer=request.customer,
                message_id=request.message_id,
                language_of=language_of,
                scope=self._fleet.scope,
            )

    @activity.defn(name=wire.RECALL_TURN)
    @heartbeating
    async def recall_turn(self, request: RecallRequest) -> RecordedTurn | None:
        """Find what a message was answered; None where it is new."""
        async with self._pool.acquire() as connection:
            return await turns.find_turn(connection, request.key, request.message_id)

    @activity.defn(name=wire.END_TURN)
    @heartbeating
    async def end_turn(self, request: EndTurnRequest) -> TurnEnd:
        """End a turn that no subgraph ended; one that has ended keeps its end."""
        async with recording(self._pool, request.key) as connection:
            return await turns.end_turn(
                connection,
                request.key,
                status=request.status,
                reason=request.reason,
                cause=request.cause,
                message=request.message,
                language_of=language_of,
                held=request.held,
                to_person=request.to_person,
            )

    @activity.defn(name=wire.ANNOUNCE_DELAY)
    @heartbeating
    async def announce_delay(self, request: DelayRequest) -> None:
        """Tell the customer, once for each turn, that it takes longer."""
        async with recording(self._pool, request.key) as connection:
            words = await notices.last_words(connection, request.key)
            if words is None:
                return
            text = customer_text("takes_longer", turns.spoken(*words, language_of))
            await notices.announce_delay(connection, request.key, text)

    @activity.defn(name=wire.CLOSE_CONVERSATION)
    @heartbeating
    async def close_conversation(self, request: CloseRequest) -> None:
        """Close the records, with a farewell to a customer who has not written for a while."""
        async with recording(self._pool, request.key) as connection:
            changed = await conversations.set_phase(connection, request.key, "closed")
            if not changed:
                return
            farewell = None
            if request.idle:
                found = await conversations.read_conversation(connection, request.key)
                farewell = customer_text("closed_idle", found.language)
            closed = ConversationClosed(reason=request.reason, farewell=farewell)
            await events.append_events(connection, request.key, [NewEvent(data=closed)])
            await append_audit(
                connection,
                request.key,
                kind="conversation_closed",
                subject=request.conversation,
                data={"reason": request.reason},
            )
