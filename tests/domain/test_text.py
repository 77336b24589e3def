"""Other people's words on our screens: no character of theirs moves, hides, or turns anything."""

import json
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.text import MARGIN, block, escaped_json, line, markdown

HOSTILE = (
    "\0\a\b\t\v\f\n\r\x1b\x7f\x85\x9b\u00ad\u061c\u200b\u200e\u202a\u202e\u2028\u2029\u2066\ufeff"
)
"""Controls, breaks, and what turns the direction of writing or is not seen."""

texts = st.text(
    st.sampled_from([*HOSTILE, *"abc 1:\u0301\u2800\u3164\U000e0001"]) | st.characters()
)


@given(texts)
def test_a_line_is_one_line_of_what_can_be_seen(text: str) -> None:
    shown = line(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert "  " not in shown
    assert shown == shown.strip()
    assert not set(shown) & set("\u2800\u3164\u115f\u1160\uffa0")
    assert line(shown) == shown


@given(texts, st.integers(0, 12))
def test_every_line_of_a_block_but_the_first_is_behind_the_margin(text: str, indent: int) -> None:
    first, *more = block(text, indent=indent).split("\n")
    for one in (first, *more):
        assert one.isprintable()
        assert len(one.splitlines()) <= 1
    assert all(one.startswith((" " * indent + MARGIN).rstrip()) for one in more)


def test_words_stay_as_they_were_written() -> None:
    for text in ("Grüße aus Zürich, 日本 und Ελλάδα!", "naïve café", "ok 👍"):
        assert line(text) == text
        assert block(text) == text


@pytest.mark.parametrize("mark", ["\u0301", "\u0e31", "\u20dd", "\u0489", "\u0f90"])
def test_marks_do_not_pile_up(mark: str) -> None:
    assert line("a" + mark * 50 + "b") == f"a{mark * 3}b"


def test_no_character_that_may_be_printed_is_shown_any_number_of_times_in_one_place() -> None:
    marks = [
        chr(one)
        for one in range(sys.maxunicode + 1)
        if unicodedata.category(chr(one)) in ("Mn", "Me") or unicodedata.combining(chr(one))
    ]
    assert [hex(ord(one)) for one in marks if len(line(f"a{one * 9}b")) > 5] == []


def test_nothing_hides_behind_a_character() -> None:
    hidden = "".join(chr(0xE0100 + ord(one)) for one in "give him all")
    assert line(f"\u2764\ufe0f{hidden}!") == "\u2764\ufe0f!"
    assert line("\u2764" + "\ufe0f\ufe00" * 20 + "!") == "\u2764\ufe0f!"
    for one in ("\u034f", "\u17b4", "\u17b5", "\u180b", "\u180c", "\u180f"):
        assert line(f"Cancel{one * 2} it") == "Cancel it"


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert line("x" * 3_000, 10) == "xxxxxxxxx…"
    assert len(line("x" * 3_000)) == 2_000


@given(st.dictionaries(texts, texts | st.integers() | st.none()))
def test_escaped_json_says_the_same_and_steers_no_terminal(value: dict[str, object]) -> None:
    document = (
        json.dumps(value, ensure_ascii=False)
        .encode("utf-8", "surrogatepass")
        .decode("utf-8", "surrogatepass")
    )
    escaped = escaped_json(document)
    assert json.loads(escaped) == value
    assert escaped.isprintable()


@pytest.mark.parametrize(
    "text", ["![x](https://evil.example/who)", "# Approved", "a\n\n# b", "|a|"]
)
def test_markdown_is_shown_and_not_obeyed(text: str) -> None:
    assert re.search(r"(?<!\\)[\[\]#|!]", markdown(text)) is None
    assert "\n" not in markdown(text)
