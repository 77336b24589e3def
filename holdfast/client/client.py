"""The typed async client: conversations and events; approvals, people, deliveries, the audit log."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from temporalio.client import Client
from temporalio.service import RetryConfig

from holdfast.client.admission import Admission
from holdfast.client.approvals import Approvals
from holdfast.client.audit import AuditLog
from holdfast.client.deliveries import Deliveries
from holdfast.client.dispatch import deliver
from holdfast.client.messages import MessageSender
from holdfast.client.operations import Operations
from holdfast.client.people import People
from holdfast.client.records import Records
from holdfast.client.requests import REQUEST_SECONDS, Requests
from holdfast.client.validation import checking, require_id, require_number, require_text
from holdfast.client.views import ConversationView, ListedConversation, SentMessage
from holdfast.client.visibility import list_conversations
from holdfast.domain import wire
from holdfast.domain.conversation import (
    CancelTurn,
    ConversationPhase,
    ConversationStart,
    CustomerMessage,
    OnBusy,
)
from holdfast.domain.errors import ConversationClosed, MessageTooLong, Unavailable
from holdfast.domain.events import Event
from holdfast.domain.limits import Limits
from holdfast.domain.operations import ForkRequest, ReadingRequest
from holdfast.domain.records import ConversationRecord, MessageRecord
from holdfast.store.admissions import AdmittedMessage
from holdfast.store.pool import Pool, open_pool

if TYPE_CHECKING:
    from holdfast.runtime.settings import Settings
    from holdfast.security.signing_key import SigningKey

_ANSWER_SECONDS = 300.0

_RETRY = RetryConfig(max_retries=1)
"""`deliver` repeats requests. When the SDK did so as well, an overloaded server got ten times as many."""


class HoldfastClient:
    """The conversations of one tenant. Open one with `connect`; tasks may share it.

    Its methods are for services, `approvals` and `people` for reviewers, the rest for operators.

    Every method raises `Unavailable` when Temporal, Postgres or the workers do not answer, and a
    subclass of `Refused` when the request is refused. `timeout` is in seconds; None waits forever. A
    request that timed out may still be carried out.
    """

    def __init__(
        self,
        temporal: Client,
        pool: Pool,
        *,
        tenant: str,
        task_queue: str = "holdfast",
        limits: Limits | None = None,
        signing_key: "SigningKey | None" = None,
        admission: Admission | None = None,
    ) -> None:
        require_id(tenant, "tenant")
        self.tenant = tenant
        self._temporal = temporal
        self._pool = pool
        self._task_queue = task_queue
        self._limits = limits or Limits()
        self._signing_key = signing_key
        self._admission = admission or Admission(pool, f"{temporal.namespace}/{task_queue}")
        self._records = Records(pool, tenant)
        self._requests = Requests(temporal, self._records)
        self._operations = Operations(temporal, task_queue)
        self.approvals = Approvals(self._records, self._requests, self._operations, signing_key)
        self.people = People(self._records, self._requests, signing_key)
        self.deliveries = Deliveries(self._records, self._operations)
        self.audit = AuditLog(self._records, self._operations)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, settings: "Settings | None" = None, *, tenant: str
    ) -> AsyncIterator[Self]:
        """A client for as long as the context lasts; without `settings`, those of the environment.

        Raises:
            Unavailable: Temporal or Postgres does not answer within some 5 seconds.
            ConfigurationError: the settings cannot be used.
        """
        from holdfast.runtime.connection import connect_temporal, require_database_url, resolve
        from holdfast.runtime.settings import read_settings

        require_id(tenant, "tenant")
        settings = await resolve(settings or read_settings())
        key = None
        if settings.signing_key:
            from holdfast.security.signing_key import SigningKey  # brings cryptography

            key = SigningKey.read(settings.signing_key)
        temporal = await connect_temporal(settings, retry=_RETRY)
        async with await open_pool(
            require_database_url(settings),
            statement_seconds=settings.statement_seconds,
            idle_in_transaction_seconds=settings.idle_in_transaction_seconds,
        ) as pool:
            client = cls(
                temporal,
                pool,
                tenant=tenant,
                task_queue=settings.task_queue,
                limits=settings.limits,
                signing_key=key,
            )
            try:
                yield client
            finally:
                await client._admission.aclose()

    def for_tenant(self, tenant: str) -> "HoldfastClient":
        """A client for another tenant, over the same connections."""
        return HoldfastClient(
            self._temporal,
            self._pool,
            tenant=tenant,
            task_queue=self._task_queue,
            limits=self._limits,
            signing_key=self._signing_key,
            admission=self._admission,
        )

    async def send(
        self,
        conversation: str,
        text: str,
        *,
        customer: str,
        message_id: str | None = None,
        on_busy: OnBusy = "queue",
        wait: bool = True,
        timeout: float | None = _ANSWER_SECONDS,
    ) -> SentMessage:
        """Send a customer's message; starts or reopens the conversation where needed.

        The same `message_id` (a new one unless given) gets the same answer, however often it is
        sent. Without `wait`, returns once the message is accepted.

        Raises:
            MessageTooLong, MessageConflict, WrongCustomer, InvalidRequest.
            ConversationBusy, Overloaded: nothing was taken; send the message again later.
        """
        with checking():
            message = CustomerMessage(
                message_id=message_id or uuid4().hex, customer=customer, text=text, on_busy=on_busy
            )
            start = ConversationStart(
                tenant=self.tenant,
                conversation=conversation,
                customer=customer,
                limits=self._limits,
                task_queue=self._task_queue,
                message_id=message.message_id,
            )
        # The workflow checks this too, but a refused message must not start one.
        if len(text) > self._limits.message_characters:
            raise MessageTooLong(
                f"the message has {len(text)} characters, the limit is "
                f"{self._limits.message_characters}"
            )
        admitted = AdmittedMessage(start.key, message.message_id)
        places = self._limits.queued_messages + 1 + (on_busy == "interrupt")
        async with self._admission.admitted(admitted, places=places, waits=wait):
            result = await deliver(
                MessageSender(self._temporal, start, message, wait=wait).attempt,
                what=f"message {message.message_id} to conversation {conversation}",
                timeout=timeout,
            )
        if result is None:
            return SentMessage(
                conversation=conversation, message_id=message.message_id, status="accepted"
            )
        reply = result.reply
        if reply is None and result.reply_seq is not None:
            reply = (await self._records.message(conversation, result.reply_seq)).text
        return SentMessage(
            conversation=conversation,
            turn=result.turn,
            message_id=message.message_id,
            status=result.status,
            reply=reply,
            citations=result.citations,
            approvals=result.approvals,
            degraded=result.degraded,
            actions=result.actions,
        )

    async def show(self, conversation: str, *, reader: str | None = None) -> ConversationView:
        """Everything about a conversation: what was said, proposed, decided, done and paid. The audit log
        keeps that `reader` has read it.

        Raises:
            ConversationNotFound, InvalidRequest.
        """
        history = await self._requests.history(conversation, timeout=REQUEST_SECONDS)
        view = await self._records.view(conversation, history)
        if reader is not None:
            require_id(reader, "reader")
            reading = ReadingRequest(
                tenant=self.tenant,
                conversation=conversation,
                reader=reader,
                turns=view.turns,
                messages=len(view.messages),
            )
            await self._operations.run(reading)
        return view

    async def messages(
        self, conversation: str, *, after: int = 0, customer: str | None = None
    ) -> list[MessageRecord]:
        """The messages numbered above `after`, oldest first; none where nothing is recorded. Name the
        `customer` if one will see them.

        Raises:
            InvalidRequest, WrongCustomer.
        """
        return await self._records.messages(conversation, after=after, customer=customer)

    def events(
        self,
        conversation: str,
        *,
        after: int = 0,
        follow: bool = False,
        customer: str | None = None,
    ) -> AsyncIterator[Event]:
        """The events numbered above `after`, in order; with `follow`, also those to come, which
        arrive within 0.2 seconds. A reader that starts again after the last number that it has
        handled misses none. Name the `customer` if one will see them.

        Raises:
            ConversationNotFound, WrongCustomer.
        """
        return self._records.events(conversation, after=after, follow=follow, customer=customer)

    async def list_conversations(
        self,
        *,
        status: ConversationPhase | None = None,
        query: str | None = None,
        limit: int = 100,
    ) -> list[ListedConversation]:
        """At most `limit` conversations from Temporal's visibility, running ones first.

        `query` is a Temporal list filter, such as `HoldfastPriority = 'urgent'`.

        Raises:
            InvalidRequest: Temporal does not understand the query.
        """
        require_number(limit, "limit", least=1)
        return await list_conversations(
            self._temporal, self.tenant, status=status, query=query, limit=limit
        )

    async def fork(
        self, conversation: str, *, turn: int, target: str, by: str | None = None
    ) -> ConversationRecord:
        """Create the conversation `target` from what was said up to the end of `turn`; the audit log keeps
        who did it. It is closed until its first message opens it.

        Raises:
            ConversationNotFound, ConversationExists, TurnNotFound, InvalidRequest.
        """
        require_id(conversation, "conversation")
        require_id(target, "conversation")
        require_number(turn, "turn", least=1)
        if by is not None:
            require_id(by, "person")
        request = ForkRequest(
            tenant=self.tenant, conversation=conversation, turn=turn, target=target, by=by
        )
        await self._operations.run(request)
        return await self._records.conversation(target)

    async def cancel_turn(
        self,
        conversation: str,
        turn: int | None = None,
        *,
        reason: str = "cancelled on request",
        timeout: float | None = REQUEST_SECONDS,
    ) -> int:
        """Cancel a turn that is queued, running or parked, by default the running one.

        Returns the turn's number. A turn that was about to end may have ended instead.

        Raises:
            ConversationNotFound, ConversationClosed, TurnNotFound.
        """
        with checking():
            request = CancelTurn(turn=turn, reason=reason)
        return await self._requests.update(
            conversation, wire.CANCEL_TURN, request, int, timeout=timeout
        )

    async def close(
        self,
        conversation: str,
        *,
        reason: str = "closed on request",
        timeout: float | None = REQUEST_SECONDS,
    ) -> ConversationRecord:
        """Close the conversation, once the messages that it has accepted are answered. A closed one stays
        closed.

        Raises:
            ConversationNotFound, InvalidRequest.
            ConversationClosed: its workflow is gone without having closed it.
        """
        require_text(reason, "reason")
        record = await self._records.conversation(conversation)
        if record.closed_at is not None:
            return record
        try:
            await self._requests.signal_close(conversation, reason, timeout=timeout)
        except ConversationClosed:
            if (await self._records.conversation(conversation)).closed_at is None:
                raise
        try:
            async with asyncio.timeout(timeout):
                async for event in self.events(conversation, after=record.last_event, follow=True):
                    if event.type == "conversation_closed":
                        break
        except TimeoutError:
            raise Unavailable(
                f"conversation {conversation} was not closed within {timeout:g} s; it closes once "
                "the messages that it has accepted are answered; does a worker run?"
            ) from None
        return await self._records.conversation(conversation)
