"""One Temporal dev server on a database file."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from temporalio.service import ConnectConfig, RPCError, ServiceClient

from holdfast_devstack.data_lock import data_lock
from holdfast_devstack.errors import ServerNotRunning, ServerStartFailed
from holdfast_devstack.ports import HOST, is_free, remembered_ports
from holdfast_devstack.process import Command, GuardedProcess, server_environment
from holdfast_devstack.temporal.namespace import register_search_attributes

_START_TIMEOUT_SECONDS = 60.0
_START_TRIES = 3
_GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.02

DYNAMIC_CONFIG: Mapping[str, str] = {
    # The dev server's task readers poll 20 times a second, which caps a turn at 100 ms.
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.visibilityProcessorMaxPollRPS": "2000",
    # Timers fire up to this much late, by default a second: a recovery waits for several.
    "history.timerProcessorMaxTimeShift": '"50ms"',
    "matching.enableFairness": "true",  # fairness keys do nothing without it
}

SQLITE_PRAGMAS: Mapping[str, str] = {
    # A commit costs one flush to disk instead of several: two thirds of the latency of an update.
    "journal_mode": "wal",
    "synchronous": "full",
}


class TemporalServer:
    """A dev server with its data in `data_dir`, on the same ports at every start.

    The port changes only when something else has taken the remembered one. `ui=False` saves the
    web UI. `dynamic_config` (values are JSON) comes on top of `DYNAMIC_CONFIG`, `pragmas` on top of
    `SQLITE_PRAGMAS`, such as `{"synchronous": "off"}` for tests.
    """

    def __init__(
        self,
        binary: Path,
        data_dir: Path,
        *,
        namespace: str = "default",
        search_attributes: Mapping[str, str] | None = None,
        ui: bool = True,
        dynamic_config: Mapping[str, str] | None = None,
        pragmas: Mapping[str, str] | None = None,
    ) -> None:
        self.namespace = namespace
        self._binary = binary
        self._dir = data_dir
        self._search_attributes = dict(search_attributes or {})
        self._ui = ui
        self._dynamic_config = {**DYNAMIC_CONFIG, **(dynamic_config or {})}
        self._pragmas = {**SQLITE_PRAGMAS, **(pragmas or {})}
        self._ports: dict[str, int] = {}
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self._port('grpc')}"

    @property
    def ui_url(self) -> str:
        """Where the web UI is; nobody answers there with `ui=False`."""
        return f"http://{HOST}:{self._port('ui')}"

    @property
    def metrics_url(self) -> str:
        return f"http://{HOST}:{self._port('metrics')}/metrics"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """The pid of the server itself. Raises `ServerNotRunning`."""
        return self._running_process().pid

    async def start(self) -> None:
        """Starts the server; returns when it answers and knows the search attributes.

        Does nothing when it runs already. Raises `ServerStartFailed`, `DataInUse`.
        """
        if self.running:
            return
        self._dir.mkdir(parents=True, exist_ok=True)
        async with data_lock(self._dir / "server.lock", grace_seconds=_GRACE_SECONDS) as lock:
            for tries_left in reversed(range(_START_TRIES)):
                self._ports = await asyncio.to_thread(
                    remembered_ports, self._dir / "ports.json", ("grpc", "ui", "http", "metrics")
                )
                process = await GuardedProcess.start(self._command(), lock=lock)
                try:
                    await self._until_ready(process)
                except ServerStartFailed:
                    await process.stop()
                    lost_a_port = any(not is_free(port) for port in self._ports.values())
                    if not lost_a_port or not tries_left:
                        raise
                except BaseException:
                    await process.stop()
                    raise
                else:
                    self._process = process
                    return

    async def stop(self) -> None:
        """Graceful stop, by force after 10 s. Does nothing when it does not run."""
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def kill(self) -> None:
        """SIGKILL, as when the machine fails. Start it again with `start`."""
        await self._running_process().kill()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: the port stays open and nobody answers."""
        self._running_process().pause()

    def resume(self) -> None:
        self._running_process().resume()

    def _port(self, name: str) -> int:
        if not self._ports:
            raise ServerNotRunning("The Temporal server has no address before its first `start()`.")
        return self._ports[name]

    def _running_process(self) -> GuardedProcess:
        if self._process is None or not self._process.running:
            raise ServerNotRunning("The Temporal server does not run; call `start()` first.")
        return self._process

    def _command(self) -> Command:
        arguments = [
            *("--ip", HOST, "--port", str(self._ports["grpc"])),
            *("--http-port", str(self._ports["http"])),
            *("--metrics-port", str(self._ports["metrics"])),
            *(("--ui-port", str(self._ports["ui"])) if self._ui else ("--headless",)),
            *("--db-filename", str(self._dir / "temporal.db")),
            *("--namespace", self.namespace, "--log-level", "warn"),
        ]
        for name, kind in self._search_attributes.items():
            arguments += ["--search-attribute", f"{name}={kind}"]
        for key, value in self._dynamic_config.items():
            arguments += ["--dynamic-config-value", f"{key}={value}"]
        for name, value in self._pragmas.items():
            arguments += ["--sqlite-pragma", f"{name}={value}"]
        return Command(
            argv=(str(self._binary), "server", "start-dev", *arguments),
            log=self._dir / "server.log",
            cwd=self._dir,
            env=server_environment(),
            grace_seconds=_GRACE_SECONDS,
        )

    async def _until_ready(self, process: GuardedProcess) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        refusal = ""
        while process.running and time.monotonic() < deadline:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, self._ports["grpc"])
                writer.close()
                break
            await asyncio.sleep(_POLL_SECONDS)
        while process.running and time.monotonic() < deadline:
            try:
                client = await ServiceClient.connect(ConnectConfig(target_host=self.address))
                if await client.check_health(timeout=timedelta(seconds=5)):
                    await register_search_attributes(
                        client, self.namespace, self._search_attributes
                    )
                    return
            except (RuntimeError, RPCError) as error:  # the first when the connection is refused
                refusal = f" ({error})"
                await asyncio.sleep(_POLL_SECONDS)
        what = f"did not get ready{refusal}" if process.running else "exited while starting"
        raise ServerStartFailed(
            f"The Temporal dev server {what}. If the log below does not tell why, look into "
            f"{process.command.log}, or move {self._dir} away to start with an empty one.\n"
            + await process.log_tail()
        )
