"""Searches texts that are made of what patterns begin with and repeat, as long as an answer can be.

python -m tests.llm.answer.growth NAME: each takes some seconds, and one that grows faster than the text, minutes.
"""

import random
import sys
from collections.abc import Callable, Iterator, Mapping

from holdfast.graphs.knowledge.citations import cite
from holdfast.llm.answer.markup import calls_in_words, without_thoughts
from holdfast.llm.answer.values import objects_in

_LONGEST_REPLY = 100_000
_LONGEST_WITH_THOUGHTS = 1_000_000

_BEGINNINGS = [
    "", "<function", "<invoke", "<a:", "<think", "```", "```tool_", "</s>", "<|", "<｜", "[", "[1", "to=",
    '{"a":[', "<tool_call", ". ",
]  # fmt: skip
_REPEATED = [
    " ", "\n", "\t\n", "1", "a", "_", "<function ", "name", "</s>", "</s> ", "<think >", "</think>", "```\n", " [1]",
    "[1 ", '{"a":', '{"":0},', "[", "[],", "{", '"', "\\", "<|a", "<a:a", "to=functions", " .\n", "- ",
]  # fmt: skip
_ENDS = ["", "x", "```", "]", "}", " "]

SEARCHED: Mapping[str, tuple[int, Callable[[str], object]]] = {
    "calls": (_LONGEST_REPLY, lambda text: calls_in_words(text, ["a"])),
    "thoughts": (_LONGEST_WITH_THOUGHTS, without_thoughts),
    "objects": (_LONGEST_REPLY, lambda text: list(objects_in(text))),
    "citations": (_LONGEST_REPLY, lambda text: cite(text, [])),
}


def texts(length: int) -> Iterator[str]:
    """Every repeated part, alone and behind every beginning, and some of several parts."""
    for repeated in _REPEATED:
        many = repeated * (length // len(repeated))
        yield many
        for beginning in _BEGINNINGS:
            yield f"{beginning}{many}x"
    chosen = random.Random(20261127)
    for _ in range(100):
        repeated = "".join(chosen.choices(_REPEATED, k=chosen.randint(2, 3)))
        beginning = "".join(chosen.choices(_BEGINNINGS, k=2))
        yield beginning + repeated * (length // len(repeated)) + chosen.choice(_ENDS)


if __name__ == "__main__":
    longest, search = SEARCHED[sys.argv[1]]
    for one in texts(longest):
        search(one)
