"""Conversations, their turns, messages and events: what is recorded outside of a subgraph's step."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from holdfast.domain.conversation import CustomerMessage, TurnResult
from holdfast.domain.errors import ConversationExists, ConversationNotFound, TurnNotFound
from holdfast.domain.events import Event, NewEvent
from holdfast.domain.ids import text_digest
from holdfast.domain.model import Frozen
from holdfast.domain.steps import Opened, RecordedTurn
from holdfast.store.pool import Connection
from holdfast.store.steps import NewMessage


class ConversationRecord(Frozen):
    """A conversation's row."""

    tenant: str
    id: str
    customer: str
    status: str
    agent: str | None
    priority: str
    language: str
    held_by: str | None
    turns: int
    last_event: int
    forked_from: str | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None


class MessageRecord(Frozen):
    """A message as people read it."""

    seq: int
    turn: int
    role: str
    author: str | None
    text: str
    citations: tuple[dict[str, Any], ...]
    degraded: bool
    at: datetime


async def open_conversation(
    connection: Connection, *, tenant: str, conversation: str, customer: str, message_id: str | None
) -> Opened:
    """Create the conversation, or find it.

    A closed one is reopened, unless the message that asks for it is known or somebody else's.
    """
    async with connection.transaction():
        row = await connection.fetchrow(
            """
            insert into holdfast.conversations (tenant, id, customer) values ($1, $2, $3)
            on conflict (tenant, id) do update set updated_at = now()
            returning *, (xmax = 0) as created
            """,
            tenant,
            conversation,
            customer,
        )
        assert row is not None
        repeated = message_id and await find_turn(connection, tenant, conversation, message_id)
        was_closed = row["closed_at"] is not None
        answered = repeated and repeated.result is not None
        reopened = was_closed and not answered and row["customer"] == customer
        if reopened:
            await connection.execute(
                "update holdfast.conversations set status = 'open', closed_at = null "
                "where tenant = $1 and id = $2",
                tenant,
                conversation,
            )
        if row["created"] or reopened:
            kind = "conversation_reopened" if reopened else "conversation_opened"
            await append_events(
                connection, tenant, conversation, [NewEvent.model_validate({"type": kind})]
            )
    return Opened(
        customer=row["customer"],
        turns=row["turns"],
        agent=row["agent"],
        priority=row["priority"],
        closed=was_closed and not reopened,
        repeated=repeated or None,
    )


async def find_turn(
    connection: Connection, tenant: str, conversation: str, message_id: str
) -> RecordedTurn | None:
    """The turn that a message id started, with the answer it got first."""
    row = await connection.fetchrow(
        "select turn, message_digest, result, reply_seq from holdfast.turns "
        "where tenant = $1 and conversation = $2 and message_id = $3",
        tenant,
        conversation,
        message_id,
    )
    if row is None:
        return None
    result = row["result"] and TurnResult.model_validate(
        {**row["result"], "reply_seq": row["reply_seq"]}
    )
    return RecordedTurn(turn=row["turn"], digest=row["message_digest"], result=result)


async def append_events(
    connection: Connection, tenant: str, conversation: str, events: Sequence[NewEvent]
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
        tenant,
        conversation,
        [event.model_dump(mode="json") for event in events],
    )
    if last is None:
        raise ConversationNotFound(f"conversation {tenant}/{conversation} has no records")
    return int(last)


