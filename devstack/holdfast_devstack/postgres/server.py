"""One embedded Postgres server."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT

import asyncpg

from holdfast_devstack.account import account_for_postgres
from holdfast_devstack.data_lock import data_lock
from holdfast_devstack.errors import ServerNotRunning, ServerStartFailed
from holdfast_devstack.ports import HOST, is_free, remembered_ports
from holdfast_devstack.postgres.binaries import PostgresBinaries, find_binaries
from holdfast_devstack.postgres.cluster import PRODUCT_ROLE, SUPERUSER, Cluster, open_cluster
from holdfast_devstack.process import Command, GuardedProcess, server_environment

DATABASE = "holdfast"

_START_TIMEOUT_SECONDS = 120.0  # after a crash it first replays its log
_START_TRIES = 3
_GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.02

OPTIONS: Mapping[str, str] = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Files in the data directory: containers have little /dev/shm, and a killed server leaves
    # its segments there.
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresServer:
    """A Postgres 18 with pgvector, its data in `data_dir`, on the same port at every start.

    The port changes only when something else has taken the remembered one. `options` are server
    settings on top of `OPTIONS`, such as `{"fsync": "off"}` for tests. When this process is root,
    the server runs as `account`, and its data may lie elsewhere: `open_cluster` says where.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        options: Mapping[str, str] | None = None,
        account: str = "nobody",
    ) -> None:
        self._dir = data_dir
        self._options = {**OPTIONS, **(options or {})}
        self._account = account
        self._port = 0
        self._cluster: Cluster | None = None
        self._process: GuardedProcess | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def database_url(self) -> str:
        """The URL of the database `holdfast` for its owner, with the password in it."""
        return self.url(DATABASE)

    @property
    def product_url(self) -> str:
        """The same for the role that the product runs as, which migrating makes."""
        cluster = self._existing_cluster()
        return (
            f"postgresql://{PRODUCT_ROLE}:{cluster.product_password}@{HOST}:{self._port}/{DATABASE}"
        )

    def url(self, database: str) -> str:
        password = self._existing_cluster().password
        return f"postgresql://{SUPERUSER}:{password}@{HOST}:{self._port}/{database}"

    def _existing_cluster(self) -> Cluster:
        if self._cluster is None:
            raise ServerNotRunning("Postgres has no address before its first `start()`.")
        return self._cluster

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """The pid of the postmaster. Raises `ServerNotRunning`."""
        return self._running_process().pid

    async def start(self) -> None:
        """Starts the server; returns when it answers and has the database `holdfast`.

        Does nothing when it runs already. Raises `PostgresBinariesMissing`, `DataUnusable`,
        `DataInUse`, `ServerStartFailed`.
        """
        if self.running:
            return
        self._dir.mkdir(parents=True, exist_ok=True)
        account = account_for_postgres(self._account)
        binaries = await asyncio.to_thread(find_binaries, account)
        sync = self._options.get("fsync", "on") != "off"
        async with data_lock(self._dir / "server.lock", grace_seconds=_GRACE_SECONDS) as lock:
            self._cluster = await open_cluster(self._dir, binaries, account, sync=sync)
            for tries_left in reversed(range(_START_TRIES)):
                ports = await asyncio.to_thread(
                    remembered_ports, self._dir / "ports.json", ("postgres",)
                )
                self._port = ports["postgres"]
                command = self._command(binaries, self._cluster)
                process = await GuardedProcess.start(command, lock=lock)
                try:
                    await self._until_ready(process)
                except ServerStartFailed:
                    await process.stop()
                    if is_free(self._port) or not tries_left:
                        raise
                except BaseException:
                    await process.stop()
                    raise
                else:
                    self._process = process
                    return

    async def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back. Does nothing when it does not run."""
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def kill(self) -> None:
        """SIGKILL to all of its processes, as when the machine fails. `start` recovers."""
        await self._running_process().kill()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP to all of its processes: connections stay open and nobody answers."""
        self._running_process().pause()

    def resume(self) -> None:
        self._running_process().resume()

    async def create_database(self, name: str, *, template: str = "template0") -> str:
        """Creates a database and returns its URL. Nobody may be connected to the template."""
        await self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    async def drop_database(self, name: str) -> None:
        """Drops it if it exists, with the connections to it."""
        await self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _running_process(self) -> GuardedProcess:
        if self._process is None or not self._process.running:
            raise ServerNotRunning("Postgres does not run; call `start()` first.")
        return self._process

    def _command(self, binaries: PostgresBinaries, cluster: Cluster) -> Command:
        settings = {
            **self._options,
            "listen_addresses": HOST,
            "port": str(self._port),
            "unix_socket_directories": "",
        }
        return Command(
            argv=(
                str(binaries.postgres),
                *("-D", str(cluster.data)),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ),
            log=self._dir / "server.log",
            cwd=cluster.data,
            env=server_environment(),
            account=cluster.account,
            stop_signal=SIGINT,
            grace_seconds=_GRACE_SECONDS,
        )

    async def _until_ready(self, process: GuardedProcess) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while process.running and time.monotonic() < deadline:
            try:
                connection = await asyncpg.connect(self.database_url, timeout=5)
                await connection.close()
                return
            except asyncpg.InvalidCatalogNameError:
                await self.create_database(DATABASE)
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(_POLL_SECONDS)
        what = "did not answer in time" if process.running else "exited while starting"
        raise ServerStartFailed(
            f"Postgres {what}. The whole log is {process.command.log}; its last lines:\n"
            + await process.log_tail()
        )
