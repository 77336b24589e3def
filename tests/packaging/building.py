"""Builds wheels, and installs them, with what `make` has fetched: without the network."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.docs.blocks import ROOT


def uv(*arguments: str | Path) -> None:
    """Run uv, from the PATH or from where `make` puts it."""
    program = shutil.which("uv", path=f"{os.environ['PATH']}:{ROOT / '.venv-uv' / 'bin'}")
    assert program is not None
    ended = subprocess.run(
        [program, *arguments, "--offline"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def built(source: Path, folder: Path) -> Path:
    """The wheel of a distribution, built from its sdist."""
    uv("build", "--out-dir", folder, source)
    [wheel] = folder.glob("*.whl")
    return wheel
