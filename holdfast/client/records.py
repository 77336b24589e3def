"""A tenant's records in Postgres, as its clients read them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from holdfast.client.validation import require_id, require_number
from holdfast.client.views import ConversationView, History
from holdfast.domain.errors import (
    ConfigurationError,
    ConversationNotFound,
    InvalidRequest,
    Unavailable,
    WrongCustomer,
)
from holdfast.domain.events import Event
from holdfast.domain.identity import ConversationKey
from holdfast.domain.records import ApprovalFilter, ConversationRecord, MessageRecord
from holdfast.store.actions import read_actions
from holdfast.store.approvals import list_approvals
from holdfast.store.conversations import read_conversation
from holdfast.store.events import read_events
from holdfast.store.llm_calls import count_calls
from holdfast.store.pool import TRANSIENT_ERRORS, Connection, Pool, cause_of, connect_seconds
from holdfast.store.transcript import read_message, read_messages

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 60.0
"""How long a follower waits for a Postgres that went away."""

_EVENTS_AT_ONCE = 1_000


class Records:
    """The records of one tenant. Every method raises `Unavailable` when Postgres is away, and
    `InvalidRequest` for ids and numbers that nothing can have."""

    def __init__(self, pool: Pool, tenant: str) -> None:
        self._pool = pool
        self.tenant = tenant

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection, for statements only: what goes wrong in the context is Postgres' fault.

        Raises:
            Unavailable: Postgres is away, or takes too long.
            InvalidRequest: it cannot even be asked for such a value.
            ConfigurationError: its tables are not those of this version.
        """
        try:
            async with self._pool.acquire(timeout=connect_seconds(self._pool)) as connection:
                yield connection
        except TRANSIENT_ERRORS as error:
            raise Unavailable(
                f"cannot reach Postgres: {cause_of(error)}. Is it running?"
            ) from error
        except asyncpg.DataError as error:
            raise InvalidRequest(f"Postgres has no such value: {error}") from None
        except asyncpg.QueryCanceledError as error:
            raise Unavailable(
                f"Postgres took too long: {error}; see HOLDFAST_STATEMENT_SECONDS"
            ) from error
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise ConfigurationError(
                f"the database is not that of this version ({error}); run `holdfast worker "
                "--migrate` (or `make migrate`)"
            ) from error

    def key(self, conversation: str) -> ConversationKey:
        """One of the tenant's conversations, of which nothing is known but that there can be one."""
        require_id(conversation, "conversation")
        return ConversationKey(self.tenant, conversation)

    async def conversation(
        self, conversation: str, customer: str | None = None
    ) -> ConversationRecord:
        """The conversation's row.

        Raises:
            ConversationNotFound: there is none.
            InvalidRequest: there can be none of this id.
            WrongCustomer: it belongs to another than `customer`.
        """
        key = self.key(conversation)
        async with self.connection() as connection:
            found = await read_conversation(connection, key)
        if customer is not None and found.customer != customer:
            raise WrongCustomer(f"conversation {conversation!r} belongs to another customer")
        return found

    async def messages(
        self, conversation: str, *, after: int, customer: str | None
    ) -> list[MessageRecord]:
        """The messages numbered above `after`; raises as `conversation` does, but for one that isn't there."""
        key = self.key(conversation)
        require_number(after, "after")
        if customer is not None:
            with suppress(ConversationNotFound):
                await self.conversation(conversation, customer)
        async with self.connection() as connection:
            return await read_messages(connection, key, after=after)

    async def message(self, conversation: str, seq: int) -> MessageRecord:
        """A message that is known to be there."""
        async with self.connection() as connection:
            found = await read_message(connection, self.key(conversation), seq)
        if found is None:
            raise LookupError(f"conversation {conversation!r} has no message {seq}")
        return found

    async def view(self, conversation: str, history: History | None) -> ConversationView:
        """The whole conversation; raises `ConversationNotFound`."""
        key = self.key(conversation)
        async with self.connection() as connection:
            record = await read_conversation(connection, key)
            messages = await read_messages(connection, key)
            actions = await read_actions(connection, key)
            model_calls = await count_calls(connection, key)
            pending = await list_approvals(
                connection, self.tenant, ApprovalFilter(conversation=conversation)
            )
        return ConversationView(
            conversation=conversation,
            customer=record.customer,
            status=record.status,
            agent=record.agent,
            held_by=record.held_by,
            forked_from=record.forked_from,
            turns=record.turns,
            messages=tuple(messages),
            pending_approvals=tuple(pending),
            actions=tuple(actions),
            model_calls=model_calls,
            history=history,
        )

    async def events(
        self,
        conversation: str,
        *,
        after: int = 0,
        follow: bool = False,
        customer: str | None = None,
    ) -> AsyncIterator[Event]:
        """The conversation's events numbered above `after`; with `follow`, also those to come.

        Raises:
            ConversationNotFound: there is no such conversation.
            InvalidRequest: no conversation can have this id, or no event this number.
            Unavailable: Postgres is away, where following for longer than a minute.
            WrongCustomer: it belongs to another than `customer`.
        """
        key = self.key(conversation)
        require_number(after, "after")
        await self.conversation(conversation, customer)
        answered = time.monotonic()
        while True:
            try:
                async with self.connection() as connection:
                    found = await read_events(connection, key, after=after, limit=_EVENTS_AT_ONCE)
                answered = time.monotonic()
            except Unavailable:
                if not follow or time.monotonic() - answered > _PATIENCE_SECONDS:
                    raise
                found = []
            for event in found:
                after = event.seq
                yield event
            if len(found) == _EVENTS_AT_ONCE:
                continue
            if not follow:
                return
            await asyncio.sleep(_POLL_SECONDS)
