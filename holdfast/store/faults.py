"""Named fault points at the commit boundaries, where failure tests kill the process.

Off unless `HOLDFAST_FAULT=<point>:<file>` is set: the first process that reaches the point creates
the file and kills itself; the file's existence keeps every later one alive.
"""

import os
import signal
from typing import Literal

FaultPoint = Literal[
    "before_model_call",
    "after_model_call",
    "after_ledger_save",
    "before_commit",
    "after_commit",
    "after_proposal_commit",
    "before_action_commit",
    "after_action_commit",
    "after_sending",
]

_SETTING = os.environ.get("HOLDFAST_FAULT", "")


async def reach(point: FaultPoint | str) -> None:
    """Die here if this is the fault point that the environment names, and nobody died there yet."""
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
