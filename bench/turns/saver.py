"""LangGraph with its own Postgres saver, without Temporal: a service that holds the graph."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import psutil
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph.state import CompiledStateGraph
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from bench.stack import BenchStack
from bench.turns.contender import History, Work
from bench.turns.graph import Nodes, build, model_at
from bench.turns.process import ContenderProcess, contender_process
from bench.turns.tables import bytes_of_schemas
from bench.turns.workflow import work_on
from holdfast.store.pool import open_pool

NAME: Final = "saver"
_SCHEMA = "saver"
_HOST = "127.0.0.1"
_CONNECTIONS = 20


class Saver:
    """LangGraph as a service with one process and a Postgres; conversations are threads of the saver."""

    name = "langgraph-checkpoint-postgres"

    def __init__(self, stack: BenchStack, process: ContenderProcess) -> None:
        self._database = stack.database
        self._process = process
        self._connections: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: BenchStack) -> AsyncIterator["Saver"]:
        """The contender with its process."""
        await stack.database.execute(f"create schema {_SCHEMA}")
        async with contender_process(NAME, work_on(stack, NAME)) as process:
            saver = cls(stack, process)
            try:
                yield saver
            finally:
                for _, writer in saver._connections.values():
                    writer.close()

    def workers(self) -> list[psutil.Process]:
        return [self._process.process]

    async def send(self, conversation: str, text: str) -> str:
        """A line of JSON there, and one back, over a connection for each conversation."""
        if conversation not in self._connections:
            self._connections[conversation] = await asyncio.open_connection(
                _HOST, self._process.port
            )
        reader, writer = self._connections[conversation]
        writer.write(f"{json.dumps([conversation, text])}\n".encode())
        answer = await reader.readline()
        if not answer:
            raise RuntimeError(f"the turn of {conversation} failed; the process's error is above")
        return str(json.loads(answer))

    async def history(self, conversation: str) -> History | None:
        return None

    async def database_bytes(self) -> int | None:
        return await bytes_of_schemas(self._database, _SCHEMA)


@asynccontextmanager
async def serving(work: Work) -> AsyncIterator[int]:
    """The service; its port."""
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(model_at(work.model_url))
        reads = await stack.enter_async_context(await open_pool(work.database_url, read_only=True))
        pool = await stack.enter_async_context(_pool(work.database_url))
        checkpointer = AsyncPostgresSaver(pool)
        await checkpointer.setup()
        graph = build(Nodes(model, reads)).compile(checkpointer=checkpointer)

        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async for line in reader:
                    conversation, text = json.loads(line)
                    said = await _turn(graph, conversation, text)
                    writer.write(f"{json.dumps(said)}\n".encode())
            finally:
                writer.close()

        server = await stack.enter_async_context(await asyncio.start_server(converse, _HOST, 0))
        yield server.sockets[0].getsockname()[1]


def _pool(url: str) -> AsyncConnectionPool[AsyncConnection[DictRow]]:
    """Connections as the saver wants them, on tables of its own."""
    separator = "&" if "?" in url else "?"
    return AsyncConnectionPool(
        f"{url}{separator}options={quote(f'-csearch_path={_SCHEMA}')}",
        connection_class=AsyncConnection[DictRow],
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        min_size=1,
        max_size=_CONNECTIONS,
        open=False,
    )


async def _turn(graph: CompiledStateGraph[Any, Any, Any, Any], conversation: str, text: str) -> str:
    state = await graph.ainvoke(
        {"messages": [{"role": "user", "content": text}]},
        {"configurable": {"thread_id": conversation}},
    )
    return str(state["said"])