async def append_message(
    connection: Connection,
    tenant: str,
    conversation: str,
    turn: int,
    message: NewMessage,
    *,
    request_id: str | None = None,
) -> int:
    """Number and record a message and the event that announces it; the message's number.

    A message that was recorded under the same `request_id` before keeps its number.
    """
    if request_id is not None:
        await connection.execute(
            "select from holdfast.conversations where tenant = $1 and id = $2 for update",
            tenant,
            conversation,
        )
        known = await connection.fetchval(
            "select seq from holdfast.messages "
            "where tenant = $1 and conversation = $2 and request_id = $3",
            tenant,
            conversation,
            request_id,
        )
        if known is not None:
            return int(known)
    kind = "message_received" if message.role == "customer" else "message_sent"
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
                   jsonb_build_object('message', last_message, 'role', $4::text)
              from numbers
        )
        select last_message from numbers
        """,
        tenant,
        conversation,
        turn,
        message.role,
        message.author,
        message.text,
        message.citations,
        message.degraded,
        kind,
        request_id,
    )
    return int(seq)


async def end_turn(
    connection: Connection,
    *,
    tenant: str,
    conversation: str,
    turn: int,
    status: str,
    reason: str,
    text: str | None,
    message: CustomerMessage | None,
) -> TurnResult:
    """End a turn that no subgraph ended; a turn that had ended before keeps its end.

    The steps that were still running are closed, so that a late commit of theirs is refused.
    """
    async with connection.transaction():
        if message is not None and await _begin_turn(
            connection, tenant, conversation, turn, message
        ):
            await append_message(
                connection,
                tenant,
                conversation,
                turn,
                NewMessage(role="customer", author=message.customer, text=message.text),
            )
        row = await connection.fetchrow(
            "select status, result, reply_seq, ended_at from holdfast.turns "
            "where tenant = $1 and conversation = $2 and turn = $3 for update",
            tenant,
            conversation,
            turn,
        )
        if row is None:
            raise TurnNotFound(f"conversation {tenant}/{conversation} has no turn {turn}")
        if row["ended_at"] is not None:
            return TurnResult.model_validate({**row["result"], "reply_seq": row["reply_seq"]})
        seq = text and await append_message(
            connection, tenant, conversation, turn, NewMessage(role="assistant", text=text)
        )
        result = TurnResult.model_validate(
            {"turn": turn, "status": status, "reply": text, "reply_seq": seq or None}
        )
        await connection.execute(
            """
            update holdfast.turns
               set status = $4, error = $5, ended_at = now(),
                   result = coalesce(result, $6), reply_seq = coalesce(reply_seq, $7)
             where tenant = $1 and conversation = $2 and turn = $3
            """,
            tenant,
            conversation,
            turn,
            status,
            reason,
            result.model_dump(mode="json"),
            seq or None,
        )
        await connection.execute(
            """
            update holdfast.steps set run = 'ended', attempt = 0, outcome = '{"kind": "discarded"}'
             where tenant = $1 and conversation = $2 and turn = $3 and outcome is null
            """,
            tenant,
            conversation,
            turn,
        )
        await connection.execute(
            "delete from holdfast.graph_checkpoints "
            "where tenant = $1 and conversation = $2 and turn = $3",
            tenant,
            conversation,
            turn,
        )
        if status == "awaiting_human":
            await connection.execute(
                "update holdfast.conversations set status = 'awaiting_human' "
                "where tenant = $1 and id = $2",
                tenant,
                conversation,
            )
        await append_events(
            connection,
            tenant,
            conversation,
            [NewEvent(type="turn_ended", turn=turn, data={"status": status, "reason": reason})],
        )
    return result


async def _begin_turn(
    connection: Connection, tenant: str, conversation: str, turn: int, message: CustomerMessage
) -> bool:
    inserted = await connection.fetchval(
        """
        insert into holdfast.turns (tenant, conversation, turn, message_id, message_digest)
        values ($1, $2, $3, $4, $5) on conflict do nothing returning true
        """,
        tenant,
        conversation,
        turn,
        message.message_id,
        text_digest(message.text),
    )
    if inserted:
        await connection.execute(
            "update holdfast.conversations set turns = greatest(turns, $3) "
            "where tenant = $1 and id = $2",
            tenant,
            conversation,
            turn,
        )
    return bool(inserted)


async def set_phase(
    connection: Connection, tenant: str, conversation: str, phase: str, held_by: str | None = None
) -> bool:
    """Set what the conversation waits for, and who holds it; False when that is so already."""
    changed = await connection.fetchval(
        """
        update holdfast.conversations
           set status = $3, held_by = $4, updated_at = now(),
               closed_at = case when $3 = 'closed' then now() end
         where tenant = $1 and id = $2
           and (status, held_by) is distinct from ($3::text, $4::text)
        returning true
        """,
        tenant,
        conversation,
        phase,
        held_by,
    )
    return bool(changed)


async def read_conversation(
    connection: Connection, tenant: str, conversation: str
) -> ConversationRecord:
    """The conversation's row.

    Raises:
        ConversationNotFound: there is none.
    """
    row = await connection.fetchrow(
        """
        select *, case when status = 'open' and exists (
                           select from holdfast.approvals as approval
                            where approval.tenant = $1 and approval.conversation = $2
                              and approval.state = 'pending')
                       then 'awaiting_approval' else status end as status
          from holdfast.conversations where tenant = $1 and id = $2
        """,
        tenant,
        conversation,
    )
    if row is None:
        raise ConversationNotFound(f"tenant {tenant!r} has no conversation {conversation!r}")
    return ConversationRecord.model_validate(dict(row))


async def read_messages(
    connection: Connection, tenant: str, conversation: str, *, after: int = 0
) -> list[MessageRecord]:
    """The messages numbered above `after`, oldest first."""
    rows = await connection.fetch(
        """
        select seq, turn, role, author, text, citations, degraded, created_at as at
          from holdfast.messages
         where tenant = $1 and conversation = $2 and seq > $3 order by seq
        """,
        tenant,
        conversation,
        after,
    )
    return [MessageRecord.model_validate(dict(row)) for row in rows]


async def read_message(
    connection: Connection, tenant: str, conversation: str, seq: int
) -> MessageRecord | None:
    """One message by its number."""
    found = await connection.fetchrow(
        """
        select seq, turn, role, author, text, citations, degraded, created_at as at
          from holdfast.messages where tenant = $1 and conversation = $2 and seq = $3
        """,
        tenant,
        conversation,
        seq,
    )
    return MessageRecord.model_validate(dict(found)) if found else None


async def read_events(
    connection: Connection, tenant: str, conversation: str, *, after: int = 0, limit: int = 1_000
) -> list[Event]:
    """At most `limit` events numbered above `after`, oldest first."""
    rows = await connection.fetch(
        """
        select seq, type, turn, data, created_at as at from holdfast.events
         where tenant = $1 and conversation = $2 and seq > $3 order by seq limit $4
        """,
        tenant,
        conversation,
        after,
        limit,
    )
    return [Event.model_validate(dict(row)) for row in rows]


async def fork_conversation(
    connection: Connection, *, tenant: str, source: str, turn: int, target: str
) -> ConversationRecord:
    """Create `target` with the messages and turns of `source` up to and including `turn`.

    Only what was said is copied: actions, approvals and model calls stay with `source`.

    Raises:
        ConversationNotFound, ConversationExists, TurnNotFound.
    """
    async with connection.transaction():
        original = await read_conversation(connection, tenant, source)
        ended = await connection.fetchval(
            "select ended_at from holdfast.turns "
            "where tenant = $1 and conversation = $2 and turn = $3",
            tenant,
            source,
            turn,
        )
        if ended is None:
            raise TurnNotFound(
                f"conversation {source!r} has no finished turn {turn}; it has {original.turns} turns"
            )
        created = await connection.fetchval(
            """
            insert into holdfast.conversations
                (tenant, id, customer, status, agent, priority, language, turns, last_message,
                 last_event, forked_from, closed_at)
            select tenant, $4, customer, 'closed', turn.agent, priority, language, $3,
                   (select count(*) from holdfast.messages
                     where tenant = $1 and conversation = $2 and messages.turn <= $3),
                   0, $2 || '@' || $3, now()
              from holdfast.conversations
              join holdfast.turns as turn using (tenant)
             where tenant = $1 and id = $2 and turn.conversation = $2 and turn.turn = $3
            on conflict do nothing returning true
            """,
            tenant,
            source,
            turn,
            target,
        )
        if not created:
            raise ConversationExists(f"tenant {tenant!r} already has a conversation {target!r}")
        await connection.execute(
            """
            insert into holdfast.messages
                (tenant, conversation, seq, turn, role, author, text, citations, degraded,
                 created_at)
            select tenant, $4, row_number() over (order by seq), turn, role, author, text,
                   citations, degraded, created_at
              from holdfast.messages
             where tenant = $1 and conversation = $2 and turn <= $3
            """,
            tenant,
            source,
            turn,
            target,
        )
        await connection.execute(
            """
            insert into holdfast.turns
                (tenant, conversation, turn, message_id, message_digest, status, agent, result,
                 error, started_at, ended_at)
            select tenant, $4, turn, message_id, message_digest, status, agent,
                   result || '{"reply_seq": null}', error, started_at, coalesce(ended_at, now())
              from holdfast.turns
             where tenant = $1 and conversation = $2 and turn <= $3
            """,
            tenant,
            source,
            turn,
            target,
        )
        await append_events(
            connection,
            tenant,
            target,
            [NewEvent(type="conversation_forked", turn=turn, data={"from": source})],
        )
    return await read_conversation(connection, tenant, target)
