"""Lets messages in, or refuses them at once: by conversation, by tenant, and by what the workers can do."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from holdfast.domain.admission import TURNS_FOR_EACH_STEP, UNKNOWN_CAPACITY, has_room
from holdfast.domain.errors import ConversationBusy, Overloaded
from holdfast.domain.identity import ConversationKey
from holdfast.store.admissions import AdmittedMessage, note_admissions, read_load
from holdfast.store.pool import TRANSIENT_ERRORS, Pool

_LOOK_SECONDS = 0.05
"""Between two looks at the load while it is high; meanwhile this process counts on."""

_COMFORTABLE_SECONDS = 1.0
_COMFORTABLE = 0.5
"""Below this share of what is let in, a look is good for longer, and nobody waits for it."""

_PATIENCE_SECONDS = 1.0
"""How long a message waits for word of the load. Without it, it is let in: Temporal keeps it."""

_FAILURES: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, asyncpg.PostgresError)


class Admission:
    """What one process lets in; its clients of all tenants share it.

    Looks at the load are shared by all messages that wait for one, and what was let in is written down in
    bulk beside the message's own way, so that a quick turn pays next to nothing for it.
    """

    def __init__(self, pool: Pool, scope: str) -> None:
        self._pool = pool
        self._scope = scope
        self._in_conversation: defaultdict[ConversationKey, Counter[str]] = defaultdict(Counter)
        self._under_way: Counter[str] = Counter()
        self._capacity = UNKNOWN_CAPACITY * TURNS_FOR_EACH_STEP
        self._looked = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._begun: list[AdmittedMessage] = []
        self._ended: list[AdmittedMessage] = []
        self._noting: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def admitted(
        self, message: AdmittedMessage, *, places: int, waits: bool
    ) -> AsyncIterator[None]:
        """Let the message in for as long as the context lasts, and until it is answered.

        `places` is how many messages of one conversation may be on their way at once; `waits` says
        whether the context lasts until the answer.

        Raises:
            ConversationBusy: as many of its messages are on their way.
            Overloaded: the workers have as much as they can do.
        """
        conversation = self._in_conversation[message.key]
        is_new = message.message_id not in conversation
        if is_new and len(conversation) >= places:
            raise ConversationBusy(
                f"{len(conversation)} messages to conversation {message.key.conversation!r} are on their "
                "way already; send this one again later"
            )
        conversation[message.message_id] += 1
        try:
            if is_new:
                await self._admit(message)
            try:
                yield
            except BaseException:  # its end is unknown here; it counts no more
                waits = True
                raise
            finally:
                if is_new and waits:
                    self._end(message)
        finally:
            conversation[message.message_id] -= 1
            if not conversation[message.message_id]:
                del conversation[message.message_id]
            if not conversation:
                self._in_conversation.pop(message.key, None)

    async def _admit(self, message: AdmittedMessage) -> None:
        age = time.monotonic() - self._looked
        comfortable = self._under_way.total() < _COMFORTABLE * self._capacity
        if age > (_COMFORTABLE_SECONDS if comfortable else _LOOK_SECONDS):
            await self._look()
        if not has_room(message.key.tenant, self._under_way, self._capacity):
            raise Overloaded(
                f"{self._under_way.total()} messages are under way, as many as the workers can answer "
                "soon; send this one again later",
                retry_after=round(random.uniform(1.0, 3.0), 2),  # so that not all come at once
            )
        self._under_way[message.key.tenant] += 1
        self._begun.append(message)
        self._note_soon()

    def _end(self, message: AdmittedMessage) -> None:
        if message in self._begun:
            self._begun.remove(message)
        self._ended.append(message)
        self._under_way[message.key.tenant] = max(0, self._under_way[message.key.tenant] - 1)
        self._note_soon()

    async def _look(self) -> None:
        """Look at the load; messages that come meanwhile wait for the same look."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_now())
            self._looking.add_done_callback(self._looked_now)
        await asyncio.shield(self._looking)

    def _looked_now(self, looking: asyncio.Task[None]) -> None:
        self._looking = None
        if not looking.cancelled():
            looking.exception()

    async def _look_now(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._note()
                async with self._pool.acquire() as connection:
                    load = await read_load(connection, self._scope)
        except _FAILURES:
            self._under_way.clear()  # nobody knows; Temporal keeps what comes
        else:
            self._under_way = Counter(load.by_tenant)
            for begun in self._begun:  # while the load was read
                self._under_way[begun.key.tenant] += 1
            steps = UNKNOWN_CAPACITY if load.capacity is None else load.capacity
            self._capacity = steps * TURNS_FOR_EACH_STEP
        self._looked = time.monotonic()

    def _note_soon(self) -> None:
        if self._noting is None:
            self._noting = asyncio.create_task(self._note_now())

    async def _note_now(self) -> None:
        try:
            await asyncio.sleep(_LOOK_SECONDS)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._note()
        except _FAILURES:
            pass
        finally:
            self._noting = None

    async def _note(self) -> None:
        begun, self._begun = self._begun, []
        ended, self._ended = self._ended, []
        if begun or ended:
            async with self._pool.acquire() as connection:
                await note_admissions(connection, self._scope, begun=begun, ended=ended)

    async def aclose(self) -> None:
        """Write down what is left to be."""
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.gather(self._noting, return_exceptions=True)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._note()
        except _FAILURES:
            pass
