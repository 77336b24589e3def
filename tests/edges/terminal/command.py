"""Runs `starter.py` as people and scripts run it: a process with arguments, streams, an exit code."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]

EVERY_COMMAND: dict[str, tuple[str, ...]] = {
    "send": ("c1", "hello", "--customer", "ann"),
    "show": ("c1",),
    "chat": ("c1", "--customer", "ann"),
    "list": (),
    "events": ("c1",),
    "cancel": ("c1", "--turn", "1"),
    "close": ("c1",),
    "fork": ("c1", "--turn", "1", "--as", "c2"),
    "approvals": (),
    "approve": ("ap_1", "--as", "ann"),
    "edit": ("ap_1", "--as", "ann", "--arguments", "{}"),
    "reject": ("ap_1", "--as", "ann", "--reason", "no"),
    "respond": ("ap_1", "--as", "ann", "--text", "why?"),
    "approval": ("ap_1",),
    "claim": ("ap_1", "--as", "ann"),
    "delegate": ("ap_1", "--as", "ann", "--to", "bob"),
    "comment": ("ap_1", "--as", "ann", "--text", "hm"),
    "audit verify": (),
    "policy check": ("examples/shop/holdfast_shop/policy.yaml",),
    "deliveries": (),
    "redrive": ("--all-dead",),
    "take-over": ("c1", "--as", "ann"),
    "reply": ("c1", "hello", "--as", "ann"),
    "hand-back": ("c1", "--as", "ann"),
}
"""Arguments that are right, as far as one can see without a server."""

WITHOUT_A_SERVER = frozenset({"policy check"})
"""Those of the commands that need none."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON documents on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, str]:
        """The error on stderr; nothing but it is printed anywhere."""
        assert self.out == ""
        described: dict[str, str] = json.loads(self.err)
        assert described.keys() == {"error", "message"}
        return described


class Command:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(
        cls, environment: Mapping[str, str], *arguments: str, stream: int = asyncio.subprocess.PIPE
    ) -> "Command":
        """Start it on pipes, or on a terminal; settings come from `environment` alone."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HOLDFAST_", "TEMPORAL_"))
        }
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "starter.py"),
                *arguments,
                env={**inherited, **environment},
                cwd=ROOT,
                stdin=stream,
                stdout=stream,
                stderr=stream,
            )
        )

    async def read_line(self) -> str:
        """The next line on its stdout."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()

    async def write_line(self, text: str) -> None:
        """A line for its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        await self.process.stdin.drain()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    async def end(self, stdin: str = "") -> Ended:
        """Give it the rest of its input, and wait until it has ended."""
        out, err = await self.process.communicate(stdin.encode())
        assert self.process.returncode is not None
        return Ended(self.process.returncode, out.decode(), err.decode())


async def starter(environment: Mapping[str, str], *arguments: str, stdin: str = "") -> Ended:
    """Run a command to its end."""
    return await (await Command.start(environment, *arguments)).end(stdin)
