"""Turns a request that does not fit its model into a refusal."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from holdfast.domain.errors import InvalidRequest
from holdfast.domain.failures import in_words
from holdfast.domain.ids import is_id


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


def require_id(text: str, what: str) -> None:
    """Check that `text` may be the id of a `what`; raises `InvalidRequest`."""
    if not is_id(text):
        raise InvalidRequest(
            f"{text!r} cannot be the id of a {what}: 1 to 64 letters, digits, dots, underscores or "
            "hyphens, the first a letter or digit"
        )
