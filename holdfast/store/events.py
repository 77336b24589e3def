"""Events of a conversation: numbered and recorded in the transaction that causes them."""

from collections.abc import Sequence

from holdfast.domain.errors import ConversationNotFound
from holdfast.domain.events import PAYLOADS, Event, NewEvent
from holdfast.domain.identity import ConversationKey
from holdfast.store.pool import Connection


async def append_events(
    connection: Connection, key: ConversationKey, events: Sequence[NewEvent]
) -> int:
    """Number and record events; the last one's number. Part of the caller's transaction."""
    last = await connection.fetchval(
        """
        with numbers as (
            update holdfast.conversations
               set last_event = last_event + jsonb_array_length($3), updated_at = now()
             where tenant = $1 and id = $2
            returning last_event - jsonb_array_length($3) as before, last_event
        ), announced as (
            insert into holdfast.events (tenant, conversation, seq, type, turn, data)
            select $1, $2, before + ordinal, event ->> 'type', (event ->> 'turn')::int,
                   event -> 'data'
              from numbers, jsonb_array_elements($3) with ordinality as new (event, ordinal)
        )
        select last_event from numbers
        """,
        key.tenant,
        key.conversation,
        [event.to_json() for event in events],
    )
    if last is None:
        raise ConversationNotFound(f"conversation {key.tenant}/{key.conversation} has no records")
    return int(last)


async def read_events(
    connection: Connection, key: ConversationKey, *, after: int = 0, limit: int = 1_000
) -> list[Event]:
    """At most `limit` events numbered above `after`, oldest first. Kinds that only a later version knows are
    left out, so that neighbouring versions can talk."""
    rows = await connection.fetch(
        """
        select seq, type, turn, data, created_at as at from holdfast.events
         where tenant = $1 and conversation = $2 and seq > $3 and type = any($5)
         order by seq limit $4
        """,
        key.tenant,
        key.conversation,
        after,
        limit,
        list(PAYLOADS),
    )
    return [Event.model_validate(dict(row)) for row in rows]
