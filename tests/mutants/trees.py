"""A copy of the checkout in which code is changed, and the tests that are run there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent.parent
_PARTS = ("activities", "bench", "devstack", "examples", "holdfast", "tests", "workflows")
_FILES = ("pyproject.toml", "starter.py", "worker.py")
_PYTEST = (
    *("-x", "-q", "--tb=short", "--disable-warnings", "--hypothesis-seed=1"),
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:langsmith_plugin"),
)

PASSED, FAILED = 0, 1
"""Exit codes of pytest; others say that it could not run the tests."""


@dataclass(frozen=True)
class Mutant:
    """A file, and its text with one thing changed. `name` says what, within the file."""

    path: str
    name: str
    text: str


class Tree:
    """A copy, with a process that runs tests in it."""

    def __init__(self, folder: Path, rerun: "subprocess.Popen[str]") -> None:
        self._folder = folder
        self._rerun = rerun

    def run(
        self, mutant: Mutant, tests: Sequence[str], *, seconds: float = 300.0
    ) -> tuple[int, str]:
        """Run tests with a mutant in the place of its file: pytest's exit code, and what it said."""
        place = self._folder / mutant.path
        before = place.read_text()
        _put(place, mutant.text)
        try:
            assert self._rerun.stdin is not None
            assert self._rerun.stdout is not None
            line = [[*_PYTEST, *tests], seconds, mutant.text == before]
            print(json.dumps(line), file=self._rerun.stdin, flush=True)
            code, said = json.loads(self._rerun.stdout.readline())
            return code, said
        finally:
            _put(place, before)


def _put(place: Path, text: str) -> None:
    """Write a module; what was compiled of another of the same length and second would be taken for it."""
    for compiled in (place.parent / "__pycache__").glob(f"{place.stem}.*.pyc"):
        compiled.unlink()
    place.write_text(text)


@contextmanager
def open_tree() -> Iterator[Tree]:
    """A copy of this checkout, which is deleted in the end."""
    with TemporaryDirectory(prefix="holdfast-mutants-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in _PARTS:
            ignored = shutil.ignore_patterns("results")
            shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=ignored)
        for file in _FILES:
            shutil.copy2(ROOT / file, folder)
        with subprocess.Popen(
            [sys.executable, "tests/mutants/rerun.py"],
            cwd=folder,
            env={key: value for key, value in os.environ.items() if "PYTEST" not in key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as rerun:
            yield Tree(folder, rerun)
            assert rerun.stdin is not None
            rerun.stdin.close()
