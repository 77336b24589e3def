"""The ledger of a step: model calls made before, so that none is paid twice."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from holdfast.llm.request import ModelRequest
from holdfast.store.llm_calls import CallScope, ModelAnswer, RecordedCall, Spent, save_call
from holdfast.store.pool import TRANSIENT_ERRORS, Pool

_TRY_AGAIN_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Pauses between attempts to record an answer while Postgres is away."""

_Key = tuple[str, str, int]


class CallLedger(Protocol):
    """Calls by node, digest of the request, and how often that occurred in the node, from 1."""

    @property
    def step(self) -> int:
        """The step that new calls are recorded for."""
        ...

    @property
    def spent(self) -> Spent:
        """What the turn's recorded calls are, and have cost."""
        ...

    def find(self, node: str, digest: str, occurrence: int) -> RecordedCall | None:
        """The recorded call, without asking a server."""
        ...

    async def save(
        self, node: str, occurrence: int, request: ModelRequest, answer: ModelAnswer
    ) -> RecordedCall:
        """Record an answer; returns the call that stands, an earlier one if there is one."""
        ...


class MemoryLedger:
    """A ledger that lasts as long as the object: for graphs outside of a conversation, and tests."""

    def __init__(self, calls: Iterable[RecordedCall] = (), *, step: int = 1) -> None:
        self.step = step
        self._calls: dict[_Key, RecordedCall] = {}
        for call in calls:
            self._keep(call)

    @property
    def calls(self) -> tuple[RecordedCall, ...]:
        """Everything recorded, oldest first."""
        return tuple(self._calls.values())

    @property
    def spent(self) -> Spent:
        return Spent().and_of(self._calls.values())

    def find(self, node: str, digest: str, occurrence: int) -> RecordedCall | None:
        return self._calls.get((node, digest, occurrence))

    async def save(
        self, node: str, occurrence: int, request: ModelRequest, answer: ModelAnswer
    ) -> RecordedCall:
        return self._keep(_recorded(self.step, node, occurrence, request, answer))

    def _keep(self, call: RecordedCall) -> RecordedCall:
        key = (call.node, call.request_digest, call.occurrence)
        return self._calls.setdefault(key, call)


class StepLedger:
    """The ledger of one attempt at a step, in Postgres.

    Args:
        pool: writable; each save is one statement, committed when it returns.
        scope: the step.
        prefetched: what is recorded for the graph run, as it was when the step began.
        elsewhere: what the turn's other graph runs have spent.
        keep_requests: also keep the whole request, compressed (`request.unpacked` reads it).
    """

    def __init__(
        self,
        pool: Pool,
        scope: CallScope,
        prefetched: Iterable[RecordedCall],
        *,
        elsewhere: Spent | None = None,
        keep_requests: bool = False,
    ) -> None:
        self._pool = pool
        self._elsewhere = elsewhere or Spent()
        self._scope = scope
        self._keep_requests = keep_requests
        self._calls = {
            (call.node, call.request_digest, call.occurrence): call for call in prefetched
        }

    @property
    def step(self) -> int:
        return self._scope.step

    @property
    def spent(self) -> Spent:
        return self._elsewhere.and_of(self._calls.values())

    def find(self, node: str, digest: str, occurrence: int) -> RecordedCall | None:
        return self._calls.get((node, digest, occurrence))

    async def save(
        self, node: str, occurrence: int, request: ModelRequest, answer: ModelAnswer
    ) -> RecordedCall:
        call = _recorded(self.step, node, occurrence, request, answer)
        kept = request.packed() if self._keep_requests else None
        for seconds in _TRY_AGAIN_SECONDS:
            try:
                return await self._save(call, kept)
            except TRANSIENT_ERRORS:  # an answer that is paid for outlasts a restart of Postgres
                await asyncio.sleep(seconds)
        return await self._save(call, kept)

    async def _save(self, call: RecordedCall, request: bytes | None) -> RecordedCall:
        async with self._pool.acquire() as connection:
            standing = await save_call(connection, self._scope, call, request)
        self._calls[(call.node, call.request_digest, call.occurrence)] = standing
        return standing


def _recorded(
    step: int, node: str, occurrence: int, request: ModelRequest, answer: ModelAnswer
) -> RecordedCall:
    return RecordedCall(
        **dict(answer), step=step, node=node, request_digest=request.digest, occurrence=occurrence
    )
