"""Turns a request that does not fit its model into a refusal."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from holdfast.domain.errors import InvalidRequest
from holdfast.domain.failures import in_words
from holdfast.domain.ids import is_id, no_id
from holdfast.domain.text import holds_unstorable

_LARGEST = 2**31 - 1


@contextmanager
def checking() -> Iterator[None]:
    """Build a request in this context.

    Raises:
        InvalidRequest: it does not fit its model; the message names the fields.
    """
    try:
        yield
    except ValidationError as error:
        raise InvalidRequest(in_words(error)) from None


def require_id(text: object, what: str) -> None:
    """Check that `text` may be the id of a `what`; raises `InvalidRequest`."""
    if not isinstance(text, str) or not is_id(text):
        raise InvalidRequest(no_id(text, what))


def require_text(text: str, what: str) -> None:
    """Check that a text can be sent and stored; raises `InvalidRequest`."""
    if holds_unstorable(text):
        raise InvalidRequest(f"{what} has a NUL character or half of a surrogate pair")


def require_number(number: object, what: str, *, least: int = 0) -> None:
    """Check that `number` is a whole one that Postgres can count to; raises `InvalidRequest`."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= _LARGEST:
        raise InvalidRequest(f"{what} has to be a whole number from {least} to {_LARGEST}")
