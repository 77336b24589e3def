"""What may be called how, and digests that are the same for the same value."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, TypeAdapter, ValidationError

from holdfast.domain.ids import (
    ID_PATTERN,
    Id,
    canonical_json,
    derived_id,
    is_id,
    json_digest,
    text_digest,
)

ID: TypeAdapter[str] = TypeAdapter(Id)
ids = st.from_regex(ID_PATTERN, fullmatch=True).map(str.strip)
documents: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def accepted(text: str) -> bool:
    """Whether models take it as an id."""
    try:
        ID.validate_python(text)
    except ValidationError:
        return False
    return True


@given(text=st.text() | ids | ids.flatmap(lambda a: ids.map(lambda b: f"{a}/{b}")))
def test_an_id_never_has_a_slash_and_both_checks_agree(text: str) -> None:
    assert is_id(text) == accepted(text)
    if is_id(text):
        assert "/" not in text
        assert 1 <= len(text) <= 64


@pytest.mark.parametrize("text", ["a", "A.b_c-9", "0", "x" * 64])
def test_letters_digits_dots_dashes_and_underscores_make_an_id(text: str) -> None:
    assert is_id(text)
    assert accepted(text)


@pytest.mark.parametrize(
    "text", ["", ".", ".a", "-a", "_a", "a/b", "a b", "a\n", "é", "x" * 65, "a\0", "٣"]
)
def test_anything_else_does_not(text: str) -> None:
    assert not is_id(text)
    assert not accepted(text)


@given(value=documents)
def test_canonical_json_loses_nothing(value: JsonValue) -> None:
    assert json.loads(canonical_json(value)) == value


@given(value=st.dictionaries(st.text(), documents))
def test_equal_values_have_equal_digests_whatever_the_order_of_their_keys(
    value: dict[str, JsonValue],
) -> None:
    assert json_digest(dict(reversed(value.items()))) == json_digest(value)


def test_digests_are_those_of_sha_256() -> None:
    assert canonical_json({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'
    assert json_digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert text_digest("") == "e3b0c44298fc1c14"


def test_a_derived_id_tells_parts_apart_and_is_an_id() -> None:
    assert derived_id("ap", "t", "c", 1, 23) == derived_id("ap", "t", "c", 1, 23)
    assert derived_id("ap", "t", "c", 1, 23) != derived_id("ap", "t", "c", 12, 3)
    assert is_id(derived_id("act", "t", "c", 1))
