"""Runs a command's operation with a client, prints its result, and says how the process ends."""

import asyncio
import contextlib
import json
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from holdfast.domain.errors import (
    ConfigurationError,
    HoldfastError,
    Overloaded,
    Refused,
    Unavailable,
)
from holdfast.edges.terminal.lines import json_line
from holdfast.runtime.process import exit_process, lost_output
from holdfast.telemetry.logs import log_command

if TYPE_CHECKING:
    # Imported where they are used: they bring the Temporal SDK, which `--help` can do without.
    from holdfast.client import HoldfastClient
    from holdfast.edges.terminal.output import Shown

WRONG_USAGE = 2
REFUSED = 3
UNREACHABLE = 4
OUTPUT_LOST = 5
INTERRUPTED = 130
_UNEXPECTED = 1

_INTERRUPT_SECONDS = 2.0
"""How long an interrupted command may take to close its connections."""


def call(
    tenant: str, as_json: bool, operation: Callable[["HoldfastClient"], Awaitable["Shown"]]
) -> None:
    """Print what `operation` returns."""

    async def print_result(client: "HoldfastClient") -> None:
        print_document(await operation(client), as_json)

    with_client(tenant, print_result)


def with_client(tenant: str, operation: Callable[["HoldfastClient"], Awaitable[None]]) -> None:
    """Run `operation` with a client of this environment's settings.

    Raises:
        KeyboardInterrupt: on Ctrl-C.
    """
    from holdfast.client import HoldfastClient

    async def run() -> None:
        _interrupt_on_ctrl_c()
        async with HoldfastClient.connect(tenant=tenant) as client:
            await operation(client)

    log_command()
    try:
        asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _interrupt_on_ctrl_c() -> None:
    """Cancel the running task on Ctrl-C, and end the process where that does not end the task: a query
    that is cancelled in the wrong moment keeps its connection forever."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupt() -> None:
        task.cancel()
        loop.call_later(_INTERRUPT_SECONDS, exit_process, INTERRUPTED)

    loop.add_signal_handler(signal.SIGINT, interrupt)


def print_document(shown: "Shown", as_json: bool) -> bool:
    """Print a result: as one line of JSON, or for people. Returns whether it could be written.

    That it could not is no failure of what was asked for, which is done.
    """
    if as_json:
        from pydantic_core import to_json

        print(json_line(to_json(shown).decode(), sys.stdout))
    else:
        from rich.console import Console

        from holdfast.edges.terminal.output import render

        render(Console(), shown)
    return lost_output() is None


def code_when_done() -> int:
    """How a process ends that has done what it was asked for; says on stderr where what it printed was
    lost. That nobody wanted to read on is no loss."""
    lost = lost_output()
    if lost is None or isinstance(lost, BrokenPipeError):
        return 0
    message = f"done, but the output could not be written: {lost.strerror}"
    print(json.dumps({"error": "OutputLost", "message": message}), file=sys.stderr)
    return OUTPUT_LOST


def exit_code(error: Exception) -> int:
    """How a process ends that ran into `error`; says on stderr, as JSON, what went wrong."""
    match error:
        case Refused():
            code = REFUSED
        case Unavailable():
            code = UNREACHABLE
        case ConfigurationError():
            code = WRONG_USAGE
        case _:
            code = _UNEXPECTED
    name = error.code if isinstance(error, HoldfastError) else type(error).__name__
    document: dict[str, str | float] = {"error": name, "message": str(error)}
    if isinstance(error, Overloaded):
        document["retry_after"] = error.retry_after
    told = json.dumps(document, ensure_ascii=False)
    with contextlib.suppress(OSError):  # nobody reads it
        if not isinstance(error, HoldfastError):
            traceback.print_exception(error)
        print(json_line(told, sys.stderr), file=sys.stderr, flush=True)
    return code
