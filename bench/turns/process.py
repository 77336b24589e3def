"""A process of its own for a contender: `python -m bench.turns.process NAME`.

It reads a `Work` as a line from standard input, prints its port (0 where it has none) once it is
ready, and ends with its standard input.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import psutil

from bench.turns.contender import Work
from holdfast.runtime.process import exit_process
from tests.platform import ROOT

ProcessName = Literal["floor", "plugin", "saver"]

_READY_SECONDS = 60.0


@dataclass(frozen=True)
class ContenderProcess:
    """The process, ready. `port` is where it listens, where it does."""

    process: psutil.Process
    port: int


@asynccontextmanager
async def contender_process(name: ProcessName, work: Work) -> AsyncIterator[ContenderProcess]:
    """The process of a contender, for as long as the context lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.turns.process",
        name,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{work.model_dump_json()}\n".encode())
        line = await asyncio.wait_for(process.stdout.readline(), _READY_SECONDS)
        if not line:
            raise RuntimeError(f"the process of {name} did not start; its error is above")
        yield ContenderProcess(process=psutil.Process(process.pid), port=int(line))
    finally:
        process.stdin.close()
        await process.wait()


def _serving(name: str) -> Callable[[Work], AbstractAsyncContextManager[int]]:
    """What does the work of a contender; imported here, so that none loads what it does not need."""
    match name:
        case "floor":
            from bench.turns.floor import serving
        case "plugin":
            from bench.turns.plugin import serving
        case "saver":
            from bench.turns.saver import serving
        case _:
            raise SystemExit(f"no contender is called {name!r}: floor, plugin, saver")
    return serving


async def _serve(name: str) -> None:
    work = Work.model_validate_json(await asyncio.to_thread(sys.stdin.readline))
    async with _serving(name)(work) as port:
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
    exit_process(0)
