"""From the body of an HTTP answer to a `ModelResponse` that can be recorded, whatever the body is."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.domain.errors import ModelRefused, RefusalReason
from holdfast.domain.limits import AnswerBounds
from holdfast.domain.text import storable
from holdfast.llm.answer.markup import without_thoughts
from holdfast.llm.answer.values import Unfit, arguments_of, parsed
from holdfast.store.llm_calls import ModelResponse, RawToolCall

_KEPT_CHARACTERS = 100_001
"""Of a text: one more than a reply may have by any setting, so that a longer one is known to be too long."""
_KEPT_OF_BROKEN_ARGUMENTS = 2_000
_NAME_CHARACTERS = 200
_ID = re.compile(r"[!-~]{1,64}")
_TEXTS = {"text", "output_text"}
_MOST_TOKENS = 100_000_000
"""No model takes or writes more in one call: a larger count is a mistake."""
_CHARACTERS_PER_TOKEN = 4

_CUT = {"length", "max_tokens", "max_output_tokens"}
_FILTERED = {
    "content_filter", "content_filtered", "safety", "blocklist", "prohibited_content", "recitation",
}  # fmt: skip
_BROKEN_OFF = {"error", "network_error", "abort"}

_REFUSING_STATUSES = {400, 413, 422}
_CONTEXT = re.compile(
    r"context[ _-]?(length|window|size)|string_above_max_length|maximum context|too many (input )?tokens"
    r"|(prompt|input|request|message)s? (is|are|was) too (long|large)|reduce the length",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content[ _-]?(filter|policy|management)|responsible ?ai|safety system|moderation|flagged",
    re.IGNORECASE,
)


class NoAnswer(Exception):
    """The body is no chat completion: the provider did not answer."""


@dataclass(frozen=True)
class ReadBody:
    """What a body says: the response, the model's name if it is there, and whole tokens."""

    response: ModelResponse
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


def read_body(
    body: bytes, bounds: AnswerBounds, *, asked_characters: Callable[[], int]
) -> ReadBody:
    """Read the body of a success, or as much of one as is more than `answer_bytes`. `asked_characters`, the
    length of what was asked, stands in for a count of tokens that cannot be true.

    Raises:
        NoAnswer: it is no chat completion.
        ModelRefused: it is a refusal, sent as a success.
    """
    if len(body) > bounds.answer_bytes:
        return _unread(body, bounds, asked_characters)
    try:
        document = parsed(body.decode("utf-8-sig", "replace"))
    except Unfit:
        raise NoAnswer("the answer is no JSON") from None
    choice = _choice(document)
    response = _response(choice["message"], _finish(choice.get("finish_reason")), bounds)
    usage = document.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    prompt = _tokens(usage.get("prompt_tokens"), asked_characters)
    model = document.get("model")
    return ReadBody(
        response=response,
        model=storable(model)[:_NAME_CHARACTERS] if isinstance(model, str) else None,
        prompt_tokens=prompt,
        completion_tokens=_tokens(
            usage.get("completion_tokens"),
            lambda: len(response.text) + sum(len(call.arguments) for call in response.tool_calls),
        ),
        cached_tokens=min(
            prompt,
            _tokens(details.get("cached_tokens"), int) if isinstance(details, dict) else 0,
        ),
    )


def _unread(body: bytes, bounds: AnswerBounds, asked_characters: Callable[[], int]) -> ReadBody:
    """What is known of an answer that is too long to be read. Its tokens were paid, and are estimated."""
    return ReadBody(
        response=ModelResponse(
            text="",
            problem=f"the answer has more than {bounds.answer_bytes} bytes; answer more briefly",
            bound="answer_bytes",
            limit=bounds.answer_bytes,
        ),
        model=None,
        prompt_tokens=_estimated(asked_characters()),
        completion_tokens=_estimated(len(body)),
        cached_tokens=0,
    )


def refusal_of(status: int, body: object) -> RefusalReason | None:
    """Why the request itself is refused; None where an error is about the provider instead."""
    if not 400 <= status < 500 or status in {401, 402, 408, 409, 429}:
        return None
    reason = _reason(body)
    if status == 413 and reason == "other":
        return "context_length"
    return reason if status in _REFUSING_STATUSES or reason != "other" else None


def _reason(body: object) -> RefusalReason:
    words = _in_short(body)
    if _CONTEXT.search(words):
        return "context_length"
    return "content_filter" if _FILTER.search(words) else "other"


def _in_short(body: object) -> str:
    """The beginning of an error's body as text; what was asked may be quoted further on."""
    try:
        return body[:2_000] if isinstance(body, str) else json.dumps(body)[:2_000]
    except (TypeError, ValueError, RecursionError):
        return ""


def _choice(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise NoAnswer("the answer is no chat completion")
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
        return choice
    if error := document.get("error"):
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) else None
        reason = refusal_of(400 if status is None else status, error)
        if reason is not None and (reason != "other" or status in _REFUSING_STATUSES):
            raise ModelRefused("the request is refused by an error in the body", reason=reason)
        raise NoAnswer("the answer is an error")
    raise NoAnswer("the answer is no chat completion")


