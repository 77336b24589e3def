"""Builds the `temporal` executable from its pinned source."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from holdfast_devstack.errors import LocalStackError
from holdfast_devstack.process import Command, GuardedProcess
from holdfast_devstack.temporal.source import MODULE, SOURCE, pinned_version

_PROGRESS_SECONDS = 30.0


async def build_temporal(target: Path, progress: Callable[[str], None]) -> None:
    """Builds the pinned version into `target`, with the Go toolchain and its module proxy.

    `target` appears whole or not at all. Raises `LocalStackError` with the reason.
    """
    go = shutil.which("go")
    if go is None:
        raise LocalStackError("there is no `go` on PATH")
    announcement = "building Temporal from source, about 5 minutes on 2 cores, once per machine"
    progress(announcement)
    with tempfile.TemporaryDirectory(prefix="temporal-build-", dir=target.parent) as scratch:
        folder = Path(scratch)
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(SOURCE / name, folder / name)
        process = await GuardedProcess.start(
            Command(
                argv=(
                    *(go, "build", "-mod=readonly", "-buildvcs=false", *_LINK),
                    *("-o", "temporal", f"{MODULE}/cmd/temporal"),
                ),
                cwd=folder,
                log=folder / "build.log",
                # A workspace file further up would replace the pinned module.
                env={**os.environ, "GOWORK": "off"},
            )
        )
        try:
            started = time.monotonic()
            finished = asyncio.create_task(process.wait())
            while not (await asyncio.wait({finished}, timeout=_PROGRESS_SECONDS))[0]:
                progress(f"{announcement} … {time.monotonic() - started:.0f} s")
            if finished.result() != 0:
                raise LocalStackError(f"`go build` failed:\n{await process.log_tail()}")
        finally:
            await process.stop()
        (folder / "temporal").chmod(0o755)  # a cache may be shared; the guard's umask is private
        (folder / "temporal").replace(target)
    progress(f"built Temporal {pinned_version()} in {time.monotonic() - started:.0f} s")


_LINK = ("-ldflags", f"-s -w -X {MODULE}/internal/temporalcli.Version={pinned_version()}")
