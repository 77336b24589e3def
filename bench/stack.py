"""What benchmarks run on: embedded servers of their own, a model that answers at once, worker processes."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil
from temporalio.client import Client

from holdfast.client import HoldfastClient
from holdfast.domain.limits import Limits
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.packages.registry import load_packages
from holdfast.runtime.connection import connect_temporal, require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.pool import open_pool
from holdfast.testing import WorkerProcess
from holdfast.testing.worker_process import environment_of
from holdfast.worker.preparation import prepare
from holdfast_devstack.stack import LocalStack, delete_local_data, local_stack
from tests.platform import ROOT

PACKAGES = ("bench.package:package",)


@dataclass
class BenchStack:
    """Servers as `make up` starts them (data is forced to disk), on folders of their own."""

    folder: Path
    local: LocalStack
    settings: Settings
    temporal: Client
    database: "asyncpg.Pool[asyncpg.Record]"
    model_pid: int
    exits: AsyncExitStack
    workers: list[WorkerProcess] = field(default_factory=list)

    async def start_worker(self, **environment: str) -> WorkerProcess:
        """A worker in a process of its own, ready."""
        process = await WorkerProcess.start(
            {**environment_of(self.settings), **environment}, "--log-level", "INFO", root=ROOT
        )
        self.workers.append(process)
        return process

    async def stop_workers(self) -> None:
        """End all workers."""
        while self.workers:
            await self.workers.pop().stop()

    async def client(self, tenant: str, limits: Limits | None = None) -> HoldfastClient:
        """A client of a tenant, for as long as the stack lasts."""
        settings = self.settings.model_copy(update={"limits": limits or self.settings.limits})
        return await self.exits.enter_async_context(HoldfastClient.connect(settings, tenant=tenant))

    async def database_bytes(self) -> int:
        """What Postgres' files of this database take, after a checkpoint: tables, indexes, toast."""
        size: int = await self.database.fetchval("select pg_database_size(current_database())")
        return size

    def temporal_bytes(self) -> int:
        """What Temporal's SQLite file takes, with its write-ahead log."""
        return sum(file.stat().st_size for file in (self.folder / "temporal").glob("temporal.db*"))

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Who works: `temporal`, `postgres` (for `CpuMeter`, with its backends), `workers`, `client` (this
        process)."""
        assert self.local.temporal is not None
        assert self.local.postgres is not None
        return {
            "temporal": [psutil.Process(self.local.temporal.pid)],
            "postgres": [psutil.Process(self.local.postgres.pid)],
            "workers": [psutil.Process(one.process.pid) for one in self.workers],
            "client": [psutil.Process()],
        }


class CpuMeter:
    """CPU seconds, user and system, of processes since this was made.

    Groups in `families` count with all processes that theirs have started, also those that have ended:
    Postgres has one for each connection.
    """

    def __init__(
        self,
        processes: dict[str, list[psutil.Process]],
        *,
        families: Collection[str] = ("postgres",),
    ) -> None:
        self._processes = processes
        self._families = families
        self._before = self._read()

    def read(self) -> dict[str, float]:
        """CPU seconds by group. Of a process that has ended, nothing is known."""
        now = self._read()
        return {name: max(0.0, now[name] - self._before[name]) for name in now}

    def _read(self) -> dict[str, float]:
        count = {
            name: _family_seconds if name in self._families else _cpu_seconds
            for name in self._processes
        }
        return {name: sum(map(count[name], group)) for name, group in self._processes.items()}


@asynccontextmanager
async def bench_stack() -> AsyncIterator[BenchStack]:
    """An empty stack, migrated, without workers yet; everything is ended and deleted afterwards."""
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="holdfast-bench-"))
    os.chmod(folder, 0o711)  # so that root's Postgres, which runs as another user, gets in
    async with AsyncExitStack() as exits:
        exits.push_async_callback(asyncio.to_thread, shutil.rmtree, folder)
        exits.push_async_callback(delete_local_data, folder)
        local = await exits.enter_async_context(
            local_stack(
                folder,
                search_attributes=SEARCH_ATTRIBUTES,
                temporal_ui=False,
                postgres_options={"max_connections": "400"},
                progress=lambda line: print(line, file=sys.stderr),
            )
        )
        model = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.model",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        exits.push_async_callback(_end, model)
        assert model.stdout is not None
        base_url = json.loads(await model.stdout.readline())["base_url"]
        settings = Settings.model_validate(
            {
                "temporal_address": local.temporal_address,
                "temporal_namespace": local.namespace,
                "database_url": local.database_url,
                "migration_url": local.migration_url,
                "unsigned_decisions": True,
                "packages": list(PACKAGES),
                "models": [{"name": "instant", "base_url": base_url, "model": "instant"}],
                "max_cached_workflows": 1_000,
                "health_port": 0,
            }
        )
        await prepare(settings, load_packages(PACKAGES), None)
        database = await exits.enter_async_context(
            await open_pool(require_migration_url(settings), min_size=0, max_size=5)
        )
        stack = BenchStack(
            folder=folder,
            local=local,
            settings=settings,
            temporal=await connect_temporal(settings),
            database=database,
            model_pid=model.pid,
            exits=exits,
        )
        exits.push_async_callback(stack.stop_workers)
        yield stack


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _family_seconds(process: psutil.Process) -> float:
    """The process, those below it, and those below it that ended and were waited for."""
    try:
        times = process.cpu_times()
        below = process.children()
    except psutil.NoSuchProcess:
        return 0.0
    ended = times.children_user + times.children_system
    return times.user + times.system + ended + sum(map(_family_seconds, below))
