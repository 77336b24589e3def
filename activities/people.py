"""The activities that record what people do in conversations: only with a statement of theirs, and only
what the records allow."""

from temporalio import activity

from holdfast.activities.attempts import heartbeating, recording
from holdfast.activities.refusals import refused, this_activity
from holdfast.activities.resources import Resources
from holdfast.domain import wire
from holdfast.domain.activity_protocol import HumanTurnRequest, TakeoverRequest
from holdfast.domain.conversation import ConversationPhase
from holdfast.domain.errors import (
    ConversationClosed,
    InvalidStatement,
    MessageConflict,
    NotHeld,
    Refused,
)
from holdfast.domain.events import HandedBack, NewEvent, TakenOver
from holdfast.domain.ids import text_digest
from holdfast.domain.people import PersonAct, same_person
from holdfast.domain.records import ConversationRecord, MessageRecord
from holdfast.store import conversations, events, transcript
from holdfast.store.audit import append_audit
from holdfast.store.clock import database_now
from holdfast.store.pool import Connection
from holdfast.store.statements import spend
from holdfast.store.steps import NewMessage


class PeopleActivities:
    """Records takeovers, replies of people, and handing back."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @activity.defn(name=wire.RECORD_TAKEOVER)
    @heartbeating
    async def record_takeover(self, request: TakeoverRequest) -> None:
        """Record that a person holds the conversation, or that the agents have it again.

        Raises:
            ApplicationError: refused, as `InvalidStatement`, `NotHeld` or `ConversationClosed`.
        """
        act = request.act
        if act is None or not _is_asked_for(request, act):
            raise refused(InvalidStatement("nobody has asked for this"))
        refusal: Refused | None = await self._objection(request.tenant, act)
        async with recording(self._resources.pool, request.key) as connection:
            record = await conversations.lock_conversation(connection, request.key)
            if _is_so(record, request, act):
                return
            try:
                await _spend(connection, request.tenant, act, refusal)
                _check_takeover(record, request, act)
            except Refused as error:
                refusal = error
            else:
                await _record_takeover(connection, request, act)
        if refusal is not None:
            raise refused(refusal)

    @activity.defn(name=wire.RECORD_HUMAN_TURN)
    @heartbeating
    async def record_human_turn(self, request: HumanTurnRequest) -> int:
        """Append the message of the person who holds the conversation, once for each id; its number.

        Raises:
            ApplicationError: refused, as `InvalidStatement`, `MessageConflict` or `NotHeld`.
        """
        act = PersonAct(
            id=request.id,
            kind="reply",
            reviewer=request.reviewer,
            conversation=request.conversation,
            text=request.text,
            statement=request.statement,
        )
        refusal: Refused | None = await self._objection(request.tenant, act)
        async with recording(self._resources.pool, request.key) as connection:
            record = await conversations.lock_conversation(connection, request.key)
            known = await transcript.find_message(connection, request.key, request.id)
            if known is not None and _says_the_same(known, request):
                return known.seq
            try:
                await _spend(connection, request.tenant, act, refusal)
                if known is not None:
                    raise MessageConflict(
                        f"reply id {request.id!r} was used before for another message; this one is "
                        "not sent"
                    )
                _check_holder(record, act)
            except Refused as error:
                refusal = error
            else:
                return await _record_reply(connection, request)
        assert refusal is not None
        raise refused(refusal)

    async def _objection(self, tenant: str, act: PersonAct) -> Refused | None:
        """What is wrong with the statement of an act, by the database's clock. Looked at before the
        transaction, since keys may have to be fetched."""
        async with self._resources.pool.acquire() as connection:
            at = await database_now(connection)
        try:
            await self._resources.verifier.verify_act(act, tenant=tenant, at=at)
        except InvalidStatement as error:
            return error
        return None


async def _spend(
    connection: Connection, tenant: str, act: PersonAct, objection: Refused | None
) -> None:
    """Spend the statement of an act: a genuine one counts once, also where the act is refused then.

    Raises:
        InvalidStatement: it is not genuine, or was spent before.
    """
    if objection is not None:
        raise objection
    if act.statement and not await spend(connection, tenant, act.statement, by=this_activity()):
        raise InvalidStatement("the statement was handed in before; have it signed again")


def _is_asked_for(request: TakeoverRequest, act: PersonAct) -> bool:
    """Whether the person asks for what is to be recorded, in this conversation."""
    if act.conversation != request.conversation or act.text != request.note:
        return False
    if request.reviewer is None:
        return act.kind == "hand_back"
    return act.kind == "take_over" and act.reviewer == request.reviewer


def _is_so(record: ConversationRecord | None, request: TakeoverRequest, act: PersonAct) -> bool:
    """Whether the records say already what is to be recorded, so that nothing is changed."""
    if record is None or record.closed_at is not None:
        return False
    if request.reviewer is not None:
        return same_person(record.held_by, act.reviewer)
    return record.held_by is None and record.status != "awaiting_human"


def _check_takeover(
    record: ConversationRecord | None, request: TakeoverRequest, act: PersonAct
) -> None:
    if request.reviewer is None:
        _check_holder(record, act)
        return
    if record is None or record.closed_at is not None:
        raise ConversationClosed("the conversation is closed; a new message reopens it")
    if record.held_by is not None:
        raise NotHeld(f"{record.held_by} holds the conversation")


def _check_holder(record: ConversationRecord | None, act: PersonAct) -> None:
    held_by = record.held_by if record is not None and record.closed_at is None else None
    if not same_person(held_by, act.reviewer):
        raise NotHeld(f"{held_by or 'nobody'} holds the conversation; take it over first")


async def _record_takeover(
    connection: Connection, request: TakeoverRequest, act: PersonAct
) -> None:
    phase: ConversationPhase = "open" if request.reviewer is None else "awaiting_human"
    await conversations.set_phase(connection, request.key, phase, request.reviewer)
    if request.note:
        await transcript.append_message(
            connection,
            request.key,
            NewMessage(role="note", text=request.note),
        )
    happened = (
        TakenOver(reviewer=request.reviewer)
        if request.reviewer is not None
        else HandedBack(note=request.note or None)
    )
    await events.append_events(connection, request.key, [NewEvent(data=happened)])
    await append_audit(
        connection,
        request.key,
        kind=f"conversation_{happened.type}",
        subject=request.conversation,
        data={"reviewer": act.reviewer, "note": request.note},
    )


def _says_the_same(known: MessageRecord, request: HumanTurnRequest) -> bool:
    by_them = known.role == "human" and same_person(known.author, request.reviewer)
    return by_them and known.text == request.text


async def _record_reply(connection: Connection, request: HumanTurnRequest) -> int:
    seq = await transcript.append_message(
        connection,
        request.key,
        NewMessage(role="human", author=request.reviewer, text=request.text),
        request_id=request.id,
    )
    await append_audit(
        connection,
        request.key,
        kind="human_reply",
        subject=request.conversation,
        data={
            "reviewer": request.reviewer,
            "message": seq,
            "digest": text_digest(request.text),
            "id": request.id,
        },
    )
    return seq
