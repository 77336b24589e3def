"""The data of one embedded Postgres: where it lies, its password, its creation."""

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from holdfast_devstack.account import Account, owner_of
from holdfast_devstack.errors import DataUnusable
from holdfast_devstack.guard import command_line
from holdfast_devstack.postgres.binaries import MAJOR_VERSION, PostgresBinaries, shared_home
from holdfast_devstack.process import Command, GuardedProcess, server_environment

SUPERUSER = "holdfast"
PRODUCT_ROLE = "holdfast_product"

_OUTSIDE = "postgres-data-"
_BELONGS_TO = "belongs-to"


@dataclass(frozen=True)
class Cluster:
    """A data directory that may be opened by `account`, with the passwords of the superuser and of
    the role that the product runs as."""

    data: Path
    password: str
    product_password: str
    account: Account | None


async def open_cluster(
    home: Path, binaries: PostgresBinaries, account: Account | None, *, sync: bool
) -> Cluster:
    """The cluster that belongs to `home`, created when there is none.

    `home` keeps the password and the log. The data lies in it too, unless `account` cannot reach
    it: then the data is in root's shared folder and `home/data-location` names the place. Root runs
    existing data as its owner, whom an ordinary start may have made somebody else. With
    `sync=False` the new files are not forced to disk. Raises `DataUnusable`.
    """
    password = _password(home / "password")
    data = _data_directory(home, account)
    try:
        exists = (data / "PG_VERSION").exists()
    except PermissionError:
        raise DataUnusable(
            f"The data of {home} is in {data}, which belongs to another user. Start as that user "
            "or as root, or use another data folder."
        ) from None
    if not exists:
        await _create(home, data, binaries, password, account, sync=sync)
    _check_version(data)
    _remove_stale_pid_file(data)
    return Cluster(
        data,
        password,
        _password(home / "product-password"),
        None if account is None else owner_of(data),
    )


def delete_cluster(home: Path) -> None:
    """Deletes all that `open_cluster` has made for `home`, `home` included."""
    location = home / "data-location"
    if location.exists():
        shutil.rmtree(Path(location.read_text()).parent, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _password(file: Path) -> str:
    with suppress(FileNotFoundError):
        return file.read_text()
    password = secrets.token_hex(24)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(password)
    draft.replace(file)
    return password


def _data_directory(home: Path, account: Account | None) -> Path:
    location = home / "data-location"
    if location.exists():
        return Path(location.read_text())
    data = home / "data"
    if account is None or data.exists() or account.can_reach(home):
        return data
    shared = shared_home()
    _sweep(shared)
    # A new name each time: with `home` deleted, the data is meant to be gone as well.
    outside = shared / f"{_OUTSIDE}{secrets.token_hex(6)}"
    outside.mkdir(mode=0o755)
    (outside / _BELONGS_TO).write_text(f"{home.absolute()}\n")
    location.write_text(str(outside / "data"))
    return outside / "data"


def _sweep(shared: Path) -> None:
    """Deletes the data of homes that have vanished from the system's temporary folder.

    Only of those: a home elsewhere may be on a disk that is not mounted at the moment.
    """
    for note in shared.glob(f"{_OUTSIDE}*/{_BELONGS_TO}"):
        home = Path(note.read_text().strip())
        vanished = home.is_relative_to(tempfile.gettempdir()) and not home.exists()
        if vanished and not _server_pid(note.with_name("data")):
            shutil.rmtree(note.parent, ignore_errors=True)


async def _create(
    home: Path,
    data: Path,
    binaries: PostgresBinaries,
    password: str,
    account: Account | None,
    *,
    sync: bool,
) -> None:
    # Under another name first: a half-made one of an earlier try must not look like a cluster.
    draft = data.with_name("data.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password_file = data.with_name("initdb-password")
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    try:
        if account is not None:
            os.chown(draft, *account.ids)
            os.chown(password_file, *account.ids)
        process = await GuardedProcess.start(
            Command(
                argv=(
                    str(binaries.initdb),
                    *("-D", str(draft), "-U", SUPERUSER, "--pwfile", str(password_file)),
                    *("--auth=scram-sha-256", "--encoding=UTF8"),
                    # The same order of text on every system, whatever its C library says.
                    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                    *(() if sync else ("--no-sync",)),
                ),
                cwd=draft,
                log=home / "initdb.log",
                account=account,
                env=server_environment(),
            )
        )
        try:
            code = await process.wait()
        finally:
            await process.stop()
        if code != 0:
            raise DataUnusable(
                f"Postgres could not create its data in {data.parent}. It needs some 50 MB there, "
                "and the user that runs it needs an entry in /etc/passwd.\n"
                + await process.log_tail()
            )
        draft.rename(data)
    finally:
        password_file.unlink(missing_ok=True)


def _check_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != str(MAJOR_VERSION):
        raise DataUnusable(
            f"{data} was made by PostgreSQL {found}, and this release brings {MAJOR_VERSION}, "
            "which cannot read it. Go back to the release that made it and dump the database "
            f"with pg_dump, or convert the data with pg_upgrade, or move {data} away to start "
            "with an empty database."
        )


def _remove_stale_pid_file(data: Path) -> None:
    """Removes a dead server's pid file whose pid has since been given to another process.

    Postgres would take that process for the server and refuse to start; in containers, where pids
    are few, that happens at every second start.
    """
    if _server_pid(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)


def _server_pid(data: Path) -> int | None:
    """The pid of the server that runs on `data`."""
    try:
        pid = (data / "postmaster.pid").read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(pid) if pid.isdigit() and str(data) in command_line(int(pid)) else None
