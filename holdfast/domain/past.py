"""Actions of the past that an agent has to know of, and how it is told."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from holdfast.domain.model import Frozen

_ARGUMENT_CHARACTERS = 300
_DONE = "Already done for this customer."
_STANDS = "Done, and not taken back although it should have been"
_UNCLEAR = "Tried, and nobody knows whether it was done"

PastState = Literal[
    "executed",  # the effect happened
    "not_undone",  # it happened, and stands where it should have been undone
    "unclear",  # another system was asked, and nobody knows what it did
    "waiting",  # it waits for an approval
    "under_way",  # it is being executed
]


class PastAction(Frozen):
    """An action of the same customer, from an earlier turn or from another conversation. `title` is
    how a person reads it; `at` is when it came into its state."""

    id: str
    conversation: str
    turn: int
    name: str
    title: str
    arguments: dict[str, JsonValue]
    state: PastState
    at: datetime


def in_words(
    executed: Sequence[PastAction], waiting: Sequence[PastAction], *, conversation: str
) -> str:
    """What a model is told of the past before the dialogue begins; empty where there is nothing."""
    lists = (
        (
            f"{_DONE} Do not do any of it again, unless the customer knows that "
            "it was done and says that they want it once more:",
            (one for one in executed if one.state == "executed"),
        ),
        (
            f"{_STANDS}; a colleague looks into it. Neither do it again nor try to undo it:",
            (one for one in executed if one.state == "not_undone"),
        ),
        (
            f"{_UNCLEAR}; a colleague looks into it. Do not try it again:",
            (one for one in executed if one.state == "unclear"),
        ),
        (
            "Not decided or not finished yet. Do not ask for any of it again; say that it is under way:",
            waiting,
        ),
    )
    parts = [_list(heading, tuple(actions), conversation) for heading, actions in lists]
    return "\n\n".join(part for part in parts if part)


def tells_of_effects(text: str) -> bool:
    """Whether the text has such an account, and something in it was done, or may have been."""
    return any(line.startswith((_DONE, _STANDS, _UNCLEAR)) for line in text.splitlines())


def _list(heading: str, actions: Iterable[PastAction], conversation: str) -> str:
    lines = [_line(one, conversation) for one in actions]
    return "\n".join([heading, *lines]) if lines else ""


def _line(action: PastAction, conversation: str) -> str:
    """On one line, whatever the arguments are: customers write into them."""
    where = f"in turn {action.turn}" if action.conversation == conversation else "elsewhere"
    arguments = json.dumps(action.arguments, ensure_ascii=False)
    if len(arguments) > _ARGUMENT_CHARACTERS:
        arguments = f"{arguments[:_ARGUMENT_CHARACTERS]}…"
    return f"- {action.title} ({action.name} {arguments}, {where}, {action.at:%Y-%m-%d %H:%M} UTC)"
