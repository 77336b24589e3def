"""How processes of this project begin and end."""

import contextlib
import os
import sys
from typing import NoReturn, TextIO


def prepare_streams() -> None:
    """Let writing to the standard streams never fail for what is written.

    What the streams' encoding has no character for is written as an escape. A stream that was closed
    leads nowhere; otherwise the next socket that is opened would take its place.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")


def lead_nowhere(stream: TextIO) -> None:
    """Let everything that is written to a stream from now on disappear, once it has no reader."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def leave(code: int) -> NoReturn:
    """End this process with `code`, now.

    The interpreter's own shutdown is left out: with a Temporal client in the process it aborts in
    about one exit of five (temporalio/sdk-python issue 300), and the code is lost.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
