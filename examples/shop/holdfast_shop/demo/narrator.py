"""Tells in the terminal what happens, why it matters, and how long it took."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

_INDENT = 3
_NAME_WIDTH = 9
_TEXT_WIDTH = 96


class Narrator:
    """Writes to `console`. Every text is shown as it is: markup in it means nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def title(self, text: str, *lines: str) -> None:
        """The head of the story."""
        self._console.print()
        self._console.print(f"[bold]{escape(text)}")
        for line in lines:
            self._console.print(f"[dim]{escape(line)}")

    def chapter(self, number: int, title: str, why: str) -> None:
        """A new part of the story, and what it shows."""
        self._console.print()
        self._console.print(f"[bold cyan]{number}  {escape(title)}")
        self._indented(f"[italic dim]{escape(why)}")

    def says(self, who: str, text: str, *, ours: bool = False) -> None:
        """What the customer or an agent (`ours`) says."""
        line = Table.grid(padding=(0, 1))
        line.add_column(width=_NAME_WIDTH, style="green" if ours else "yellow", no_wrap=True)
        line.add_column(max_width=_TEXT_WIDTH)
        line.add_row(escape(who), escape(text))
        self._indented(line)

    def notes(self, text: str, seconds: float | None = None) -> None:
        """Something that happened, with the seconds that it took."""
        took = "" if seconds is None else f"  [cyan]{_duration(seconds)}"
        line = Table.grid(padding=(0, 1))
        line.add_row("[dim]·", f"{escape(text)}{took}")
        self._indented(line)

    @contextmanager
    def timing(self, text: str) -> Iterator[None]:
        """Notes `text` when the block has ended without an error, and how long it took."""
        began = time.monotonic()
        yield
        self.notes(text, time.monotonic() - began)

    def card(self, title: str, rows: Sequence[tuple[str, str]]) -> None:
        """What a reviewer has in front of them: names and values."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column()
        for name, value in rows:
            grid.add_row(escape(name), escape(value))
        self._indented(Panel(grid, title=escape(title), title_align="left", expand=False))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Part of the summary."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self._indented(table)

    def link(self, text: str, url: str) -> None:
        """An address that a terminal can open, on a line of its own that is never broken."""
        self._console.print(f"{' ' * _INDENT}{escape(text)}", style="dim")
        self._console.print(f"{' ' * _INDENT}{escape(url)}", soft_wrap=True)

    def heading(self, text: str) -> None:
        """The head of a part of the summary."""
        self._console.print()
        self._console.print(f"[bold]{escape(text)}")

    def fails(self, text: str) -> None:
        """Why the story ends here."""
        self._console.print()
        self._console.print(f"[bold red]{escape(text)}")

    def _indented(self, what: str | Table | Panel) -> None:
        self._console.print(Padding(what, (0, 0, 0, _INDENT)))


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
