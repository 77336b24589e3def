"""The pinned source of the Temporal CLI, which brings the dev server: `go.mod` beside this file."""

import re
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent
MODULE = "github.com/temporalio/cli"


@cache
def pinned_version() -> str:
    """The version of the Temporal CLI that `go.mod` asks for, such as `1.8.2`."""
    match = re.search(rf"{MODULE} v(\S+)", (SOURCE / "go.mod").read_text())
    assert match is not None, "go.mod names no Temporal CLI"
    return match[1]


@cache
def go_version() -> str:
    """The oldest Go that builds it."""
    match = re.search(r"^go (\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    assert match is not None, "go.mod names no Go version"
    return match[1]
