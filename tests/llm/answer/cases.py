"""Answers as models, gateways and servers give them, and what has to come of each.

`../shared/cases/model-answers.jsonl` beside the checkout has those that were seen; the copies here cover their
kinds without it, and more.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Asked = Literal["text", "read", "write", "handover", "triage"]


@dataclass(frozen=True)
class Says:
    """A regular answer in words."""

    text: str


@dataclass(frozen=True)
class Calls:
    """A regular call of a tool."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """Shown to the model, in words among which these are."""

    words: str
    by_tool: bool = False


@dataclass(frozen=True)
class NextProvider:
    """The next provider is asked at once."""


@dataclass(frozen=True)
class Routed:
    """Triage routes to the orders agent."""


@dataclass(frozen=True)
class AsksBack:
    """Triage asks the customer, once every provider gave nothing else."""


Expected = Says | Calls | Told | NextProvider | Routed | AsksBack


@dataclass(frozen=True)
class Case:
    name: str
    asked: Asked
    body: dict[str, Any]
    status: int = 200

    def __str__(self) -> str:
        return self.name


def _message(finish_reason: Any = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "model-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": 5},
    }


def _call(name: Any, arguments: Any, **more: Any) -> dict[str, Any]:
    call = {
        "id": "call_a",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
        **more,
    }
    return _message("tool_calls", content=None, tool_calls=[call])


def _cancel(arguments: str) -> dict[str, Any]:
    return _call("cancel_pending_order", arguments)


ASSESSED = {
    "intent": "ask something",
    "agent": "orders",
    "confidence": 0.95,
    "priority": "normal",
    "language": "en",
}


def _assessed(before: str = "", after: str = "", **changes: Any) -> dict[str, Any]:
    return _message(content=before + json.dumps(ASSESSED | changes) + after)


_DEEP = "[" * 1_000 + "]" * 1_000
_ORDER = "#W4821101"
_SEEN: list[tuple[str, Asked, dict[str, Any], Expected]] = [
    ("content is a list of parts", "text",
     _message(content=[{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]),
     Says("Hello there")),
    ("reasoning parts beside text", "text",
     _message(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "internal"}]},
                       {"type": "text", "text": "Hello"}]),
     Says("Hello")),
    ("arguments are an object", "read", _call("get_order_details", {"order_id": _ORDER}),
     Calls("get_order_details", {"order_id": _ORDER})),
    ("usage with fractions", "text",
     _message(content="fine", usage={"prompt_tokens": 12.5, "completion_tokens": 3.0}),
     Says("fine")),
    ("usage beyond 32 bits", "text",
     _message(content="fine", usage={"prompt_tokens": 10**12, "completion_tokens": 3}),
     Says("fine")),
    ("tool calls that are no objects", "text", _message(content="x", tool_calls=["bogus"]),
     Told("a tool call names no function")),
    ("a call without a function", "read",
     _message("tool_calls", content=None, tool_calls=[{"id": "a", "function": None}]),
     Told("a tool call names no function")),
    ("triage: JSON in a code fence", "triage", _assessed("```json\n", "\n```"), Routed()),
    ("triage: prose before JSON", "triage", _assessed("Here is the JSON:\n"), Routed()),
    ("triage: thoughts before JSON", "triage", _assessed("<think>let me see {}</think>\n"),
     Routed()),
    ("triage: an extra key", "triage", _assessed(reasoning="x"), Routed()),
    ("triage: language in capitals", "triage", _assessed(language="EN"), Routed()),
    ("triage: language with region", "triage", _assessed(language="en-US"), Routed()),
    ("triage: priority with a capital", "triage", _assessed(priority="Normal"), Routed()),
    ("triage: agent with a capital", "triage", _assessed(agent="Orders"), Routed()),
    ("triage: confidence in percent", "triage", _assessed(confidence=95), Routed()),
    ("triage: a long intent", "triage", _assessed(intent="x" * 150), Routed()),
    ("triage: nothing usable, twice", "triage", _message(content="I cannot answer in JSON."),
     AsksBack()),
    ("write with NaN", "write", _cancel('{"order_id":"#W4821103","reason":NaN}'),
     Told("NaN and infinities", by_tool=True)),
    ("write with a number beyond floats", "write",
     _cancel('{"order_id":"#W4821103","reason":"no longer needed","amount":1e999}'),
     Told("NaN and infinities", by_tool=True)),
    ("write with half a surrogate pair", "write",
     _cancel('{"order_id":"#W4821103","reason":"no longer\\ud83d needed"}'),
     Told("half of a surrogate pair", by_tool=True)),
    ("write with half a surrogate pair in a key", "write",
     _cancel('{"order_id":"#W4821103","reason\\ud83d":"no longer needed"}'),
     Told("half of a surrogate pair", by_tool=True)),
    ("write with an integer of 400 digits", "write",
     _cancel(f'{{"order_id":{"9" * 400},"reason":"no longer needed"}}'),
     Told("does not fit 64 bits", by_tool=True)),
    ("write with 1,000 nested arrays", "write",
     _cancel(f'{{"order_id":{_DEEP},"reason":"no longer needed"}}'),
     Told("nested more than 16 levels deep", by_tool=True)),
    ("an escaped backslash before u0000", "read",
     _call("find_file", '{"path":"C:\\\\u0000x"}'), Calls("find_file", {"path": "C:\\u0000x"})),
    ("handover with half a surrogate pair", "handover",
     _call("transfer_to_human_agents", '{"summary":"bad \\ud83d half"}'),
     Calls("transfer_to_human_agents", {"summary": "bad ? half"})),
    ("cut by length", "text", _message("length", content="Your refund will be 12"),
     Told("cut off before its end")),
    ("a call cut by length", "read",
     {**_call("get_order_details", '{"order_id": "#W48')}
     | {"choices": [{"message": _call("get_order_details", '{"order_id": "#W48')["choices"][0]
                     ["message"], "finish_reason": "length"}]},
     Told("cut off before its end")),
    ("filtered in the middle", "text", _message("content_filter", content="We will"),
     NextProvider()),
]  # fmt: skip

_MORE: list[tuple[str, Asked, dict[str, Any], Expected]] = [
    ("one part that is no list", "text", _message(content={"type": "text", "text": "Hello"}),
     Says("Hello")),
    ("a text with a value", "text",
     _message(content=[{"type": "text", "text": {"value": "Hello"}}, "!"]), Says("Hello!")),
    ("parts without text", "text", _message(content=[{"type": "image_url"}, None, 7]),
     Told("empty")),
    ("content is a number", "text", _message(content=7), Told("the content is no text")),
    ("nothing at all", "text", _message(content=None), Told("empty")),
    ("a refusal in words", "text", _message(content=None, refusal="I can't help with that."),
     Says("I can't help with that.")),
    ("NUL and half a pair in text", "text", _message(content="a\0b\ud800c"), Says("ab?c")),
    ("thoughts in tags", "text", _message(content="<think>hm</think>\n\nHello"), Says("Hello")),
    ("thoughts that the prompt began", "text", _message(content="hm</think>Hello"), Says("Hello")),
    ("thoughts without an end", "text", _message(content="<thinking>hm, Hello"), Told("empty")),
    ("thoughts in brackets", "text", _message(content="[THINK]hm[/THINK]Hello"), Says("Hello")),
    ("thoughts in a channel", "text",
     _message(content="<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final"
              "<|message|>Hello<|return|>"), Says("Hello")),
    ("thoughts beside content", "text", _message(content="Hello", reasoning_content="hm"),
     Says("Hello")),
    ("only thoughts", "text", _message(content="", reasoning_content="hm"), Told("empty")),
    ("a token of the template at the end", "text", _message(content="Hello<|im_end|>"),
     Says("Hello")),
    ("tokens of the template at the end, and white space", "text",
     _message(content="Hello </s>" + "\n</s> <|end|>" * 20_000 + "\n" * 200), Says("Hello")),
    ("nothing but tokens of the template", "text", _message(content="</s>" * 400_000),
     Told("empty")),
    ("a token of the template that is quoted", "text", _message(content="Write </s> there. "),
     Says("Write </s> there. ")),
    ("a long thought before a short answer", "text",
     _message(content="<think>" + "hm " * 100_000 + "</think>Hello"), Says("Hello")),
    ("a call in tags", "read",
     _message(content='<tool_call>{"name": "get_order_details", "arguments": {}}</tool_call>'),
     Told("never in the text")),
    ("a call in tags that nothing ends", "read",
     _message(content='I look.\n<tool_call>\n{"name": "get_order_details"'),
     Told("never in the text")),
    ("a call as a function tag", "read",
     _message(content='<function=get_order_details>{"order_id": "1"}</function>'),
     Told("never in the text")),
    ("a call as an invocation", "read",
     _message(content='<invoke name="get_order_details"></invoke>'), Told("never in the text")),
    ("a call after a marker", "read",
     _message(content='[TOOL_CALLS][{"name": "get_order_details", "arguments": {}}]'),
     Told("never in the text")),
    ("a call in special tokens", "read",
     _message(content='<|python_tag|>{"name": "get_order_details", "parameters": {}}'),
     Told("never in the text")),
    ("a call as JSON in a fence", "read",
     _message(content='```json\n{"name": "get_order_details", "arguments": {}}\n```'),
     Told("never in the text")),
    ("a call as code", "read", _message(content='get_order_details(order_id="#W1")'),
     Told("never in the text")),
    ("a call as a function tag with white space", "read",
     _message(content='<function \n name = "get_order_details"></function >'),
     Told("never in the text")),
    ("a call as JSON in a fence with blank lines", "read",
     _message(content='``` json \n\n\n{"name": "get_order_details", "arguments": {}}\n\n```'),
     Told("never in the text")),
    ("the beginning of a tag, and white space", "read",
     _message(content="<function" + " " * 31_000 + "x"), Says("<function" + " " * 31_000 + "x")),
    ("the beginning of a fence, and line breaks", "read",
     _message(content="```" + "\n" * 31_000 + "x"), Says("```" + "\n" * 31_000 + "x")),
    ("a tag with white space beyond the reply's bound", "read",
     _message(content="<function" + " " * 99_000 + "x"), Told("99010 characters")),
    ("JSON that is no call", "read", _message(content='{"name": "Ann", "arguments": {}}'),
     Says('{"name": "Ann", "arguments": {}}')),
    ("tool calls without an id", "read",
     _call("get_order_details", '{"order_id": "#W1"}', id=None),
     Calls("get_order_details", {"order_id": "#W1"})),
    ("an id that cannot be stored", "read",
     _call("get_order_details", '{"order_id": "#W1"}', id="a\0\ud800"),
     Calls("get_order_details", {"order_id": "#W1"})),
    ("no arguments", "read", _call("get_order_details", None), Calls("get_order_details", {})),
    ("empty arguments", "read", _call("get_order_details", ""), Calls("get_order_details", {})),
    ("a line break in an argument", "read", _call("get_order_details", '{"order_id": "a\nb"}'),
     Calls("get_order_details", {"order_id": "a\nb"})),
    ("NUL in an argument and its name", "read",
     _call("get_order_details", '{"order_id\\u0000": "#W1\\u0000"}'),
     Calls("get_order_details", {"order_id": "#W1"})),
    ("an argument given twice", "write", _cancel('{"order_id": "#W1", "order_id": "#W2"}'),
     Told("name something twice", by_tool=True)),
    ("arguments that become one by cleaning", "write",
     _cancel('{"order_id": "#W1", "order_id\\u0000": "#W2"}'),
     Told("name something twice", by_tool=True)),
    ("arguments are a list", "read", _call("get_order_details", [1]),
     Told("must be a JSON object", by_tool=True)),
    ("arguments are half", "read", _call("get_order_details", '{"order_id": '),
     Told("are no JSON", by_tool=True)),
    ("an integer of 5,000 digits", "write", _cancel(f'{{"order_id": {"9" * 5_000}}}'),
     Told("does not fit 64 bits", by_tool=True)),
    ("an integer of 65 bits", "write", _cancel(f'{{"order_id": {2**64}}}'),
     Told("does not fit 64 bits", by_tool=True)),
    ("infinity in an object", "write",
     _call("cancel_pending_order", {"order_id": float("-inf")}),
     Told("NaN and infinities", by_tool=True)),
    ("an object that is deep", "write",
     _call("cancel_pending_order", {"order_id": json.loads("[" * 100 + "]" * 100)}),
     Told("nested more than 16 levels deep", by_tool=True)),
    ("arguments without end", "write", _cancel(f'{{"order_id": "{"x" * 20_000}"}}'),
     Told("more than 20000 characters", by_tool=True)),
    ("a tool that does not exist", "read", _call("refund", "{}"),
     Told("there is no tool 'refund'; the tools are find_file, get_order_details", by_tool=True)),
    ("a name that is no text", "read", _call(7, "{}"), Told("names no function")),
    ("a call though there are no tools", "text", _call("refund", "{}"),
     Told("the tools are none", by_tool=True)),
    ("too many calls", "read",
     _message("tool_calls", content=None,
              tool_calls=[_call("get_order_details", "{}")["choices"][0]["message"]["tool_calls"][0]]
              * 1_000), Told("at most 16 tools", by_tool=True)),
    ("a broken call beside a good one", "read",
     _message("tool_calls", content=None, tool_calls=[
         {"id": "a", "function": {"name": "get_order_details", "arguments": "{}"}},
         {"id": "b", "function": {"name": "get_order_details", "arguments": "{"}}]),
     Told("are no JSON", by_tool=True)),
    ("one call that is no list", "read",
     _message("tool_calls", content=None,
              tool_calls={"id": "a", "function": {"name": "find_file", "arguments": "{}"}}),
     Calls("find_file", {})),
    ("a call in the old form", "read",
     _message("function_call", content=None,
              function_call={"name": "find_file", "arguments": '{"path": "x"}'}),
     Calls("find_file", {"path": "x"})),
    ("a transfer without readable arguments", "handover",
     _call("transfer_to_human_agents", '{"summary": "the customer is'),
     Calls("transfer_to_human_agents", {})),
    ("an answer without end", "text", _message(content="x" * 32_001), Told("32001 characters")),
    ("a body without end", "text", _message(content="x" * 2_000_000),
     Told("more than 2000000 bytes")),
    ("thoughts without end beside content", "text",
     _message(content="Hello", reasoning_content="hm " * 700_000), Told("more than 2000000 bytes")),
    ("usage is a list", "text", _message(content="fine", usage=[1]), Says("fine")),
    ("usage of every odd kind", "text",
     _message(content="fine", usage={"prompt_tokens": "12", "completion_tokens": -3,
                                     "prompt_tokens_details": {"cached_tokens": float("nan")}}),
     Says("fine")),
    ("usage that is infinite", "text",
     _message(content="fine", usage={"prompt_tokens": float("inf"), "completion_tokens": "many"}),
     Says("fine")),
    ("a created date of 5,000 digits", "text",
     {**_message(content="fine"), "created": float("nan"), "model": 7}, Says("fine")),
    ("cut by length in other words", "text", _message("MAX_TOKENS", content="Your refund"),
     Told("cut off before its end")),
    ("filtered in other words", "text", _message("SAFETY", content="We will"), NextProvider()),
    ("broken off", "text", _message("error", content="We will"), NextProvider()),
    ("no choices", "text", {"choices": []}, NextProvider()),
    ("a choice without a message", "text", {"choices": [{"delta": {}}]}, NextProvider()),
    ("an error in a success", "text", {"error": {"message": "overloaded"}}, NextProvider()),
    ("a refusal in a success", "text",
     {"error": {"message": "the prompt is too long", "code": 400}}, NextProvider()),
    ("triage: confidence as a text of percent", "triage", _assessed(confidence="95 %"), Routed()),
    ("triage: confidence as text", "triage", _assessed(confidence="0.95"), Routed()),
    ("triage: the language's name", "triage", _assessed(language="English"), Routed()),
    ("triage: a language that nobody knows", "triage", _assessed(language="Klingon"), Routed()),
    ("triage: another scale of priorities", "triage", _assessed(priority="P3"), Routed()),
    ("triage: no intent", "triage", _assessed(intent=None), Routed()),
    ("triage: an object instead of text", "triage", _message(content=ASSESSED), Routed()),
    ("triage: in a list", "triage", _assessed("[", "]"), Routed()),
    ("triage: beside another object", "triage", _assessed('{"an": "example"} and '), Routed()),
    ("triage: cut after its end", "triage",
     _message("length", content=json.dumps(ASSESSED) + "\n\n"), Routed()),
]  # fmt: skip

_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("context too long", {"error": {
        "message": "This model's maximum context length is 8192 tokens",
        "type": "invalid_request_error", "code": "context_length_exceeded"}}),
    ("tools not supported", {"error": {
        "message": "this model does not support tools", "type": "api_error"}}),
]  # fmt: skip

CASES = [Case(name, asked, body) for name, asked, body, _ in (*_SEEN, *_MORE)] + [
    Case(name, "text", body, status=400) for name, body in _REFUSED
]
EXPECTED: dict[str, Expected] = {
    **{name: expected for name, _, _, expected in (*_SEEN, *_MORE)},
    **{name: NextProvider() for name, _ in _REFUSED},
}

MISSING = (
    "model-answers.jsonl not found: put it in ../shared/cases beside the checkout, or set "
    "HOLDFAST_CASES_DIR"
)


def given_cases() -> list[Case]:
    """Those of the file beside the checkout; none where it is missing."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "cases"
    file = Path(os.environ.get("HOLDFAST_CASES_DIR") or beside) / "model-answers.jsonl"
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Case(one["case"], one["asked"], one["body"], one["status"]) for one in lines]
