"""Lines on the terminal. Nothing that a customer wrote can steer it."""

import json
from typing import TextIO

from rich.console import Console
from rich.text import Text


def plain(text: str) -> str:
    """`text` without control characters, escape sequences' first byte included."""
    return "".join(one for one in text if one.isprintable() or one in "\n\t")


class Terminal(Console):
    """The standard output. Where it has no reader any more, that is an error for the caller."""

    def on_broken_pipe(self) -> None:
        """Called while the error is handled; rich would end the process with exit code 1."""
        raise


def json_line(document: str, stream: TextIO) -> str:
    """A JSON document as a stream can take it: with escapes where its encoding has no characters."""
    try:
        document.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(document))
    return document


def show_line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(plain(text), style=style), soft_wrap=True)
