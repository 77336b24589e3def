"""Shells that run the commands of a page as a reader would, with Holdfast installed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from holdfast.runtime.connection import require_database_url, require_migration_url
from holdfast.runtime.settings import Settings


def environment_of(settings: Settings, task_queue: str) -> dict[str, str]:
    """What a shell has in which a stack was named, with the offline model."""
    inherited = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "80",
        "HOLDFAST_TEMPORAL_ADDRESS": str(settings.temporal_address),
        "HOLDFAST_DATABASE_URL": require_database_url(settings),
        "HOLDFAST_MIGRATION_URL": require_migration_url(settings),
        "HOLDFAST_REVIEWER_KEYS": settings.reviewer_keys or "",
        "HOLDFAST_SIGNING_KEY": str(settings.signing_key or ""),
        "HOLDFAST_TASK_QUEUE": task_queue,
        "HOLDFAST_HEALTH_PORT": "0",
        "HOLDFAST_DATABASE_CONNECTIONS": "5",
    }


async def run(
    script: str, folder: Path, environment: Mapping[str, str], *, seconds: float = 280
) -> str:
    """What a script prints. It has to end well; what it leaves running is killed."""
    async with _shell(f"set -eu\n{script}", folder, environment) as shell:
        async with asyncio.timeout(seconds):
            output, errors = await shell.communicate()
        assert shell.returncode == 0, f"{output.decode()}\n{errors.decode()}"
        return output.decode()


def assert_lines(expected: list[str], printed: str) -> None:
    """Every expected line was printed, in this order; other lines may stand between them."""
    left = [line.rstrip() for line in printed.splitlines()]
    for line in expected:
        assert line in left, f"{line!r} is missing, or too early, in:\n{printed}"
        left = left[left.index(line) + 1 :]


@asynccontextmanager
async def _shell(
    script: str, folder: Path, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield shell
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        await shell.wait()
