"""What reviewers do: look at approvals, decide on them, take conversations over."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from uuid import uuid4

from pydantic import JsonValue

from holdfast.authority.keys import SigningKey
from holdfast.authority.statements import sign_act, sign_decision
from holdfast.client.checking import checking, require_id
from holdfast.client.deciding import decided_before, decision_on, known_soon
from holdfast.client.records import Records
from holdfast.client.requests import REQUEST_SECONDS, Requests
from holdfast.domain import wire
from holdfast.domain.approval import ApprovalState, ApprovalStatus, DecisionKind
from holdfast.domain.conversation import HandBack, HumanReply, TakeOver
from holdfast.domain.ids import text_digest
from holdfast.domain.people import ActKind, PersonAct
from holdfast.store import approvals
from holdfast.store.approvals import ApprovalFilter, ApprovalRecord
from holdfast.store.audit import append_sighting
from holdfast.store.conversations import ConversationRecord
from holdfast.store.transcript import MessageRecord


class Reviewing:
    """The part of `HoldfastClient` that is for reviewers."""

    tenant: str
    _records: Records
    _requests: Requests
    _signing_key: SigningKey | None

    async def approvals(
        self,
        *,
        state: ApprovalState | None = "pending",
        conversation: str | None = None,
        roles: Sequence[str] = (),
        mine: str | None = None,
        agent: str | None = None,
        at_least: Decimal | None = None,
        overdue: bool = False,
    ) -> list[ApprovalRecord]:
        """Approvals, those whose next deadline is nearest first, a thousand at most.

        In `state` (None: in any); that wait for one of `roles`; that the reviewer `mine` has claimed
        or was given; of an agent; about that much money; `overdue`: of which people were reminded,
        or which were escalated.

        Raises:
            InvalidRequest: there is no such state, or nobody can have this id.
        """
        for name, what in ((conversation, "conversation"), (mine, "reviewer"), (agent, "agent")):
            if name is not None:
                require_id(name, what)
        with checking():
            wanted = ApprovalFilter(
                state=state,
                conversation=conversation,
                roles=tuple(roles),
                reviewer=mine,
                agent=agent,
                at_least=at_least,
                overdue=overdue,
            )
        async with self._records.connection() as connection:
            return await approvals.list_approvals(connection, self.tenant, wanted)

    async def approval(self, approval: str) -> ApprovalRecord:
        """One approval, with what is asked for and what was decided.

        Raises:
            ApprovalNotFound, InvalidRequest.
        """
        require_id(approval, "approval")
        async with self._records.connection() as connection:
            return await approvals.read_approval(connection, self.tenant, approval)

    async def look(self, approval: str, *, reviewer: str) -> ApprovalRecord:
        """One approval, as `approval` gives it, and an entry in the audit log that this reviewer has
        seen it as it is; looking again adds none.

        Raises:
            ApprovalNotFound, InvalidRequest.
        """
        require_id(approval, "approval")
        require_id(reviewer, "reviewer")
        async with self._records.connection() as connection, connection.transaction():
            record = await approvals.read_approval(connection, self.tenant, approval)
            await append_sighting(
                connection,
                tenant=self.tenant,
                conversation=record.conversation,
                approval=record.id,
                reviewer=reviewer,
                digest=record.args_digest,
            )
        return record

    async def decide(
        self,
        approval: str,
        kind: DecisionKind,
        *,
        reviewer: str,
        team: str | None = None,
        roles: Sequence[str] = (),
        text: str = "",
        arguments: Sequence[dict[str, JsonValue]] = (),
        to: str | None = None,
        digest: str | None = None,
        decision_id: str | None = None,
        statement: str | None = None,
        timeout: float | None = REQUEST_SECONDS,
    ) -> ApprovalStatus:
        """Accept, edit, reject or respond to what an agent has proposed; or claim it for a while,
        release it, delegate it, comment on it.

        `text` is the reason of a rejection, the response or the comment; `arguments` are an edit's,
        for each action in order; `to` is whom a delegation is for. `digest` is the `args_digest` that
        the reviewer saw, without which the decision is about what waits now. The same `decision_id`
        decides once. `statement` is what the reviewer's identity service has signed (see
        `holdfast.authority.statements`); without one, this client signs with its own key, where its
        settings name one.

        Raises:
            ApprovalNotFound, AlreadyDecided, ApprovalExpired, NotAllowed, Claimed, DigestMismatch,
            Superseded, InvalidEdit, InvalidStatement, InvalidRequest, ConversationClosed.
        """
        record = await self.approval(approval)
        decision = decision_on(
            record,
            kind,
            reviewer=reviewer,
            team=team,
            roles=roles,
            text=text,
            arguments=arguments,
            to=to,
            digest=digest,
            decision_id=decision_id,
            statement=statement,
        )
        if self._signing_key is not None and not decision.statement:
            decision = sign_decision(decision, tenant=self.tenant, key=self._signing_key)
        if (status := decided_before(record, decision)) is not None:
            return status
        return await known_soon(
            partial(
                self._requests.update,
                record.conversation,
                wire.DECIDE,
                decision,
                ApprovalStatus,
                # A refused attempt under the same decision id must not answer for a genuine one.
                id=f"{decision.id}:{text_digest(decision.statement)}",
                timeout=timeout,
            )
        )

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

        `statement` is what the person's identity service has signed, under `request_id` (see
        `holdfast.authority.statements`); without one, this client signs with its own key, where its
        settings name one. The same holds for what people do below.

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

    async def reply_as_human(
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
        signed = sign_act(act, tenant=self.tenant, key=self._signing_key)
        return act.model_copy(update={"statement": signed})


def _update_id(act: PersonAct) -> str:
    """Under which a request is answered once; a refused attempt must not answer for a genuine one."""
    return f"{act.id}:{text_digest(act.statement)}"
