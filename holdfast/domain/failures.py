"""Failures in words that may travel: into logs, Temporal's histories, events, chats.

What somebody else's exception says may hold a customer's values, SQL or an address with its password. So
only messages of our own are handed on; of every other failure its kind is, and what tells more without
telling values: the fields of a model that do not fit, the code of an error of Postgres, HTTP, or the system.
"""

import os

from pydantic import ValidationError

from holdfast.domain.errors import HoldfastError
from holdfast.domain.text import Unstorable
from holdfast.domain.validation import listed

_TOLD = {
    "ModelRefused": "no model takes the request",
    "ModelAnswerUnusable": "no model gave an answer that can be used",
    "TurnBudgetExceeded": "the turn came to its bound of model calls",
    "TookTooLong": "a step of the turn took too long",
    "AttemptsLost": "a step of the turn was lost too often",
}

_CHARACTERS = 1_000


def in_words(error: BaseException) -> str:
    """What went wrong, on one line of at most a thousand characters, without values and internals."""
    return _words(error)[:_CHARACTERS]


def told(code: str | None) -> str:
    """What those who follow a conversation are told of a turn that failed with this code: neither names of
    classes, agents or models, nor what these said."""
    return _TOLD.get(code or "", "the turn could not be finished")


def _words(error: BaseException) -> str:
    kind = type(error).__name__
    if isinstance(error, HoldfastError | Unstorable):
        return f"{kind}: {error}" if str(error) else kind
    if isinstance(error, ValidationError):
        return listed(error)
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return f"{kind} (Postgres, {sqlstate})"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return f"{kind} (HTTP {status})"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind}: {os.strerror(error.errno)}"
    return kind
