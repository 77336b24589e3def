"""Turns: found by their message id, and ended where no subgraph ended them."""

from collections.abc import Callable

from holdfast.domain.activity_protocol import RecordedTurn, TurnEnd
from holdfast.domain.conversation import CustomerMessage, TurnResult, TurnStatus, inline
from holdfast.domain.endings import ending
from holdfast.domain.errors import TurnNotFound
from holdfast.domain.events import NewEvent, TurnEnded
from holdfast.domain.identity import ConversationKey, TurnKey
from holdfast.domain.ids import text_digest
from holdfast.store.action_history import account_of, end_open_actions
from holdfast.store.approvals import withdraw_orphans
from holdfast.store.audit import append_audit
from holdfast.store.events import append_events
from holdfast.store.pool import Connection
from holdfast.store.results import recorded_turn, turn_result
from holdfast.store.steps import NewMessage
from holdfast.store.transcript import append_message


async def find_turn(
    connection: Connection, key: ConversationKey, message_id: str
) -> RecordedTurn | None:
    """The turn that a message id started, with the answer it got first."""
    row = await connection.fetchrow(
        "select turn, message_digest, result, reply_seq from holdfast.turns "
        "where tenant = $1 and conversation = $2 and message_id = $3",
        key.tenant,
        key.conversation,
        message_id,
    )
    return recorded_turn(row) if row is not None else None


def spoken(language: str, said: str, language_of: Callable[[str], str]) -> str:
    """The language that a customer is answered in: a conversation has "en" until a model tells."""
    return language if language != "en" else language_of(said)


async def end_turn(
    connection: Connection,
    key: TurnKey,
    *,
    status: TurnStatus,
    reason: str,
    message: CustomerMessage | None,
    language_of: Callable[[str], str],
    cause: str = "",
    held: bool = False,
    to_person: bool = True,
) -> TurnEnd:
    """End a turn that no subgraph ended; a turn that had ended before keeps its end, and one whose
    message had another turn before is not begun.

    The steps that were still running are closed, so that a late commit of theirs is refused, and so
    are the actions that were not executed. The customer is told what was done and what was not:
    `holdfast.domain.endings.ending` has the rules, and says what `held` and `to_person` mean.
    The event has the `reason`, the row the `cause`, where there is one.
    `language_of` guesses from a message's words, where no model has told the customer's language yet.
    """
    async with connection.transaction():
        if message is not None and await _begin_turn(connection, key, message):
            await append_message(
                connection,
                key,
                NewMessage(role="customer", author=message.customer, text=message.text),
                message_id=message.message_id,
            )
        row = await connection.fetchrow(
            "select status, result, reply_seq, ended_at from holdfast.turns "
            "where tenant = $1 and conversation = $2 and turn = $3 for update",
            key.tenant,
            key.conversation,
            key.turn,
        )
        if row is None and message is not None:
            known = await find_turn(connection, key, message.message_id)
            return TurnEnd(repeated=known)
        if row is None:
            raise TurnNotFound(
                f"conversation {key.tenant}/{key.conversation} has no turn {key.turn}"
            )
        if row["ended_at"] is not None:
            return TurnEnd(result=turn_result(row, status=row["status"]))
        await withdraw_orphans(connection, key, turn=key.turn, reason="The turn was ended.")
        await end_open_actions(connection, key, turn=key.turn, reason="The turn was ended.")
        account = await account_of(connection, key)
        words = await connection.fetchrow(
            """
            select conversation.language, message.text
              from holdfast.conversations as conversation
              left join lateral (select text from holdfast.messages
                                  where tenant = $1 and conversation = $2 and turn = $3
                                    and role = 'customer' order by seq desc limit 1)
                as message on true
             where conversation.tenant = $1 and conversation.id = $2
            """,
            key.tenant,
            key.conversation,
            key.turn,
        )
        assert words is not None  # a turn belongs to a conversation
        language = spoken(words["language"], words["text"] or "", language_of)
        ended_as, text = ending(account, status, language, held=held, to_person=to_person)
        seq = text and await append_message(
            connection, key, NewMessage(role="assistant", text=text)
        )
        result = TurnResult(
            turn=key.turn,
            status=ended_as,
            reply=inline(text),
            reply_seq=seq or None,
            actions=account.for_callers(),
        )
        await connection.execute(
            """
            update holdfast.turns
               set status = $4, error = $5, ended_at = now(),
                   result = coalesce(result, $6), reply_seq = coalesce(reply_seq, $7)
             where tenant = $1 and conversation = $2 and turn = $3
            """,
            key.tenant,
            key.conversation,
            key.turn,
            ended_as,
            cause or reason,
            result.model_dump(mode="json"),
            seq or None,
        )
        await connection.execute(
            """
            update holdfast.steps set run = 'ended', attempt = 0, outcome = '{"kind": "discarded"}'
             where tenant = $1 and conversation = $2 and turn = $3 and outcome is null
            """,
            key.tenant,
            key.conversation,
            key.turn,
        )
        await connection.execute(
            "delete from holdfast.graph_checkpoints "
            "where tenant = $1 and conversation = $2 and turn = $3",
            key.tenant,
            key.conversation,
            key.turn,
        )
        if ended_as == "awaiting_human":
            await connection.execute(
                "update holdfast.conversations set status = 'awaiting_human' "
                "where tenant = $1 and id = $2",
                key.tenant,
                key.conversation,
            )
        await append_events(
            connection,
            key,
            [NewEvent(turn=key.turn, data=TurnEnded(status=ended_as, reason=reason))],
        )
        if status == "cancelled":
            await append_audit(
                connection,
                key,
                kind="turn_cancelled",
                subject=f"{key.conversation}/{key.turn}",
                data={"turn": key.turn, "reason": reason},
            )
    return TurnEnd(result=result)


async def end_lost_turns(
    connection: Connection,
    key: ConversationKey,
    *,
    besides: int | None,
    held: bool,
    to_person: bool,
    reason: str,
    language_of: Callable[[str], str],
) -> bool:
    """End the turns, all but one, that no workflow goes on with any more; the customer is told what was
    done. `held` and `to_person` are those of `end_turn`. Returns whether a person has the conversation
    then, or is called."""
    lost = await connection.fetch(
        "select turn, status from holdfast.turns where tenant = $1 and conversation = $2 "
        "and ended_at is null and turn is distinct from $3 order by turn",
        key.tenant,
        key.conversation,
        besides,
    )
    for row in lost:
        unanswered: TurnStatus = "awaiting_human" if held else "failed"
        ended = await end_turn(
            connection,
            key.turn_key(row["turn"]),
            status="cancelled" if row["status"] == "awaiting_approval" else unanswered,
            reason=reason,
            message=None,
            language_of=language_of,
            held=held,
            to_person=to_person and not held,
        )
        held = held or (ended.result is not None and ended.result.status == "awaiting_human")
    return held


async def _begin_turn(connection: Connection, key: TurnKey, message: CustomerMessage) -> bool:
    inserted = await connection.fetchval(
        """
        insert into holdfast.turns (tenant, conversation, turn, message_id, message_digest)
        values ($1, $2, $3, $4, $5) on conflict do nothing returning true
        """,
        key.tenant,
        key.conversation,
        key.turn,
        message.message_id,
        text_digest(message.text),
    )
    if inserted:
        await connection.execute(
            "update holdfast.conversations set turns = greatest(turns, $3) "
            "where tenant = $1 and id = $2",
            key.tenant,
            key.conversation,
            key.turn,
        )
    return bool(inserted)
