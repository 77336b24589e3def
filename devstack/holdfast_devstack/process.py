"""A process that cannot outlive its owner: the owner's side of `guard`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from holdfast_devstack import guard
from holdfast_devstack.account import Account
from holdfast_devstack.errors import ServerStartFailed

_LOG_BYTES_KEPT = 5_000_000
_POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run, as whom, and how to end it.

    `log` gets both output streams. `stop_signal` asks for a graceful end; after `grace_seconds` the
    process is killed.
    """

    argv: tuple[str, ...]
    log: Path
    cwd: Path
    env: Mapping[str, str]
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0


def server_environment() -> dict[str, str]:
    """The few variables a server needs. Others (`PGPORT`, `TEMPORAL_ADDRESS`) would steer it."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}


class GuardedProcess:
    """A running command. It ends when `stop` is called, when this object goes, or with its owner."""

    def __init__(
        self, guard_process: subprocess.Popen[bytes], pid: int, command: Command, log_start: int
    ) -> None:
        self._guard = guard_process
        self.pid = pid
        self.command = command
        self._log_start = log_start
        # `Popen` keeps itself, and so the pipe, when it is dropped before its process has ended.
        assert guard_process.stdin is not None
        self._let_go = weakref.finalize(self, guard_process.stdin.close)

    @classmethod
    async def start(cls, command: Command, *, lock: int | None = None) -> "GuardedProcess":
        """Starts it; returns when it has its pid.

        `lock` is a file descriptor of `data_lock`, which the process and its children then hold
        too. Raises `ServerStartFailed` when the guard itself cannot run.
        """
        return await asyncio.to_thread(cls._start, command, lock)

    @classmethod
    def _start(cls, command: Command, lock: int | None) -> "GuardedProcess":
        _rotate(command.log)
        order: guard.GuardOrder = {
            "argv": list(command.argv),
            "env": dict(command.env),
            "cwd": str(command.cwd),
            "lock": lock,
            "account": None if command.account is None else command.account.ids,
            "stop_signal": command.stop_signal,
            "grace_seconds": command.grace_seconds,
        }
        # Private: servers quote statements and data in their logs.
        with open(command.log, "ab", opener=partial(os.open, mode=0o600)) as log:
            log_start = log.tell()
            guard_process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, Path(command.argv[0]).name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C in a terminal goes to every process of the session; only the owner gets it.
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )
        assert guard_process.stdin is not None
        assert guard_process.stdout is not None
        with suppress(BrokenPipeError):
            guard_process.stdin.write(json.dumps(order).encode() + b"\n")
            guard_process.stdin.flush()
        with guard_process.stdout as answers:
            answer = answers.readline().decode().strip()
        if answer.isdigit():
            return cls(guard_process, int(answer), command, log_start)
        guard_process.stdin.close()
        guard_process.wait()
        raise ServerStartFailed(
            f"The process that guards {command.argv[0]} could not start.\n"
            + _read_tail(command.log, log_start, 20)
        )

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    async def wait(self) -> int:
        """The exit code, or 128 + signal, once the process and its children are gone."""
        # Polling, so that a waiter blocks no thread and may be in another event loop than `start`.
        while self.running:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        return self._guard.wait()

    async def stop(self) -> int:
        """Ends it gracefully, by force after the grace period; returns the exit code."""
        self._let_go()
        return await self.wait()

    async def kill(self) -> None:
        """SIGKILL to it and its children; returns when they are gone."""
        if self.running:
            await asyncio.to_thread(guard.signal_tree, self.pid, signal.SIGKILL)
        await self.stop()

    def pause(self) -> None:
        """SIGSTOP to it and its children, which takes effect within some milliseconds."""
        guard.send_signal(self.pid, signal.SIGSTOP)  # from here on it has no new children
        guard.signal_tree(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        guard.signal_tree(self.pid, signal.SIGCONT)

    async def log_tail(self, lines: int = 20) -> str:
        """The last lines that this run has written to its log."""
        return await asyncio.to_thread(_read_tail, self.command.log, self._log_start, lines)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES_KEPT:
        log.replace(log.with_suffix(".old.log"))


def _read_tail(log: Path, start: int, lines: int) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(start, file.tell() - 20_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
