"""`python worker.py` run to its end."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.platform import ROOT


@dataclass(frozen=True)
class Ended:
    """How a worker process ended, and what it logged."""

    code: int
    log: str


async def worker(environment: Mapping[str, str], *arguments: str) -> Ended:
    """Run a worker that ends by itself; settings come from `environment` alone."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HOLDFAST_", "TEMPORAL_", "OPENAI_"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "worker.py"),
        *arguments,
        env={**inherited, **environment},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        log, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, log.decode())
