"""The shop's hints: no expression of theirs takes forever, whatever a customer writes."""

import subprocess
import sys

import pytest

_READ = """
import asyncio
from holdfast_shop import hints
from tests.llm.offline.growth import expressions_in, expressions_of, read_hostile_texts
expressions = [*expressions_in(hints.__name__), *expressions_of(hints.hints)]
asyncio.run(read_hostile_texts(expressions, hints.hints, seed=1))
"""


@pytest.mark.timeout(300)
def test_every_expression_of_the_shop_reads_any_text_of_its_words() -> None:
    """In a process of its own: an expression that takes forever holds the interpreter."""
    assert subprocess.run([sys.executable, "-c", _READ], timeout=240, check=False).returncode == 0
