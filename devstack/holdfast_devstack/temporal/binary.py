"""Finds the `temporal` executable, or makes one.

In this order: the setting, `temporal` on PATH, our cache, the SDK's own download, a build with Go.
"""

import asyncio
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from holdfast_devstack.errors import (
    LocalStackError,
    TemporalBinaryMissing,
    WrongTemporalBinary,
)
from holdfast_devstack.file_lock import FileLock
from holdfast_devstack.temporal.build import build_temporal
from holdfast_devstack.temporal.download import download_temporal
from holdfast_devstack.temporal.source import go_version, pinned_version

MINIMUM_SERVER = (1, 29)
"""Older servers ignore fairness keys."""

_WAIT_FOR_BUILDER_SECONDS = 1800.0


async def find_temporal(
    setting: Path | None = None,
    *,
    progress: Callable[[str], None],
    download_stall_seconds: float = 20.0,
) -> Path:
    """The path of a usable `temporal` executable.

    `setting` is taken as it is. The first call on a machine may build it, which takes about 5
    minutes on 2 cores; parallel callers wait for the one that builds. The download is given up
    when no byte has come for `download_stall_seconds`. Raises `TemporalBinaryMissing`, whose
    message says why each way failed.
    """
    if setting is not None:
        return await asyncio.to_thread(_as_set, setting)
    reasons: list[str] = []
    on_path = await asyncio.to_thread(_on_path, reasons)
    if on_path is not None:
        return on_path
    cached = cached_binary()
    if cached.exists():
        return cached
    _require_writable(cached.parent)
    lock = FileLock(cached.with_name(f"{cached.name}.lock"))
    if lock.is_held():
        progress(f"waiting for process {lock.holder()}, which fetches or builds Temporal")
    try:
        async with lock.held(_WAIT_FOR_BUILDER_SECONDS):
            if not cached.exists():
                await _make(cached, reasons, progress, download_stall_seconds)
    except TimeoutError:
        reasons.append(f"- cache: process {lock.holder()} has been building {cached} for too long")
    if cached.exists():
        return cached
    raise TemporalBinaryMissing(
        "There is no Temporal server to run. Any one of these helps: set the path of a `temporal` "
        "executable; put `temporal` (the Temporal CLI) on PATH; allow the SDK's download; install "
        f"Go {go_version()} or newer to have it built. What was tried:\n" + "\n".join(reasons)
    )


def cached_binary() -> Path:
    """Where the executable of the pinned version is kept for this platform.

    Under the user's cache folder, or under `HOLDFAST_CACHE_DIR`.
    """
    folder = os.environ.get("HOLDFAST_CACHE_DIR") or platformdirs.user_cache_dir("holdfast")
    name = f"temporal-{pinned_version()}-{sys.platform}-{platform.machine()}"
    return Path(folder).absolute() / name


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TemporalBinaryMissing(
            f"The Temporal server cannot be kept in {folder}: {error.strerror}. Set HOLDFAST_CACHE_DIR to a "
            "folder that can be written, or HOLDFAST_TEMPORAL_BINARY to a `temporal` executable."
        ) from None


async def _make(
    target: Path, reasons: list[str], progress: Callable[[str], None], stall_seconds: float
) -> None:
    try:
        await download_temporal(target, stall_seconds, progress)
    except LocalStackError as error:
        reasons.append(f"- the SDK's download: {error}")
    else:
        return
    try:
        await build_temporal(target, progress)
    except LocalStackError as error:
        reasons.append(f"- build with Go: {error}")


def _as_set(setting: Path) -> Path:
    if not os.access(setting, os.X_OK) or setting.is_dir():
        raise WrongTemporalBinary(
            f"The Temporal binary is set to {setting}, which is not an executable file. "
            "Correct the setting, or take it away to have one found."
        )
    return setting.absolute()


def _on_path(reasons: list[str]) -> Path | None:
    found = shutil.which("temporal")
    if found is None:
        reasons.append("- PATH: there is no `temporal`")
        return None
    try:
        output = subprocess.run(
            [found, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        reasons.append(f"- PATH: {found} does not run: {error}")
        return None
    version = re.search(r"Server (\d+)\.(\d+)", output)
    if version is None or (int(version[1]), int(version[2])) < MINIMUM_SERVER:
        wanted = ".".join(map(str, MINIMUM_SERVER))
        reasons.append(
            f"- PATH: {found} is {output.strip() or 'no Temporal CLI'!r}; server {wanted} is needed"
        )
        return None
    return Path(found).absolute()
