"""Folders with a file for each tenant, read when a worker starts and again when they change.

`{tenant}.yaml` is that tenant's, `default.yaml` that of every tenant without one. What is wrong with
one tenant's file is that tenant's matter alone.
"""

import asyncio
import logging
import stat
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.ids import is_id

ValueT = TypeVar("ValueT")

EVERY_OTHER_TENANT = "default"
"""The name of the file of tenants that have none of their own."""

LOOK_SECONDS = 1.0
"""Time between two looks at the files."""

LARGEST = 64 * 1024
"""Bytes of a file."""

_Stamp = tuple[int, int, int]
_NEVER: _Stamp = (0, 0, 0)

_logger = logging.getLogger(__name__)


@dataclass
class _File(Generic[ValueT]):
    """A file: how it looked when it was last read, what is in force, and why that is not what it says."""

    stamp: _Stamp
    value: ValueT
    problem: ConfigurationError | None = None


class TenantFiles(Generic[ValueT]):
    """What the files of a folder say at this moment.

    A file that is changed, added or removed takes effect within a second. One that cannot be used
    leaves in force what it said before; one that never could, `unusable`. `problems` tells which.

    Args:
        what: what a file is called in messages.
        folder: the tenants' files; None for none.
        read: the value of a text; its second argument is what errors call the file.
        unusable: what counts for the tenants of a file that cannot be used.
        replace: raises `ConfigurationError` where a value may not take the place of another.
        also: files outside of the folder, which are the installation's own.

    Raises:
        ConfigurationError: the folder is missing, or `default.yaml` or a file of `also` cannot be used:
            these are the installation's own mistakes.
    """

    def __init__(
        self,
        what: str,
        folder: Path | None,
        *,
        read: Callable[[str, str], ValueT],
        unusable: ValueT,
        replace: Callable[[Path, ValueT, ValueT], None] | None = None,
        also: Iterable[Path] = (),
    ) -> None:
        self._what = what
        self._folder = folder
        self._read = read
        self._unusable = unusable
        self._replace = replace
        self._also = frozenset(also)
        self._files: dict[Path, _File[ValueT]] = {}
        self._missing: str | None = None
        self._misnamed: set[Path] = set()
        self._looked = time.monotonic()
        self._watched = False
        for path in self._paths():
            self._look_at(path)
        for path in self._own():
            if (own := self._files.get(path)) is not None and own.problem is not None:
                raise own.problem

    async def watch(self) -> None:
        """Look at the files in a thread of its own from now on, until it is cancelled.

        Without it, the caller looks; a large file would hold up everything that shares the
        event loop.
        """
        loop, self._watched = asyncio.get_running_loop(), True
        with ThreadPoolExecutor(1, thread_name_prefix=f"{self._what} files") as thread:
            try:
                while True:
                    await loop.run_in_executor(thread, self._look)
                    await asyncio.sleep(LOOK_SECONDS)
            finally:
                self._watched = False

    def of(self, tenant: str) -> ValueT | None:
        """What counts for a tenant; None where the folder says nothing."""
        self._look_again()
        if self._folder is not None:
            for name in (tenant, EVERY_OTHER_TENANT):
                if (found := self._files.get(self._folder / f"{name}.yaml")) is not None:
                    return found.value
        return None

    def at(self, path: Path) -> ValueT:
        """What a file of `also` says."""
        self._look_again()
        return self._files[path].value

    def in_force(self) -> dict[Path, ValueT]:
        """What each file says, or said before it could not be used any more."""
        self._look_again()
        return {path: one.value for path, one in list(self._files.items())}

    def problems(self) -> list[str]:
        """What is wrong with files that are not in force as they are."""
        self._look_again()
        found = [str(one.problem) for one in list(self._files.values()) if one.problem is not None]
        found += [
            f"{path} is ignored: name it {{tenant}}.yaml or default.yaml"
            for path in sorted(self._misnamed)
        ]
        return found + ([self._missing] if self._missing else [])

    def _own(self) -> set[Path]:
        default = {self._folder / f"{EVERY_OTHER_TENANT}.yaml"} if self._folder else set()
        return {*self._also, *default}

    def _look_again(self) -> None:
        if not self._watched and time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            paths = self._paths()
        except (ConfigurationError, OSError) as error:
            if self._missing is None:
                _logger.error("every %s stays as it was: %s", self._what, error)
            self._missing = str(error)
            return
        self._missing = None
        for path in self._files.keys() - paths:
            _logger.info("the %s %s is gone", self._what, path)
            del self._files[path]
        for path in paths:
            self._look_at(path)

    def _look_at(self, path: Path) -> None:
        known = self._files.get(path)
        stamp = _NEVER
        try:
            stamp = _stamp(path)
            if known is not None and stamp == known.stamp:
                return
            value = self._read(read_text(path), str(path))
            if known is not None and known.value is not self._unusable and self._replace:
                self._replace(path, known.value, value)
        except Exception as error:  # whatever a tenant's file brings about, it is this tenant's
            if not isinstance(error, ConfigurationError):
                error = ConfigurationError(f"{path} cannot be used: {type(error).__name__}")
            self._keep_former(path, known, stamp, error)
            return
        if known is None or known.value != value:
            _logger.info("the %s %s is in force", self._what, path)
        self._files[path] = _File(stamp, value)

    def _keep_former(
        self, path: Path, known: _File[ValueT] | None, stamp: _Stamp, problem: ConfigurationError
    ) -> None:
        if known is None:
            _logger.error("the %s %s cannot be used: %s", self._what, path, problem)
            self._files[path] = _File(stamp, self._unusable, problem=problem)
            return
        if str(known.problem) != str(problem):
            _logger.error("the %s %s stays as it was: %s", self._what, path, problem)
        known.stamp, known.problem = stamp, problem

    def _paths(self) -> set[Path]:
        paths = set(self._also)
        if self._folder is not None:
            if not self._folder.is_dir():
                raise ConfigurationError(f"the {self._what} folder {self._folder} does not exist")
            there = set(self._folder.glob("*.y*ml"))
            named = {one for one in there if one.suffix == ".yaml" and is_id(one.stem)}
            for path in sorted(there - named - self._misnamed):
                _logger.error("%s is ignored: name it {tenant}.yaml or default.yaml", path)
            self._misnamed = there - named
            paths |= named
        return paths


def read_text(path: Path) -> str:
    """The text of a file that people write, at most `LARGEST` bytes.

    Raises:
        ConfigurationError: it cannot be read, or is larger.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(f"{path} is no file")
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
        if len(found) > LARGEST:
            raise ConfigurationError(f"{path} has more than {LARGEST} bytes")
        return found.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    return found.st_mtime_ns, found.st_size, found.st_ino
