"""How processes of this project begin and end."""

import contextlib
import io
import os
import select
import sys
from typing import Any, NoReturn, TextIO


def prepare_streams() -> None:
    """Let the standard streams never fail for what is written or read.

    What the streams' encoding has no character for is written as an escape. What cannot be decoded is
    read as halves of surrogate pairs, which no text of ours may have. A stream that was closed leads
    nowhere; otherwise the next socket that is opened would take its place.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 until the process ends
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 until the process ends
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors=errors)


class _Unfailing(io.FileIO):
    """A standard stream that takes everything; what cannot be written disappears."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write as much as can be; from the first failure on, nothing."""
        try:
            # Nothing comes back where somebody else has made the file non-blocking, and it is full.
            while (written := super().write(data)) is None:
                select.select((), (self,), ())
        except OSError as error:
            self.lost = error
            _lead_nowhere(self.fileno())
            return memoryview(data).nbytes
        return written


def never_fail_to_write() -> None:
    """Let writing to the standard streams never fail, for a process whose work is done whether or not it
    can say so; `lost_output` tells what came in the way."""
    for name in ("stdout", "stderr"):
        stream: TextIO = getattr(sys, name)
        raw = _Unfailing(stream.fileno(), "w", closefd=False)
        unfailing = io.TextIOWrapper(
            io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=name == "stderr" or stream.isatty(),
        )
        setattr(sys, name, unfailing)


def lost_output() -> OSError | None:
    """Why not all of the standard output was written so far; `None` if it was."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Unfailing) else None


def lead_nowhere(stream: TextIO) -> None:
    """Let everything that is written to a stream from now on disappear, once it has no reader."""
    _lead_nowhere(stream.fileno())


def _lead_nowhere(file: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, file)
    os.close(nowhere)


def exit_process(code: int) -> NoReturn:
    """End this process with `code`, now.

    The interpreter's own shutdown is left out: with a Temporal client in the process it aborts in
    about one exit of five (temporalio/sdk-python issue 300), and the code is lost.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
