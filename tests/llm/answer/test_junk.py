"""Whatever a server sends, reading it comes to one of the typed ends, and what is recorded can be stored."""

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from holdfast.contract.chat import Tool
from holdfast.domain.errors import ModelRefused
from holdfast.domain.limits import AnswerBounds
from holdfast.graphs.triage.assessment import assessment_among
from holdfast.llm.answer import NoAnswer, Unusable, completion_of, corrected, fitting, read_body
from holdfast.llm.request import ModelRequest
from holdfast.store.llm_calls import RecordedCall
from tests.llm.answer.cases import CASES

BOUNDS = AnswerBounds()
TOOLS = {
    name: Tool(name=name, description="A tool.", parameters={"type": "object"}, lenient=lenient)
    for name, lenient in (
        ("get_order_details", False),
        ("cancel_pending_order", False),
        ("transfer_to_human_agents", True),
    )
}
REQUEST = ModelRequest.chat([{"role": "user", "content": "Hello"}], tuple(TOOLS.values()))
ASSESSMENT = assessment_among(("orders", "general"))


class Anything(BaseModel):
    value: Any


_SPECIAL = st.sampled_from(
    ["\0", "\ud800", "a\ud83d", "{", "```", "<think>", "</think>", "<tool_call>", "NaN", "1e999",
     '{"a": NaN}', '{"a": 1e999}', '{"\\u0000": "\\ud800"}', "[" * 2_000, '{"a":' * 2_000,
     "9" * 5_000, "content_filter", "length", "call_1", "function"]
)  # fmt: skip
_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**70, max_value=2**80)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
    | _SPECIAL
)
_KEYS = (
    st.sampled_from(
        ["choices", "message", "content", "tool_calls", "function", "name", "arguments", "type",
         "text", "error", "code", "usage", "id", "finish_reason", "refusal", "function_call"]
    )
    | st.text(max_size=5)
)  # fmt: skip
_JUNK = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        parts: Any = value.items()
    else:
        parts = enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _places(part, (*path, key))


@st.composite
def _damaged(draw: st.DrawFn) -> Any:
    """A body of one of the cases, with junk in some places."""
    body = copy.deepcopy(draw(st.sampled_from(CASES)).body)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([place for place in _places(body) if place]))
        inner = body
        for key in path:
            inner = inner[key]
        inner[last] = draw(_JUNK)
    return body


def _require_typed_end(body: bytes) -> None:
    try:
        read = read_body(body, BOUNDS, asked_characters=lambda: 100)
    except (NoAnswer, ModelRefused):
        return
    stored = read.response.model_dump(mode="json")
    _require_storable(stored)
    assert 0 <= read.cached_tokens <= read.prompt_tokens < 2**31
    assert 0 <= read.completion_tokens < 2**31
    ids = [call.id for call in read.response.tool_calls]
    assert len(set(ids)) == len(ids)
    call = RecordedCall(
        provider="p", model=read.model or "m", response=read.response, prompt_tokens=1,
        completion_tokens=1, price=Decimal(0), latency_ms=1, degraded=False, step=1, node="n",
        request_digest="d", occurrence=1,
    )  # fmt: skip
    again = RecordedCall.model_validate(json.loads(json.dumps(call.model_dump(mode="json"))))
    assert again == call
    try:
        completion = completion_of(call, TOOLS, BOUNDS)
    except Unusable as unusable:
        _require_storable(corrected(REQUEST, call, unusable).body)
    else:
        _require_storable(completion.as_message())
        assert completion.tool_calls or completion.text.strip()
        assert {one.name for one in completion.tool_calls} <= set(TOOLS)
    for schema in (ASSESSMENT, Anything):
        try:
            fitting(call, schema)
        except Unusable as unusable:
            _require_storable(corrected(REQUEST, call, unusable).body)


def _require_storable(value: Any) -> None:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(_damaged())
def test_a_damaged_answer_never_raises_anything_else(body: Any) -> None:
    _require_typed_end(json.dumps(body).encode())


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(_JUNK)
def test_junk_never_raises_anything_else(body: Any) -> None:
    _require_typed_end(json.dumps(body).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_never_raise_anything_else(body: bytes) -> None:
    _require_typed_end(body)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('{}[]":,\\u0d83 e9-NaN<>/think`'), max_size=60))
def test_arguments_and_text_of_any_form_never_raise_anything_else(written: str) -> None:
    function = {"name": "cancel_pending_order", "arguments": written}
    for message in ({"tool_calls": [{"function": function}]}, {"content": written}):
        _require_typed_end(json.dumps({"choices": [{"message": message}]}).encode())
