"""What people do in a conversation: take it over, reply in it, hand it back."""

from typing import TYPE_CHECKING
from uuid import uuid4

from holdfast.client.records import Records
from holdfast.client.requests import REQUEST_SECONDS, Requests
from holdfast.client.validation import checking, require_id
from holdfast.domain import wire
from holdfast.domain.conversation import HandBack, HumanReply, TakeOver
from holdfast.domain.ids import text_digest
from holdfast.domain.people import ActKind, PersonAct
from holdfast.domain.records import ConversationRecord, MessageRecord

if TYPE_CHECKING:
    from holdfast.security.signing_key import SigningKey


class People:
    """People in the conversations of one tenant: `HoldfastClient.people`.

    `statement` is what a person's identity service has signed, under the id of the request (see
    `holdfast.security.statements`); without one, this client signs with its own key, where its settings
    name one.
    """

    def __init__(
        self, records: Records, requests: Requests, signing_key: "SigningKey | None"
    ) -> None:
        self._records = records
        self._requests = requests
        self._signing_key = signing_key

    async def take_over(
        self,
        conversation: str,
        *,
        reviewer: str,
        request_id: str | None = None,
        statement: str | None = None,
        timeout: float | None = REQUEST_SECONDS,
    ) -> ConversationRecord:
        """Give the conversation to a person; agents keep quiet until it is handed back.

        Raises:
            ConversationNotFound, ConversationClosed, InvalidStatement, NotHeld: somebody else holds it.
        """
        with checking():
            request = TakeOver(reviewer=reviewer, id=request_id or uuid4().hex)
        act = self._act(conversation, "take_over", request, statement)
        request = request.model_copy(update={"statement": act.statement})
        await self._requests.update(
            conversation, wire.TAKE_OVER, request, type(None), id=_update_id(act), timeout=timeout
        )
        return await self._records.conversation(conversation)

    async def reply(
        self,
        conversation: str,
        text: str,
        *,
        reviewer: str,
        reply_id: str | None = None,
        statement: str | None = None,
        timeout: float | None = REQUEST_SECONDS,
    ) -> MessageRecord:
        """Send the message of the person who holds the conversation, once for each `reply_id`.

        Raises:
            MessageConflict: the `reply_id` was used before for another message.
            ConversationNotFound, ConversationClosed, NotHeld, InvalidStatement, InvalidRequest.
        """
        with checking():
            reply = HumanReply(id=reply_id or uuid4().hex, reviewer=reviewer, text=text)
        act = self._act(conversation, "reply", reply, statement, text)
        reply = reply.model_copy(update={"statement": act.statement})
        seq = await self._requests.update(
            conversation, wire.REPLY_AS_HUMAN, reply, int, id=_update_id(act), timeout=timeout
        )
        return await self._records.message(conversation, seq)

    async def hand_back(
        self,
        conversation: str,
        *,
        reviewer: str,
        note: str = "",
        request_id: str | None = None,
        statement: str | None = None,
        timeout: float | None = REQUEST_SECONDS,
    ) -> ConversationRecord:
        """Give the conversation back to the agents, who get to read `note`.

        Raises:
            ConversationNotFound, ConversationClosed, NotHeld, InvalidStatement, InvalidRequest.
        """
        with checking():
            request = HandBack(reviewer=reviewer, note=note, id=request_id or uuid4().hex)
        act = self._act(conversation, "hand_back", request, statement, note)
        request = request.model_copy(update={"statement": act.statement})
        await self._requests.update(
            conversation, wire.HAND_BACK, request, type(None), id=_update_id(act), timeout=timeout
        )
        return await self._records.conversation(conversation)

    def _act(
        self,
        conversation: str,
        kind: ActKind,
        request: TakeOver | HumanReply | HandBack,
        statement: str | None,
        text: str = "",
    ) -> PersonAct:
        require_id(conversation, "conversation")
        act = PersonAct(
            id=request.id or "",
            kind=kind,
            reviewer=request.reviewer,
            conversation=conversation,
            text=text,
            statement=statement or "",
        )
        if self._signing_key is None or act.statement:
            return act
        from holdfast.security.statements import sign_act

        signed = sign_act(act, tenant=self._records.tenant, key=self._signing_key)
        return act.model_copy(update={"statement": signed})


def _update_id(act: PersonAct) -> str:
    """Temporal answers an id once, by itself. What the act says is part of the id, so that a refused attempt
    doesn't answer for a genuine one."""
    return f"{act.id}:{text_digest(act.model_dump_json())}"
