"""The command lines in the project's Markdown files, as the shell and as Typer see them."""

import re
import shlex
from pathlib import Path
from typing import Any

from typer.main import get_command

from holdfast.edges.terminal.command import app
from tests.docs.blocks import PAGES, blocks

_INLINE = re.compile(r"`([^`\n]+)`")
_PROGRAM = re.compile(
    r"(?:\b(worker|starter)\.py|(?<![\w./:-])(?:\.venv/bin/)?holdfast(?= ))(?: (.*)|$)"
)

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
"""Typer's commands by name; the group has the attribute, its declared type has not."""


def block_lines() -> list[tuple[str, str]]:
    """Every command line of a bash block, continued lines joined, after the page's name."""
    return [(str(block), line) for page in PAGES for block, line in _lines(page)]


def _lines(page: Path) -> list[tuple[object, str]]:
    return [
        (block, line.strip())
        for block in blocks(page, "bash")
        for line in re.sub(r"\\\n", " ", block.text).replace("|\n", "| ").splitlines()
        if line.strip() and not line.startswith("#")
    ]


def inline_code() -> list[tuple[str, str]]:
    """Everything that stands in single backticks outside of blocks, after the page's name."""
    found = []
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
        found += [(page.name, match[1]) for match in _INLINE.finditer(prose)]
    return found


def arguments_of(line: str) -> list[str] | None:
    """What follows `holdfast`, where a line runs that; `worker.py` is a door to `holdfast worker`."""
    match = _PROGRAM.search(line)
    if match is None:
        return None
    words = shlex.split(match[2] or "")
    end = next((at for at, word in enumerate(words) if word in ("|", "||", "&", "&&")), None)
    return [*(["worker"] if match[1] == "worker" else []), *words[:end]]
