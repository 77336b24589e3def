"""What the platform itself says to a customer while a turn is under way. Agents don't read it."""

from holdfast.domain.events import NewEvent, TurnDelayed
from holdfast.domain.identity import TurnKey
from holdfast.store.events import append_events
from holdfast.store.pool import Connection
from holdfast.store.steps import NewMessage
from holdfast.store.transcript import append_message


async def last_words(connection: Connection, key: TurnKey) -> tuple[str, str] | None:
    """The language of the conversation and the customer's message of the turn; None where the turn has
    ended, or there is none."""
    row = await connection.fetchrow(
        """
        select conversation.language, message.text
          from holdfast.turns as turn
          join holdfast.conversations as conversation
            on (conversation.tenant, conversation.id) = (turn.tenant, turn.conversation)
          join holdfast.messages as message
            on (message.tenant, message.conversation, message.turn, message.role)
               = (turn.tenant, turn.conversation, turn.turn, 'customer')
         where turn.tenant = $1 and turn.conversation = $2 and turn.turn = $3
           and turn.ended_at is null
         order by message.seq desc limit 1
           for update of turn
        """,
        key.tenant,
        key.conversation,
        key.turn,
    )
    return (row["language"], row["text"]) if row else None


async def announce_delay(connection: Connection, key: TurnKey, text: str) -> None:
    """Say `text` to the customer and record the delay, once for each turn."""
    request_id = f"delay:{key.turn}"
    known = await connection.fetchval(
        "select true from holdfast.messages "
        "where tenant = $1 and conversation = $2 and request_id = $3",
        key.tenant,
        key.conversation,
        request_id,
    )
    if known:
        return
    await append_events(
        connection,
        key,
        [NewEvent(turn=key.turn, data=TurnDelayed(reason="no model answers"))],
    )
    await append_message(
        connection,
        key,
        NewMessage(role="notice", text=text),
        request_id=request_id,
    )
