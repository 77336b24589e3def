"""The death of a worker, noticed by the others: what it was working on is tried again at once.

Temporal itself notices by the heartbeats that are missing, some seconds later. That remains for workers
that are frozen, or whose machine is gone.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from holdfast.store.liveness import is_shared, note_tasks, open_session, take_abandoned
from holdfast.store.pool import UNREACHABLE_ERRORS, Connection

_logger = logging.getLogger("holdfast.worker")

_NOTE_SECONDS = 0.03
"""What takes less than this is rarely noted, and costs nothing."""

_LOOK_SECONDS = 0.2
"""How often this process looks after the others; a death is noticed after half of it, on average."""

_AGAIN_SECONDS = 1.0
_TELL_TIMEOUT = timedelta(seconds=5)


class LivenessInterceptor(Interceptor):
    """What this process works on. Workers are built with it; `keep` tells the others in the same scope."""

    def __init__(self, client: Client, scope: str) -> None:
        self._client = client
        self._scope = scope
        self._running: set[bytes] = set()
        self._telling: set[asyncio.Task[None]] = set()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Temporal's hook: keep the tokens of the tasks that run."""
        return _LivenessInbound(next, self._running)

    async def keep(self, url: str) -> None:
        """Note what this process works on, and look after the others, until cancelled."""
        while True:
            try:
                connection = await open_session(url)
                try:
                    if await is_shared(connection):
                        _logger.warning(
                            "Postgres is behind a pooler: the death of a worker is noticed by its "
                            "heartbeats alone"
                        )
                        return
                    await self._keep(connection)
                finally:
                    connection.terminate()
            except UNREACHABLE_ERRORS as error:
                _logger.debug("presence: %s", error)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _keep(self, connection: Connection) -> None:
        noted: set[bytes] = set()
        looks = round(_LOOK_SECONDS / _NOTE_SECONDS)
        while True:
            for look in range(looks):
                begun, ended = self._running - noted, noted - self._running
                if begun or (ended and look == 0):  # that something has ended can wait
                    await note_tasks(connection, self._scope, begun=begun, ended=ended)
                    noted = (noted | begun) - ended
                await asyncio.sleep(_NOTE_SECONDS)
            if abandoned := await take_abandoned(connection, self._scope):
                telling = asyncio.create_task(self._tell(abandoned))
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)

    async def _tell(self, abandoned: Sequence[bytes]) -> None:
        """Have Temporal try the tasks again; those it knows to be over by now are refused."""
        _logger.warning("a worker died; activities to be tried again: %s", len(abandoned))
        died = ApplicationError("the worker that ran this has died", type="WorkerDied")

        async def tell(token: bytes) -> None:
            handle = self._client.get_async_activity_handle(task_token=token)
            with contextlib.suppress(RPCError):
                await handle.fail(died, rpc_timeout=_TELL_TIMEOUT)

        await asyncio.gather(*(tell(token) for token in abandoned))


class _LivenessInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, running: set[bytes]) -> None:
        super().__init__(next)
        self._running = running

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        token = activity.info().task_token
        self._running.add(token)
        try:
            return await super().execute_activity(input)
        finally:
            self._running.discard(token)
