"""Lines on the terminal. Nothing that other people wrote can steer it, or look like a line of ours."""

import json
from typing import TextIO

from rich.console import Console
from rich.text import Text

from holdfast.domain.text import BLOCK_CHARACTERS, MARGIN, block, escaped_json, line

_HANG = 12
"""Where a line goes on that is longer than the terminal is wide: under its text, behind a margin."""


def json_line(document: str, stream: TextIO) -> str:
    """A JSON document on one line, with escapes for what would steer a terminal, and for what the stream's
    encoding has no characters."""
    document = escaped_json(document)
    try:
        document.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(document))
    return document


def show_line(console: Console, text: str, *, style: str = "", label: str = "") -> None:
    """Print a text on one line; `label`, which is ours, stands before it."""
    shown = Text(label, style=style)
    shown.append(line(text, BLOCK_CHARACTERS))
    print_line(console, shown)


def show_block(console: Console, text: str, *, style: str = "", label: str = "") -> None:
    """Print a text with its line breaks, behind a margin."""
    first, *more = block(text).split("\n")
    for number, one in enumerate([first, *more]):
        shown = Text(label if number == 0 else "", style=style)
        shown.append(one)
        print_line(console, shown)


def print_line(console: Console, shown: Text) -> None:
    """Print a line. On a terminal, one that is too long is broken here: broken at the edge of the screen,
    its rest could look like a line of its own."""
    if not console.is_terminal or console.width <= 2 * _HANG:
        console.print(shown, soft_wrap=True)
        return
    first, *rest = shown.wrap(console, console.width)[:]
    console.print(first, soft_wrap=True)
    if rest:
        joined = Text(" ").join(rest)
        margin = " " * _HANG + MARGIN
        for one in joined.wrap(console, console.width - len(margin)):
            console.print(Text(margin, style="dim").append_text(one), soft_wrap=True)