def _finish(reason: object) -> str:
    named = reason.lower() if isinstance(reason, str) else ""
    if named in _BROKEN_OFF:
        raise NoAnswer("the provider broke off")
    if named in _CUT:
        return "length"
    return "content_filter" if named in _FILTERED else storable(named)[:40]


def _response(message: dict[str, Any], finish: str, bounds: AnswerBounds) -> ModelResponse:
    problems: list[str] = []
    text = _text(message.get("content"), problems) or _plain(message.get("refusal"))
    calls = _tool_calls(message, problems, bounds)
    return ModelResponse(
        text=without_thoughts(storable(text))[:_KEPT_CHARACTERS],
        tool_calls=_with_regular_ids(calls),
        finish_reason=finish,
        problem="; ".join(dict.fromkeys(problems)),
    )


def _text(content: Any, problems: list[str]) -> str:
    """Text, parts of it, or an object that should have been text."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        if not content.keys() & {"type", "text"}:
            try:
                return _as_json(content)
            except Unfit as unfit:
                problems.append(str(unfit))
                return ""
        content = [content]
    if not isinstance(content, list):
        problems.append("the content is no text")
        return ""
    return "".join(_part(part) for part in content)


def _part(part: Any) -> str:
    """The text of a part; thoughts, and what no text could show, have none."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    kind = part.get("type")
    if kind is None or (isinstance(kind, str) and kind in _TEXTS):
        text = part.get("text")
        return _plain(text.get("value") if isinstance(text, dict) else text)
    return _plain(part.get("refusal")) if kind == "refusal" else ""


def _plain(value: object) -> str:
    return value if isinstance(value, str) else ""


def _tool_calls(
    message: dict[str, Any], problems: list[str], bounds: AnswerBounds
) -> list[RawToolCall]:
    asked = message.get("tool_calls")
    if not asked and isinstance(message.get("function_call"), dict):
        asked = [{"function": message["function_call"]}]
    if isinstance(asked, dict):
        asked = [asked]
    if asked is None:
        return []
    if not isinstance(asked, list):
        problems.append("the tool calls are no list")
        return []
    calls: list[RawToolCall] = []
    for call in asked[: bounds.calls_per_answer + 1]:
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not name.strip():
            problems.append("a tool call names no function")
        else:
            assert isinstance(function, dict)
            calls.append(_tool_call(call.get("id"), name, function.get("arguments"), bounds))
    return calls


def _tool_call(given: Any, name: str, asked: Any, bounds: AnswerBounds) -> RawToolCall:
    """Arguments that can be read are kept as regular JSON, others as they came, with what is wrong."""
    call = RawToolCall(
        id=_plain(given), name=storable(name.strip())[:_NAME_CHARACTERS], arguments=""
    )
    written = asked if isinstance(asked, str) else ""
    try:
        if not isinstance(asked, str | None):
            written = _as_json(asked)
        arguments, changed = arguments_of(written, bounds)
    except Unfit as unfit:
        changes = {
            "arguments": storable(written[:_KEPT_OF_BROKEN_ARGUMENTS]),
            "problem": str(unfit),
            "bound": unfit.bound,
            "limit": unfit.limit,
        }
        return call.model_copy(update=changes)
    regular = json.dumps(arguments, ensure_ascii=False) if arguments else ""
    problem = "the arguments have half of a surrogate pair in them" if changed else ""
    return call.model_copy(update={"arguments": regular, "problem": problem})


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        raise Unfit("it is nested too deeply") from None


def _with_regular_ids(calls: list[RawToolCall]) -> tuple[RawToolCall, ...]:
    """Ids that can be stored and are unique in the answer: results are told apart by them."""
    taken = {call.id for call in calls if _ID.fullmatch(call.id)}
    fresh = _fresh_ids(taken)
    seen: set[str] = set()
    regular: list[RawToolCall] = []
    for call in calls:
        keeps = call.id in taken and call.id not in seen
        regular.append(call if keeps else call.model_copy(update={"id": next(fresh)}))
        seen.add(call.id)
    return tuple(regular)


def _fresh_ids(taken: set[str]) -> Iterator[str]:
    count = 0
    while True:
        count += 1
        if (name := f"call_{count}") not in taken:
            yield name


def _tokens(count: object, characters: Callable[[], int]) -> int:
    """Whole tokens; a count that cannot be true is estimated, and one that is missing is none."""
    if count is None or isinstance(count, bool):
        return 0
    if isinstance(count, str):
        try:
            count = float(count)
        except ValueError:
            count = math.nan
    if isinstance(count, int | float) and 0 <= count <= _MOST_TOKENS:
        return math.ceil(count)
    return _estimated(characters())


def _estimated(characters: int) -> int:
    return math.ceil(characters / _CHARACTERS_PER_TOKEN)
