"""Makes sure that a data folder has one server at a time, and that a left-over one is gone."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast_devstack import guard
from holdfast_devstack.errors import DataInUse
from holdfast_devstack.file_lock import FileLock

_ORPHAN_SECONDS = 2.0
_KILLED_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class _Holder:
    """Who holds the lock: an owner that is about to start a server, or a guard with its server."""

    pid: int
    server: int | None = None
    program: str = ""

    @property
    def orphaned_server(self) -> int | None:
        """The server's pid, if its guard is dead."""
        if self.server is None or guard.__file__ in guard.command_line(self.pid):
            return None
        return self.server if guard.command_line(self.server).startswith(self.program) else None


@asynccontextmanager
async def data_lock(path: Path, *, grace_seconds: float) -> AsyncIterator[int]:
    """Yields a locked file descriptor, which a `GuardedProcess` then takes over.

    Waits for a server that is being stopped, which takes at most `grace_seconds`, and kills one
    whose guard was killed. Raises `DataInUse` if the folder is still in use after that.
    """
    lock = FileLock(path)
    started = time.monotonic()
    deadline = started + grace_seconds + 2
    killed = False
    while (fd := lock.try_acquire()) is None:
        now = time.monotonic()
        holder = await asyncio.to_thread(_holder, path)
        orphan = holder.orphaned_server
        if orphan is not None and not killed and now > started + _ORPHAN_SECONDS:
            await asyncio.to_thread(guard.signal_tree, orphan, signal.SIGKILL)
            killed, deadline = True, now + _KILLED_SECONDS
        elif now > deadline:
            raise DataInUse(
                f"Process {holder.server or holder.pid} already runs on {path.parent}. "
                "Stop it, or use another data folder."
            )
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield fd
    finally:
        lock.release()


def _holder(path: Path) -> _Holder:
    words = path.read_text().split(" ", 2)
    if len(words) < 3:
        return _Holder(int(words[0] or 0))
    return _Holder(int(words[0]), int(words[1]), words[2])
