"""Holdfast: a worker as it is deployed, the typed client, triage and the agent of `bench.package`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from bench.stack import BenchStack
from bench.turns.contender import History, history_of
from bench.turns.tables import bytes_of_schemas
from holdfast.client import HoldfastClient
from holdfast.domain.identity import ConversationKey
from holdfast.store.migrate import CORE_SCHEMA
from holdfast.testing import WorkerProcess

_TENANT = "bench"
_CUSTOMER = "customer"


class Holdfast:
    """What is measured."""

    name = "holdfast"

    def __init__(self, stack: BenchStack, worker: WorkerProcess, client: HoldfastClient) -> None:
        self._stack = stack
        self._worker = worker
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: BenchStack) -> AsyncIterator["Holdfast"]:
        """The contender with a worker of its own."""
        worker = await stack.start_worker()
        yield cls(stack, worker, await stack.client(_TENANT))

    def workers(self) -> list[psutil.Process]:
        return [psutil.Process(self._worker.process.pid)]

    async def send(self, conversation: str, text: str) -> str:
        sent = await self._client.send(conversation, text, customer=_CUSTOMER)
        if sent.status != "answered" or sent.reply is None:
            raise RuntimeError(f"the turn of {conversation} ended {sent.status}")
        return sent.reply

    async def history(self, conversation: str) -> History | None:
        return await history_of(
            self._stack.temporal, ConversationKey(_TENANT, conversation).workflow_id
        )

    async def database_bytes(self) -> int | None:
        return await bytes_of_schemas(self._stack.database, CORE_SCHEMA, "bench")
