"""Keeps a server from outliving its owner: a small process between the two.

Run as a script with the read end of a pipe as standard input, whose first line is a `GuardOrder` in
JSON. It starts the server as its child, prints the server's pid, and stops the server as soon as the
pipe ends, which happens when the owner closes it or dies in whatever way. Standard error is the
server's log. It exits with the server's exit code, or 128 + signal.

Standard library only, and nothing of ours: it is started by path, isolated, to be up in no time.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import NoReturn, TypedDict

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_OWNER_CHECK_SECONDS = 0.5
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}


class GuardOrder(TypedDict):
    """What the owner asks for.

    `lock` is an inherited file descriptor, which the server and its children inherit in turn, so
    that the lock on it is held as long as any of us lives; the file tells who we are. `account` is
    (uid, gid) to run as.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: str
    lock: int | None
    account: tuple[int, int] | None
    stop_signal: int
    grace_seconds: float


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, parents before their children."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found


def signal_tree(pid: int, number: int) -> None:
    """Sends a signal to `pid` and to everything below it."""
    for each in [pid, *descendants(pid)]:
        send_signal(each, number)


def send_signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def command_line(pid: int) -> str:
    """How `pid` was started, empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "" if _has_proc() else _ps("-o", "command=", "-p", str(pid)).strip()


def _has_proc() -> bool:
    return os.path.exists("/proc/self/stat")


def _parents() -> list[tuple[int, int]]:
    if not _has_proc():
        rows = (line.split() for line in _ps("-A", "-o", "pid=,ppid=").splitlines())
        return [(int(pid), int(parent)) for pid, parent in rows]
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                # The second field is the command in parentheses and may hold spaces.
                found.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
    return found


def _ps(*arguments: str) -> str:
    import subprocess  # only where there is no /proc; importing it costs a third of our start

    return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False).stdout


class _Guard:
    def __init__(self, order: GuardOrder) -> None:
        self.order = order
        self.owner = os.getppid()
        self.server = 0
        self.exit_code: int | None = None
        self.asked_to_stop = False
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the owner's thread may block some
        self.wake, wake_write = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)

    def run(self) -> int:
        # Orphans of the server come to us instead of init, so that none is missed at the end.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._start()
        _print(str(self.server))
        while self.exit_code is None and not self._owner_gone(_OWNER_CHECK_SECONDS):
            self._reap()
        if self.exit_code is None:
            self._stop()
        self._end_orphans()
        return self.exit_code if self.exit_code is not None else 1

    def _on_stop_signal(self, *_: object) -> None:
        self.asked_to_stop = True

    def _owner_gone(self, wait_seconds: float) -> bool:
        """Waits for the end of the owner or of a child, at most `wait_seconds`."""
        ready, _, _ = select.select([0, self.wake], [], [], wait_seconds)
        if self.wake in ready:
            os.read(self.wake, 4096)
        if 0 in ready and not os.read(0, 4096):
            return True
        # A fork of the owner may hold the pipe open after the owner has died.
        return self.asked_to_stop or os.getppid() != self.owner

    def _start(self) -> None:
        guard = os.getpid()
        started, starting = os.pipe()
        self.server = os.fork()
        if self.server == 0:
            try:
                self._become_server(guard)
            except BaseException as error:
                os.write(2, f"cannot run {self.order['argv'][0]}: {error}\n".encode())
            finally:
                os._exit(127)
        # Ends when the program has taken over: a signal sent before that would be lost.
        os.close(starting)
        os.read(started, 1)
        os.close(started)

    def _become_server(self, guard: int) -> NoReturn:
        order = self.order
        signal.set_wakeup_fd(-1)
        for number in _STOP_SIGNALS | _IGNORED_BY_PYTHON | {signal.SIGCHLD}:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.umask(0o077)
        if order["lock"] is not None:
            os.ftruncate(order["lock"], 0)
            os.pwrite(order["lock"], f"{guard} {os.getpid()} {order['argv'][0]}".encode(), 0)
        if order["account"] is not None:
            uid, gid = order["account"]
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        # After the change of user, which clears it. It covers the death of the guard itself.
        _prctl(_PR_SET_PDEATHSIG, order["stop_signal"])
        if os.getppid() != guard:
            os._exit(127)
        os.chdir(order["cwd"])
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.execve(order["argv"][0], order["argv"], order["env"])

    def _stop(self) -> None:
        send_signal(self.server, self.order["stop_signal"])
        signal_tree(self.server, signal.SIGCONT)  # a paused server cannot stop
        deadline = time.monotonic() + self.order["grace_seconds"]
        while self.exit_code is None and time.monotonic() < deadline:
            select.select([self.wake], [], [], 0.05)
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake, 4096)
            self._reap()
        if self.exit_code is None:
            signal_tree(self.server, signal.SIGKILL)
            while self.exit_code is None:
                time.sleep(0.01)
                self._reap()

    def _end_orphans(self) -> None:
        while self._reap():
            for pid in descendants(os.getpid()):
                send_signal(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _reap(self) -> bool:
        """Collects ended children; False when there is none left, ended or not."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return True
                if pid == self.server:
                    code = os.waitstatus_to_exitcode(status)
                    self.exit_code = code if code >= 0 else 128 - code
        return False


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _print(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{line}\n".encode())


def _read_order() -> GuardOrder:
    # Not through `sys.stdin`, whose buffer would hide the end of the pipe from `select`.
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(0, 65536)
        if not chunk:
            sys.exit(1)
        line += chunk
    order: GuardOrder = json.loads(line)
    return order


if __name__ == "__main__":
    sys.exit(_Guard(_read_order()).run())
