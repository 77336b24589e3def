"""Marks of sources in an answer, and what becomes of those that a model made up."""

import pytest

from holdfast.graphs.knowledge.citations import cite
from holdfast.store.knowledge import Passage

PASSAGES = [
    Passage(document=name, title=name.title(), heading="", body=f"About {name}.", rank=1.0)
    for name in ("bread", "butter", "jam")
]


@pytest.mark.parametrize(
    ("answer", "text", "cited"),
    [
        ("At four [1].", "At four [1].", ["bread"]),
        ("At four[3], fresh \n [1].", "At four [1], fresh [2].", ["jam", "bread"]),
        ("Here [2][1] and [ 2] and [02].", "Here [1] [2] and [ 2] and [1].", ["butter", "bread"]),
        ("None [0], [4], [x], [-1].", "None,, [x], [-1].", []),
        ("Not [10000000001].", "Not.", []),
        (f"At four [1]. See [{'1' * 5_000}].", "At four [1]. See.", ["bread"]),
        (f"At four [1].{' ' * 50_000}[2]{' ' * 50_000}x", f"At four [1]. [2]{' ' * 50_000}x",
         ["bread", "butter"]),
        ("[1] first", "[1] first", ["bread"]),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_marks_count_through_the_sources_and_others_are_taken_out(
    answer: str, text: str, cited: list[str]
) -> None:
    found = cite(answer, PASSAGES)
    assert found.text == text
    assert [one.id for one in found.citations] == cited
