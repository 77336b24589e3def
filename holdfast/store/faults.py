"""Named points at the commit boundaries, where tests kill the process, or hold it up.

Killing is off unless `HOLDFAST_FAULT=<point>:<file>` is set: the first process that reaches the point creates
the file and kills itself; the file's existence keeps every later one alive.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal

FaultPoint = Literal[
    "before_model_call",
    "after_model_call",
    "after_ledger_save",
    "before_commit",
    "after_commit",
    "after_proposal_commit",
    "lock_taken",
    "after_counting",
    "after_repeats",
    "after_permission",
    "before_action_commit",
    "after_action_commit",
    "after_sending",
    "after_operation_commit",
    "while_judging",
    "while_scheduling",
]

_SETTING = os.environ.get("HOLDFAST_FAULT", "")


_pauses: dict[str, Callable[[], Awaitable[object]]] = {}
_holds: dict[str, Callable[[], object]] = {}


@contextmanager
def pausing(point: FaultPoint, pause: Callable[[], Awaitable[object]]) -> Iterator[None]:
    """Make code that reaches the point in this process wait for `pause`, for tests of concurrency."""
    _pauses[point] = pause
    try:
        yield
    finally:
        del _pauses[point]


@contextmanager
def holding(point: FaultPoint, hold: Callable[[], object]) -> Iterator[None]:
    """Have whichever thread passes the point in this process call `hold`, for tests of concurrency."""
    _holds[point] = hold
    try:
        yield
    finally:
        del _holds[point]


def pass_by(point: FaultPoint) -> None:
    """Stay here, in a thread, for as long as a test holds this point."""
    if point in _holds:
        _holds[point]()


async def reach(point: FaultPoint | str) -> None:
    """Wait here if a test pauses this point; die here if it is the one that the environment names, and
    nobody died there yet."""
    if point in _pauses:
        await _pauses[point]()
    if not _SETTING:
        return
    name, _, marker = _SETTING.partition(":")
    if name != point:
        return
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
