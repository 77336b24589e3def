"""Lines on the terminal. Nothing that a customer wrote can steer it."""

from rich.console import Console
from rich.text import Text


def plain(text: str) -> str:
    """`text` without control characters, escape sequences' first byte included."""
    return "".join(one for one in text if one.isprintable() or one in "\n\t")


def show_line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(plain(text), style=style), soft_wrap=True)
