"""Identifiers: what a tenant, a conversation and a message may be called, and ids derived from them."""

import hashlib
import json
import re
from typing import Annotated

from pydantic import JsonValue, StringConstraints

ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""No slash, so that no conversation id can name another tenant's workflow."""

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
"""A tenant, conversation, message, reviewer or agent id: 1 to 64 characters."""

_ID = re.compile(ID_PATTERN)
_SHOWN = 100


def is_id(text: str) -> bool:
    """Whether `text` may be used as an id."""
    return _ID.fullmatch(text) is not None


def no_id(value: object, what: str) -> str:
    """Says that `value` cannot be the id of a `what`, and what can."""
    shown = repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}…"
    return (
        f"{shown} cannot be the id of a {what}: 1 to 64 letters, digits, dots, underscores or "
        "hyphens, the first a letter or digit"
    )


def text_digest(text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a message's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical_json(value: JsonValue) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, 5 and 5.0 as well, since
    Postgres keeps a number's value and not how it was written."""
    return json.dumps(
        _plain_numbers(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def _plain_numbers(value: JsonValue) -> JsonValue:
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain_numbers(one) for name, one in value.items()}
        case list():
            return [_plain_numbers(one) for one in value]
        case _:
            return value


def json_digest(value: JsonValue) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def derived_id(prefix: str, *parts: str | int) -> str:
    """An id that is the same for the same parts: `{prefix}_` and 16 hex digits."""
    joined = "\x1f".join(str(part) for part in parts)
    return f"{prefix}_{hashlib.sha256(joined.encode()).hexdigest()[:16]}"
