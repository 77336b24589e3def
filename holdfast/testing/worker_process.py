"""`holdfast worker` as a real process, which a test may freeze and kill."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings


class WorkerProcess:
    """A worker in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []
        self._ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, environment: Mapping[str, str], *arguments: str, root: Path
    ) -> "WorkerProcess":
        """Start it in the folder `root`, whose code comes first, and wait until it is ready.

        Raises:
            RuntimeError: it has ended before, or is not ready within a minute; the message has its log.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdfast", "worker"),
            *arguments,
            env={**os.environ, **environment, "PYTHONPATH": str(root)},
            cwd=root,
            stderr=asyncio.subprocess.PIPE,
        )
        started = cls(process)
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(started._ready.wait())
        await asyncio.wait((ended, ready), timeout=60, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not started._ready.is_set():
            raise RuntimeError("the worker did not start:\n" + "".join(started.log))
        return started

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode())
            if b"is ready" in line:
                self._ready.set()

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(signum)

    async def died(self) -> int:
        """Wait until it has ended; its exit code."""
        return await self.process.wait()

    async def stop(self) -> None:
        """End it, in whatever state it is."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        await self.process.wait()
        await self._reader


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that give a worker process these settings."""
    assert settings.temporal_address is not None
    return {
        "HOLDFAST_REVIEWER_KEYS": settings.reviewer_keys or "",
        "HOLDFAST_SIGNING_KEY": str(settings.signing_key or ""),
        "HOLDFAST_TEMPORAL_ADDRESS": settings.temporal_address,
        "HOLDFAST_DATABASE_URL": require_database_url(settings),
        "HOLDFAST_UNSIGNED_DECISIONS": str(settings.unsigned_decisions).lower(),
        "HOLDFAST_TASK_QUEUE": settings.task_queue,
        "HOLDFAST_PACKAGES": json.dumps(settings.packages),
        "HOLDFAST_MODELS": json.dumps(settings.models),
        "HOLDFAST_OFFLINE": settings.offline or "",
        "HOLDFAST_HEALTH_PORT": "0",
        "HOLDFAST_DATABASE_CONNECTIONS": str(settings.database_connections),
        "HOLDFAST_SHUTDOWN_SECONDS": str(settings.shutdown_seconds),
    }
