"""A lock between processes that ends with its holder, however the holder ends."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from holdfast.runtime.stack import is_locked
from holdfast_devstack.errors import DataUnusable

_RETRY_SECONDS = 0.1


class FileLock:
    """An exclusive `flock`, also between two users in one process. The file holds the holder's pid.

    Methods raise `DataUnusable`, `is_held` raises `Unavailable`, when the file belongs to another user.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def try_acquire(self) -> int | None:
        """The locked file descriptor, `None` if somebody else holds the lock."""
        fd = self._open(os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd
        return fd

    def release(self) -> None:
        """Lets go. A process that has inherited the descriptor goes on holding the lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def is_held(self) -> bool:
        """Whether anybody holds the lock now."""
        return self._fd is not None or is_locked(self._path)

    def holder(self) -> str:
        """The pid of the last holder, for messages."""
        try:
            return self._path.read_text() or "unknown"
        except OSError:
            return "unknown"

    def _open(self, flags: int) -> int:
        try:
            return os.open(self._path, flags, 0o600)
        except PermissionError:
            raise DataUnusable(
                f"{self._path.parent} belongs to another user. "
                "Start as that user, or use another data folder."
            ) from None

    @asynccontextmanager
    async def held(self, timeout_seconds: float) -> AsyncIterator[None]:
        """Waits for the lock; raises `TimeoutError`."""
        deadline = time.monotonic() + timeout_seconds
        while self.try_acquire() is None:
            if time.monotonic() > deadline:
                raise TimeoutError
            await asyncio.sleep(_RETRY_SECONDS)
        try:
            yield
        finally:
            self.release()
