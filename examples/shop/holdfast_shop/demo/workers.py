"""The workers of the demonstration: processes of their own, started, stopped and counted here."""

import asyncio
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

_READY = re.compile(r"worker \w+ is ready")
# The worker logs a line for each request to a model that was answered, whoever answers.
_MODEL_CALL = re.compile(r"model call answered by \w+")

_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LONGEST_LINE = 2**20


class WorkerFailed(Exception):
    """A worker process ended, or did not get ready; the message has the end of its log."""


class WorkerProcess:
    """A process that runs `holdfast worker`; `model_calls` counts the calls that it got an answer to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self.model_calls = 0
        self._process = process
        self._ready = asyncio.Event()
        self._tail: deque[str] = deque(maxlen=30)
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, *arguments: str, environment: dict[str, str]) -> Self:
        """Start `holdfast worker` with `arguments`, out of reach of the terminal's Ctrl-C."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "holdfast", "worker"),
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        return cls(process)

    async def wait_ready(self) -> None:
        """Until it works.

        Raises:
            WorkerFailed: it ended before, or is not ready within 60 seconds.
        """
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            (ready, self._reading), timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if not self._ready.is_set():
            raise self._failure("did not get ready")

    async def wait_done(self) -> None:
        """Until it has ended by itself.

        Raises:
            WorkerFailed: its exit code is not 0.
        """
        if await self.wait_ended() != 0:
            raise self._failure(f"ended with exit code {self._process.returncode}")

    async def wait_ended(self) -> int:
        """Until it has ended and its log is read; its exit code, negative for a signal."""
        await asyncio.wait((self._reading,))
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL should it not end within 20 seconds."""
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait_ended(), _STOP_SECONDS)
        except TimeoutError:
            self.kill()
            await self.wait_ended()

    def kill(self) -> None:
        """SIGKILL; nothing where it has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            line = raw.decode(errors="replace").rstrip()
            self._tail.append(line)
            if _MODEL_CALL.search(line):
                self.model_calls += 1
            if _READY.search(line):
                self._ready.set()

    def _failure(self, what: str) -> WorkerFailed:
        return WorkerFailed("\n".join([f"worker process {self.pid} {what}", *self._tail]))


class Workers:
    """Starts the workers of one run, on task queues of its own; `open` leaves none behind.

    `policy_dir` is the folder of the policies that they go by.
    """

    def __init__(self, task_queue: str, policy_dir: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "HOLDFAST_FAULT"},
            "HOLDFAST_TASK_QUEUE": task_queue,
            "HOLDFAST_PACKAGES": '["holdfast_shop:package"]',
            "HOLDFAST_POLICY_DIR": str(policy_dir),
            "HOLDFAST_HEALTH_PORT": "0",
        }
        self._started: list[WorkerProcess] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, task_queue: str, *, policy_dir: Path) -> AsyncIterator[Self]:
        """For as long as the context lasts; whatever still runs at its end is killed."""
        workers = cls(task_queue, policy_dir)
        try:
            yield workers
        finally:
            for worker in workers._started:
                worker.kill()
            for worker in workers._started:
                await worker.wait_ended()

    @property
    def model_calls(self) -> int:
        """Calls that a model answered, over all workers so far."""
        return sum(worker.model_calls for worker in self._started)

    async def seed(self, tenant: str) -> None:
        """Migrate the database and load the tenant's articles and orders.

        Raises:
            WorkerFailed: that did not work.
        """
        await (await self._start("--seed", tenant)).wait_done()

    async def start(self, *, fault: str | None = None) -> tuple[WorkerProcess, float]:
        """A worker that is ready, and the seconds that took.

        With a `fault`, `point:file`, it kills itself the first time it comes to that point.

        Raises:
            WorkerFailed: it does not get ready.
        """
        began = time.monotonic()
        worker = await self._start(fault=fault)
        await worker.wait_ready()
        return worker, time.monotonic() - began

    async def _start(self, *arguments: str, fault: str | None = None) -> WorkerProcess:
        environment = {**self._environment, **({"HOLDFAST_FAULT": fault} if fault else {})}
        worker = await WorkerProcess.start(*arguments, environment=environment)
        self._started.append(worker)
        return worker
