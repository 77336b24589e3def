"""Takes out of a history what names the machine that recorded it, and what replay never looks at."""

import os
import re
import socket
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.domain.errors import HoldfastError

_LEFT_OUT = {"identity", "stackTrace", "requestId", "taskId", "meteringMetadata"}
"""The identity of a process is its number and the name of its host; the others only take room."""

_STICKY = "TASK_QUEUE_KIND_STICKY"
"""The name of such a queue begins with the identity of its worker."""

_ROOT = Path(__file__).parents[2]


class NamesMachine(HoldfastError):
    """A history still names this machine; have `normalised` take out what does."""


def normalised(history: dict[str, Any]) -> dict[str, Any]:
    """A history in Temporal's JSON without identities, names of sticky queues and stack traces.

    Raises:
        NamesMachine: something else in it names this machine, or a path on it.
    """
    cleaned: dict[str, Any] = _clean(history)
    written = "\n".join(_texts(cleaned))
    # words of their own only: a short host name is also inside ids, digests and other words
    places = (re.escape(name) for name in (socket.gethostname(), str(_ROOT), str(Path.home())))
    for pattern in (*(rf"{place}(?!\w)" for place in places), rf"{os.getpid()}@"):
        if named := re.search(rf"(?<!\w){pattern}", written):
            raise NamesMachine(f"the history of {_workflow_id(cleaned)} still names {named[0]!r}")
    return cleaned


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(one) for one in value]
    if not isinstance(value, dict):
        return value
    left_out = _LEFT_OUT | {"name"} if value.get("kind") == _STICKY else _LEFT_OUT
    return {key: _clean(one) for key, one in value.items() if key not in left_out}


def _texts(value: Any) -> Iterator[str]:
    """Every text in a history, payloads decoded."""
    if isinstance(value, dict) and "metadata" in value and "data" in value:
        yield b64decode(value["data"]).decode()
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _workflow_id(history: dict[str, Any]) -> str:
    started = history["events"][0]["workflowExecutionStartedEventAttributes"]
    return str(started["workflowId"])
