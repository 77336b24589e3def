"""The unprivileged account that runs Postgres, which refuses to run as root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from holdfast_devstack.errors import LocalStackError


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    @property
    def ids(self) -> tuple[int, int]:
        return (self.uid, self.gid)

    def can_reach(self, path: Path) -> bool:
        """Whether this account may go through every folder above `path` and read `path`."""
        path = path.resolve()
        return self._may(path, 4) and all(self._may(folder, 1) for folder in path.parents)

    def _may(self, path: Path, mode: int) -> bool:
        try:
            info = path.stat()
        except PermissionError:
            return False
        if info.st_uid == self.uid:
            mode <<= 6
        elif info.st_gid == self.gid:
            mode <<= 3
        return info.st_mode & mode == mode


def account_for_postgres(name: str) -> Account | None:
    """The account to change to, `None` when this process is not root and just stays itself."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise LocalStackError(
            f"Postgres does not run as root, and there is no user {name!r} to run it as. "
            "Create that user, name another one, or start as an ordinary user."
        ) from None
    if entry.pw_uid == 0:
        raise LocalStackError(f"Postgres does not run as root, and {name!r} is root. Name another.")
    return Account(entry.pw_uid, entry.pw_gid)


def owner_of(path: Path) -> Account:
    info = path.stat()
    return Account(info.st_uid, info.st_gid)
