"""Texts: what of them Postgres can store, and what can be shown of other people's words, on one line or as a
block that no line of ours looks like.

Customers, models and reviewers write what reviewers read on a screen, in an e-mail, in a chat. Their line
breaks must not begin a row of ours, and no character of theirs may move a cursor, colour, hide, or turn
the direction of what stands beside it.
"""

import math
import re
import unicodedata

from pydantic import JsonValue

LINE_CHARACTERS = 2_000
BLOCK_CHARACTERS = 20_000
MARGIN = "│ "
"""What each line of a block but the first begins with."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_LEAST, _MOST = -(2**63), 2**64 - 1

_MOST_MARKS = 3
"""Combining characters on one letter; more of them paint over the lines above and below."""

_MARKUP = re.compile(r"([\\`*_\[\]<>#|~!])")

_SELECTORS = range(0xFE00, 0xFE10)
"""Variation selectors, one of which may follow a character; nothing is seen of more."""
_HIDDEN = frozenset((0x034F, 0x17B4, 0x17B5, *range(0x180B, 0x1810), *range(0xE0100, 0xE01F0)))
"""The other printable characters that nothing is seen of: Unicode's Default_Ignorable_Code_Point, of
DerivedCoreProperties.txt. They carry texts that nobody sees."""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols, as Unicode has it, that nothing is seen of."""


class Unstorable(ValueError):
    """A value cannot be stored by Postgres; the message names the field, and no value."""


def storable(text: str) -> str:
    """Postgres takes neither NUL nor half of a surrogate pair; models produce both, and brought code may."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def storable_value(value: JsonValue) -> JsonValue:
    """What brought code returned, with all texts in it storable.

    Raises:
        Unstorable: it holds a number that JSON has not, or that a graph's state can't hold.
    """
    match value:
        case str():
            return storable(value)
        case float() if not math.isfinite(value):
            raise Unstorable("NaN and infinities are no numbers of JSON")
        case int() if not _LEAST <= value <= _MOST:
            raise Unstorable("an integer does not fit 64 bits; give it as a text")
        case dict():
            return {storable(str(name)): storable_value(part) for name, part in value.items()}
        case list() | tuple():
            return [storable_value(part) for part in value]
        case _:
            return value


def holds_unstorable(value: object) -> bool:
    """Whether a text in a value can't be stored by Postgres."""
    match value:
        case str():
            return _UNSTORABLE.search(value) is not None
        case dict():
            return any(holds_unstorable(part) for pair in value.items() for part in pair)
        case list() | tuple():
            return any(holds_unstorable(part) for part in value)
        case _:
            return False


def legible(text: str) -> str:
    """The text; raises `ValueError` where nothing can be read in it."""
    if not any(one.isprintable() and not one.isspace() for one in text):
        raise ValueError("the text has nothing that a customer could read")
    return text


def line(text: str, longest: int = LINE_CHARACTERS) -> str:
    """The text on one line of at most `longest` characters: white space of any kind is one space."""
    return _cut(" ".join(_visible(text, keep="").split()), longest)


def block(text: str, indent: int = 0, longest: int = BLOCK_CHARACTERS) -> str:
    """The text with its line breaks; every line but the first begins with `indent` spaces and a margin,
    so that it stays inside what it is part of."""
    first, *more = _cut(_visible(text, keep="\n"), longest).split("\n")
    margin = " " * indent + MARGIN
    return "\n".join([first.rstrip(), *(f"{margin}{one.rstrip()}" for one in more)])


def markdown(text: str) -> str:
    """The text on one line that Markdown shows as it is: it must not become an image that tells its
    server who reads it, nor a heading that poses as ours."""
    return _MARKUP.sub(r"\\\1", line(text))


def escaped_json(document: str) -> str:
    """The same JSON, with what a terminal could obey written as escapes."""
    return "".join(one if one.isprintable() or one == "\n" else _escape(one) for one in document)


def _visible(text: str, *, keep: str) -> str:
    """The text with a space for each white space and blank character, and without what is not to be
    seen; line breaks of all kinds are those in `keep`, else spaces."""
    shown: list[str] = []
    marks = 0
    lines = text.replace("\r\n", "\n").replace("\r", "\n") if keep else text
    for one in lines:
        if one in keep:
            shown.append(one)
        elif one.isspace() or one in _BLANK:
            shown.append(" ")
        elif ord(one) in _HIDDEN or (
            ord(one) in _SELECTORS and (not shown or ord(shown[-1]) in _SELECTORS)
        ):
            continue
        elif one.isprintable():
            marks = marks + 1 if _is_mark(one) else 0
            if marks <= _MOST_MARKS:
                shown.append(one)
    return "".join(shown)


def _is_mark(character: str) -> bool:
    """Whether it is written onto the letter before it. Many marks have the combining class 0."""
    return bool(unicodedata.combining(character)) or unicodedata.category(character) in ("Mn", "Me")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
