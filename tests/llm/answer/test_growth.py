"""No text of a model keeps the interpreter: what searches it takes time that grows with the text and no faster."""

import subprocess
import sys

import pytest

from tests.llm.answer.growth import SEARCHED

_SECONDS = 100
"""Many times what it takes: a pattern that backtracks would take minutes, and holds the interpreter meanwhile."""


@pytest.mark.parametrize("name", SEARCHED)
def test_searching_a_text_as_long_as_may_be_comes_to_an_end(name: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.llm.answer.growth", name], timeout=_SECONDS, check=True
    )
