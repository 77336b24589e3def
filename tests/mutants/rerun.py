"""Runs tests again and again: `python tests/mutants/rerun.py`, in a copy of the checkout.

Other people's modules are imported once; each line of input, the arguments of pytest as JSON, for how many
seconds they may run, and whether what is compiled is kept, is run in a fork of its own, which imports the
copy's modules as they are then. What goes back is a line of JSON, the exit code and the end of the output.
A mutant may run forever: a fork that takes too long is killed.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time

_MODULES = (
    "_hypothesis_pytestplugin",
    "alembic.command",
    "anyio.pytest_plugin",
    "asyncpg",
    "hypothesis.stateful",
    "jwt.algorithms",
    "langgraph.graph",
    "openai",
    "pydantic_settings",
    "pytest",
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "sqlalchemy.ext.asyncio",
    "starlette.applications",
    "temporalio.contrib.pydantic",
    "temporalio.testing",
    "temporalio.worker",
    "typer",
    "uvicorn",
)
_TOLD_CHARACTERS = 6_000

KILLED = -9


def _run(arguments: list[str], seconds: float, keeps: bool) -> tuple[int, str]:
    with tempfile.TemporaryFile() as output:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.setsid()
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            sys.dont_write_bytecode = (
                not keeps
            )  # a mutant may be as long, and as old, as the text before it
            import pytest

            code = int(pytest.main(arguments))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = _wait(child, seconds)
        output.seek(0)
        return code, output.read().decode(errors="replace")[-_TOLD_CHARACTERS:]


def _wait(child: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    code = None
    while code is None and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if ended else None
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # and whatever it has left behind
    if code is None:
        os.waitpid(child, 0)
    return KILLED if code is None else code


if __name__ == "__main__":
    sys.path[0] = os.getcwd()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for module in _MODULES:
        importlib.import_module(module)
    for line in sys.stdin:
        print(json.dumps(_run(*json.loads(line))), file=answers, flush=True)
