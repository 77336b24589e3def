"""A command beside the embedded stack.

The stack is started, or found where it runs already; the command gets its addresses in its
environment. Ctrl-C and SIGTERM go to the command, and when it has ended, what was started is
stopped. The exit code is the command's.
"""

import asyncio
import os
import signal
import sys
from typing import NoReturn

from rich.console import Console

from holdfast.domain.errors import ConfigurationError, HoldfastError
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.runtime.process import exit_process, lead_nowhere
from holdfast.runtime.settings import read_settings
from holdfast.security.development_keys import DevelopmentKeys, write_development_keys
from holdfast_devstack.stack import LocalStack, local_stack


class _Narrator(Console):
    """Says how the servers do. That nobody listens any more is no reason to stop them."""

    def on_broken_pipe(self) -> None:
        """Go on without a word."""
        lead_nowhere(sys.stderr)


# Paths, messages and logs of servers are shown as they are.
_console = _Narrator(stderr=True, highlight=False, markup=False, emoji=False)

_INTERRUPTED = 130


class _CannotRun(Exception):
    """There is no such command, or it is none that can be run."""


async def _run(command: list[str]) -> int:
    settings = read_settings()
    async with local_stack(
        settings.data_dir,
        search_attributes=SEARCH_ATTRIBUTES,
        temporal_binary=settings.temporal_binary,
        progress=lambda line: _console.print(line, style="dim"),
    ) as stack:
        verb = "started" if stack.owned else "found running"
        _console.print(f"{verb}: Temporal at {stack.temporal_address}, Postgres", style="dim")
        _console.print(f"Temporal UI: {stack.temporal_ui_url}")
        keys = await asyncio.to_thread(write_development_keys, settings.data_dir)
        return await _run_beside(stack, keys, command)


async def _run_beside(stack: LocalStack, keys: DevelopmentKeys, command: list[str]) -> int:
    environment = {
        **os.environ,
        "HOLDFAST_TEMPORAL_ADDRESS": stack.temporal_address,
        "HOLDFAST_TEMPORAL_NAMESPACE": stack.namespace,
        "HOLDFAST_TEMPORAL_UI_URL": stack.temporal_ui_url,
        "HOLDFAST_DATABASE_URL": stack.database_url,
        "HOLDFAST_MIGRATION_URL": stack.migration_url,
        "HOLDFAST_REVIEWER_KEYS": str(keys.public),
        "HOLDFAST_SIGNING_KEY": str(keys.signing),
    }
    # A group of its own: the terminal's Ctrl-C reaches the command once, through this process.
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, start_new_session=True
        )
    except OSError as error:
        raise _CannotRun(str(error)) from error
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, _stop, process)
    return await process.wait()


def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()


def run_beside(command: list[str]) -> NoReturn:
    """Run the command, and end this process as it has ended."""
    try:
        code = asyncio.run(_run(command))
    except HoldfastError as error:
        _console.print(str(error), style="red")
        exit_process(2 if isinstance(error, ConfigurationError) else 4)
    except _CannotRun as error:
        _console.print(f"cannot run {command[0]}: {error}", style="red")
        exit_process(127)
    except KeyboardInterrupt:  # before there was a command that it could go to
        exit_process(_INTERRUPTED)
    exit_process(code if code >= 0 else 128 - code)
