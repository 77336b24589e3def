"""The messages of a conversation, outside of those that a subgraph's step commits."""

from holdfast.domain.events import NewMessageReceived, NewMessageSent
from holdfast.domain.identity import ConversationKey, TurnKey
from holdfast.domain.records import MessageRecord
from holdfast.store.pool import Connection
from holdfast.store.steps import NewMessage

_MESSAGES = """
select seq, turn, role, author, text, citations, degraded, created_at as at
  from holdfast.messages where tenant = $1 and conversation = $2
"""


async def append_message(
    connection: Connection,
    key: TurnKey,
    message: NewMessage,
    *,
    message_id: str | None = None,
    request_id: str | None = None,
) -> int:
    """Number and record a message and the event that announces it; the message's number.

    A customer's message has a `message_id`. A message that was recorded under the same `request_id`
    before keeps its number.
    """
    if request_id is not None:
        await connection.execute(
            "select from holdfast.conversations where tenant = $1 and id = $2 for update",
            key.tenant,
            key.conversation,
        )
        known = await find_message(connection, key, request_id)
        if known is not None:
            return known.seq
    said = (
        NewMessageReceived(message_id=message_id)
        if message.role == "customer"
        else NewMessageSent(role=message.role)
    )
    seq = await connection.fetchval(
        """
        with numbers as (
            update holdfast.conversations
               set last_message = last_message + 1, last_event = last_event + 1, updated_at = now()
             where tenant = $1 and id = $2
            returning last_message, last_event
        ), said as (
            insert into holdfast.messages
                (tenant, conversation, seq, turn, role, author, text, citations, degraded,
                 request_id)
            select $1, $2, last_message, $3, $4, $5, $6, $7, $8, $10 from numbers
        ), announced as (
            insert into holdfast.events (tenant, conversation, seq, type, turn, data)
            select $1, $2, last_event, $9, $3,
                   $11::jsonb || jsonb_build_object('message', last_message)
              from numbers
        )
        select last_message from numbers
        """,
        key.tenant,
        key.conversation,
        key.turn,
        message.role,
        message.author,
        message.text,
        message.citations,
        message.degraded,
        said.type,
        request_id,
        said.model_dump(mode="json"),
    )
    return int(seq)


async def find_message(
    connection: Connection, key: ConversationKey, request_id: str
) -> MessageRecord | None:
    """The message that was recorded under this id; None where none was."""
    known = await connection.fetchrow(
        f"{_MESSAGES} and request_id = $3",
        key.tenant,
        key.conversation,
        request_id,
    )
    return MessageRecord.model_validate(dict(known)) if known else None


async def read_messages(
    connection: Connection, key: ConversationKey, *, after: int = 0
) -> list[MessageRecord]:
    """The messages numbered above `after`, oldest first."""
    rows = await connection.fetch(
        f"{_MESSAGES} and seq > $3 order by seq",
        key.tenant,
        key.conversation,
        after,
    )
    return [MessageRecord.model_validate(dict(row)) for row in rows]


async def read_message(
    connection: Connection, key: ConversationKey, seq: int
) -> MessageRecord | None:
    """One message by its number."""
    found = await connection.fetchrow(
        f"{_MESSAGES} and seq = $3",
        key.tenant,
        key.conversation,
        seq,
    )
    return MessageRecord.model_validate(dict(found)) if found else None
