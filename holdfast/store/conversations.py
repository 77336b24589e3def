"""Conversations: opened, forked, and what they wait for."""

from collections.abc import Callable

from holdfast.domain.activity_protocol import OpenReport
from holdfast.domain.conversation import ConversationPhase
from holdfast.domain.errors import ConversationExists, ConversationNotFound, TurnNotFound
from holdfast.domain.events import (
    ConversationForked,
    ConversationOpened,
    ConversationReopened,
    NewEvent,
)
from holdfast.domain.identity import ConversationKey, TurnKey
from holdfast.domain.records import ConversationRecord
from holdfast.store.action_history import end_open_actions
from holdfast.store.approvals import withdraw_orphans
from holdfast.store.events import append_events
from holdfast.store.pool import Connection
from holdfast.store.turns import end_lost_turns, find_turn


async def open_conversation(
    connection: Connection,
    key: ConversationKey,
    *,
    customer: str,
    message_id: str | None,
    language_of: Callable[[str], str],
    scope: str | None = None,
) -> OpenReport:
    """Create the conversation, or find it; `scope` is the deployment whose workers have it from now on.

    A closed one is reopened, unless the message that asks for it is known or somebody else's. Turns
    that an earlier run has left are ended, since nobody goes on with them; that of the message which
    opens the conversation is taken up again, where it has no answer yet. `language_of` is that of
    `end_turn`.
    """
    async with connection.transaction():
        row = await connection.fetchrow(
            """
            insert into holdfast.conversations (tenant, id, customer, scope)
            values ($1, $2, $3, $4)
            on conflict (tenant, id) do update set updated_at = now(), scope = excluded.scope
            returning *, (xmax = 0) as created
            """,
            key.tenant,
            key.conversation,
            customer,
            scope,
        )
        assert row is not None
        repeated = message_id and await find_turn(connection, key, message_id)
        was_closed = row["closed_at"] is not None
        answered = repeated and repeated.result is not None
        reopened = was_closed and not answered and row["customer"] == customer
        if reopened:
            await connection.execute(
                "update holdfast.conversations set status = 'open', closed_at = null "
                "where tenant = $1 and id = $2",
                key.tenant,
                key.conversation,
            )
        if not row["created"] and not was_closed:
            reason = "The conversation was restarted."
            await withdraw_orphans(connection, key, reason=reason)
            await end_open_actions(connection, key, turn=None, reason=reason)
        awaits_person = False
        if not row["created"]:
            asks_again = repeated and not answered and row["customer"] == customer
            awaits_person = await end_lost_turns(
                connection,
                key,
                besides=repeated.turn if repeated and asks_again else None,
                held=row["status"] == "awaiting_human",
                to_person=not was_closed,
                reason="its run is over",
                language_of=language_of,
            )
        if row["created"] or reopened:
            begun = ConversationReopened() if reopened else ConversationOpened()
            await append_events(connection, key, [NewEvent(data=begun)])
    return OpenReport(
        customer=row["customer"],
        turns=row["turns"],
        agent=row["agent"],
        priority=row["priority"],
        closed=was_closed and not reopened,
        held_by=None if was_closed or row["created"] else row["held_by"],
        awaits_person=awaits_person,
        repeated=repeated or None,
    )


async def lock_conversation(
    connection: Connection, key: ConversationKey
) -> ConversationRecord | None:
    """The conversation's row, locked until the transaction ends; None where there is none."""
    row = await connection.fetchrow(
        "select * from holdfast.conversations where tenant = $1 and id = $2 for update",
        key.tenant,
        key.conversation,
    )
    return ConversationRecord.model_validate(dict(row)) if row is not None else None


async def set_phase(
    connection: Connection,
    key: ConversationKey,
    phase: ConversationPhase,
    held_by: str | None = None,
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
        key.tenant,
        key.conversation,
        phase,
        held_by,
    )
    return bool(changed)


async def read_conversation(connection: Connection, key: ConversationKey) -> ConversationRecord:
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
        key.tenant,
        key.conversation,
    )
    if row is None:
        raise ConversationNotFound(
            f"tenant {key.tenant!r} has no conversation {key.conversation!r}"
        )
    return ConversationRecord.model_validate(dict(row))


async def fork_conversation(
    connection: Connection, key: TurnKey, target: str
) -> ConversationRecord:
    """Create `target` with the messages and turns of a conversation up to and including this turn.

    Only what was said is copied: actions, approvals and model calls stay where they are.

    Raises:
        ConversationNotFound, ConversationExists, TurnNotFound.
    """
    forked = ConversationKey(key.tenant, target)
    async with connection.transaction():
        original = await read_conversation(connection, key)
        ended = await connection.fetchval(
            "select ended_at from holdfast.turns "
            "where tenant = $1 and conversation = $2 and turn = $3",
            key.tenant,
            key.conversation,
            key.turn,
        )
        if ended is None:
            raise TurnNotFound(
                f"conversation {key.conversation!r} has no finished turn {key.turn}; it has "
                f"{original.turns} turns"
            )
        last = await connection.fetchval(
            """
            select coalesce(min(seq) filter (where turn > $3) - 1, max(seq))
              from holdfast.messages where tenant = $1 and conversation = $2
            """,
            key.tenant,
            key.conversation,
            key.turn,
        )
        created = await connection.fetchval(
            """
            insert into holdfast.conversations
                (tenant, id, customer, status, agent, priority, language, turns, last_message,
                 summary, summarized_through, forked_from, closed_at)
            select tenant, $4, customer, 'closed', turn.agent, priority, language, $3::int, $5::int,
                   case when summarized_through <= $5 then summary else '' end,
                   case when summarized_through <= $5 then summarized_through else 0 end,
                   $2 || '@' || ($3::int)::text, now()
              from holdfast.conversations
              join holdfast.turns as turn using (tenant)
             where tenant = $1 and id = $2 and turn.conversation = $2 and turn.turn = $3
            on conflict do nothing returning true
            """,
            key.tenant,
            key.conversation,
            key.turn,
            target,
            last,
        )
        if not created:
            raise ConversationExists(f"tenant {key.tenant!r} already has a conversation {target!r}")
        await connection.execute(
            """
            insert into holdfast.messages
                (tenant, conversation, seq, turn, role, author, text, citations, degraded,
                 created_at)
            select tenant, $3, seq, turn, role, author, text, citations, degraded, created_at
              from holdfast.messages
             where tenant = $1 and conversation = $2 and seq <= $4
            """,
            key.tenant,
            key.conversation,
            target,
            last,
        )
        await connection.execute(
            """
            insert into holdfast.turns
                (tenant, conversation, turn, message_id, message_digest, status, agent, result,
                 reply_seq, error, started_at, ended_at)
            select tenant, $4, turn, message_id, message_digest, status, agent, result, reply_seq,
                   error, started_at, coalesce(ended_at, now())
              from holdfast.turns
             where tenant = $1 and conversation = $2 and turn <= $3
            """,
            key.tenant,
            key.conversation,
            key.turn,
            target,
        )
        await append_events(
            connection,
            forked,
            [NewEvent(turn=key.turn, data=ConversationForked(from_=key.conversation))],
        )
    return await read_conversation(connection, forked)
