"""The workers of a run: processes that are started anew whenever one has died."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import get_args

from bench.chaos.clients import ConversationKey
from bench.chaos.journal import Harm, Journal, now
from holdfast.store.faults import FaultPoint
from holdfast.testing import WorkerProcess
from tests.platform import ROOT

_FAULT_SHARE = 0.35
"""How many of the workers are started with a fault point."""

_POINTS: Sequence[FaultPoint] = [one for one in get_args(FaultPoint) if one != "after_sending"]
"""Nothing is sent to anybody here."""

Affected = Callable[[int], Awaitable[Sequence[ConversationKey]]]
"""Finds the conversations that the worker with this pid works for."""


class Crew:
    """Keeps a number of workers running. Some kill themselves at a named fault point."""

    def __init__(
        self,
        workers: int,
        *,
        seed: int,
        environment: dict[str, str],
        folder: Path,
        journal: Journal,
        affected: Affected,
    ) -> None:
        self._workers = workers
        self._seed = seed
        self._environment = environment
        self._folder = folder
        self._journal = journal
        self._affected = affected
        self._running: dict[int, WorkerProcess] = {}
        self._killed: set[int] = set()
        self._keeping: list[asyncio.Task[None]] = []
        self._one_is_ready = asyncio.Event()
        self._stopping = False
        self.with_faults = True
        """Whether workers that are started from now on may have a fault point."""
        self.log: list[str] = []
        """What workers that were not killed said in the end."""

    @property
    def running(self) -> list[int]:
        """The numbers of the workers that are up."""
        return sorted(self._running)

    async def start(self) -> None:
        """Start all of them; returns when the first one is ready."""
        self._keeping = [asyncio.create_task(self._keep(number)) for number in range(self._workers)]
        await self._one_is_ready.wait()

    async def stop(self) -> None:
        """End all of them."""
        self._stopping = True
        for process in list(self._running.values()):
            await process.stop()
        await asyncio.gather(*self._keeping)

    async def kill(self, number: int) -> None:
        """SIGKILL one."""
        process = self._running.get(number)
        if process is None or process.process.returncode is not None:
            return
        pid = process.process.pid
        self._killed.add(pid)
        at = now()
        process.signal(signal.SIGKILL)
        await self._note(at, pid)

    async def freeze(self, number: int, seconds: float) -> None:
        """Stop one for some seconds, then let it go on."""
        process = self._running.get(number)
        if process is None or process.process.returncode is not None:
            return
        at = now()
        process.signal(signal.SIGSTOP)
        affected = await self._affected(process.process.pid)
        await asyncio.sleep(seconds)
        if process.process.returncode is None:
            process.signal(signal.SIGCONT)
        self._journal.harm.append(
            Harm(kind="frozen", victim="worker", at=at, until=now(), affected=affected)
        )

    async def _keep(self, number: int) -> None:
        chance = random.Random(f"{self._seed}-worker-{number}")
        starts = 0
        while not self._stopping:
            starts += 1
            point = chance.choice(_POINTS) if chance.random() < _FAULT_SHARE else None
            fault = ""
            if point is not None and self.with_faults:
                fault = f"{point}:{self._folder / f'died-{number}-{starts}'}"
            try:
                process = await WorkerProcess.start(
                    {**self._environment, "HOLDFAST_FAULT": fault}, root=ROOT
                )
            except RuntimeError as error:  # its servers may be away just now
                self.log.append(str(error))
                continue
            if self._stopping:
                await process.stop()
                return
            self._running[number] = process
            self._one_is_ready.set()
            code = await process.died()
            self._running.pop(number, None)
            if not self._stopping:
                await self._look_at(process, code, point if fault else None)
            await process.stop()

    async def _look_at(self, process: WorkerProcess, code: int, point: str | None) -> None:
        pid = process.process.pid
        if pid in self._killed:
            return
        if point is not None and code == -signal.SIGKILL:
            await self._note(now(), pid, point)
            return
        self._journal.unexpected.append(f"a worker ended with {code} by itself")
        self.log += process.log[-30:]

    async def _note(self, at: float, pid: int, point: str | None = None) -> None:
        affected = await self._affected(pid)
        self._journal.harm.append(
            Harm(kind="killed", victim="worker", at=at, until=at, point=point, affected=affected)
        )
