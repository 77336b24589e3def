"""Servers for one test run: real ones, started empty, gone without a trace.

They do not force data to disk. It survives the kill of a server, as every test of that expects, but
not a power cut.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast_devstack.postgres.server import PostgresServer
from holdfast_devstack.temporal.binary import find_temporal
from holdfast_devstack.temporal.server import TemporalServer

POSTGRES_OPTIONS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
TEMPORAL_PRAGMAS: Mapping[str, str] = {"synchronous": "off"}


@asynccontextmanager
async def temporary_postgres(
    *, options: Mapping[str, str] | None = None
) -> AsyncIterator[PostgresServer]:
    """A Postgres with `POSTGRES_OPTIONS` and `options`. Killed and deleted at the end.

    It may be started in one event loop and used in others.
    """
    async with _folder() as folder:
        server = PostgresServer(folder, options={**POSTGRES_OPTIONS, **(options or {})})
        try:
            await server.start()
            yield server
        finally:
            if server.running:
                await server.kill()


@asynccontextmanager
async def temporary_temporal(
    *,
    search_attributes: Mapping[str, str],
    binary: Path | None = None,
    dynamic_config: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = print,
) -> AsyncIterator[TemporalServer]:
    """A Temporal dev server without web UI. Killed and deleted at the end.

    It may be started in one event loop and used in others.
    """
    found = await find_temporal(binary, progress=progress)
    async with _folder() as folder:
        server = TemporalServer(
            found,
            folder,
            search_attributes=search_attributes,
            ui=False,
            dynamic_config=dynamic_config,
            pragmas=TEMPORAL_PRAGMAS,
        )
        try:
            await server.start()
            yield server
        finally:
            if server.running:
                await server.kill()


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="holdfast-")
    # So that root's Postgres, which runs as another user, keeps its data in here.
    os.chmod(folder, 0o711)
    try:
        yield Path(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
