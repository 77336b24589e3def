"""Fetches the `temporal` executable the way the Temporal SDK does.

The SDK only downloads in order to start a server. So a process of its own starts one, which ends
at once, and the executable that this leaves is ours.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from holdfast_devstack.errors import LocalStackError
from holdfast_devstack.process import Command, GuardedProcess
from holdfast_devstack.temporal.source import pinned_version

_POLL_SECONDS = 0.2

_START_A_SERVER = """
import asyncio, sys
from temporalio.testing import WorkflowEnvironment

async def main(folder, version):
    environment = await WorkflowEnvironment.start_local(
        download_dest_dir=folder, dev_server_download_version=version
    )
    await environment.shutdown()

asyncio.run(main(*sys.argv[1:]))
"""


async def download_temporal(
    target: Path, stall_seconds: float, progress: Callable[[str], None]
) -> None:
    """Downloads the pinned version into `target`.

    Gives up when no byte has come for `stall_seconds`. Raises `LocalStackError` with the reason.
    """
    progress(f"downloading Temporal {pinned_version()}")
    with tempfile.TemporaryDirectory(prefix="temporal-download-", dir=target.parent) as scratch:
        folder = Path(scratch) / "files"
        folder.mkdir()
        process = await GuardedProcess.start(
            Command(
                argv=(sys.executable, "-c", _START_A_SERVER, str(folder), f"v{pinned_version()}"),
                cwd=folder,
                log=Path(scratch) / "download.log",
                env=os.environ,
                grace_seconds=0,
            )
        )
        try:
            await _until_done_or_stalled(process, folder, stall_seconds)
            tail = await process.log_tail(1)
        finally:
            await process.stop()
        whole = [file for file in folder.iterdir() if os.access(file, os.X_OK)]
        if len(whole) != 1 or whole[0].suffix == ".downloading":
            raise LocalStackError(tail or f"nothing came for {stall_seconds:.0f} s")
        whole[0].chmod(0o755)  # a cache may be shared; the guard's umask is private
        whole[0].replace(target)


async def _until_done_or_stalled(
    process: GuardedProcess, folder: Path, stall_seconds: float
) -> None:
    seen, since = 0, time.monotonic()
    while process.running and time.monotonic() - since < stall_seconds:
        await asyncio.sleep(_POLL_SECONDS)
        with os.scandir(folder) as files:
            size = sum(file.stat().st_size for file in files)
        if size != seen:
            seen, since = size, time.monotonic()
