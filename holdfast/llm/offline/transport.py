"""The offline model behind an OpenAI-compatible endpoint without a socket.

Give `OfflineTransport` to the HTTP client of the `openai` SDK; every request is answered by rules,
the same request always by the same bytes. Sampling parameters mean nothing to rules.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import httpx2
from pydantic import JsonValue, ValidationError

from holdfast.contract.hints import Hints, Say, ToolUse
from holdfast.domain.validation import dotted, problems_of
from holdfast.llm.offline.answer import (
    asks_to_confirm,
    confirmation,
    courtesy,
    from_calls,
    left_alone,
)
from holdfast.llm.offline.builtin import merged
from holdfast.llm.offline.goals import (
    HAND_OVER,
    goal_of,
    handover_of,
    is_change,
    leaves_open,
    may_be_called,
    may_change,
)
from holdfast.llm.offline.planner import Done, steps_for
from holdfast.llm.offline.request import ChatRequest
from holdfast.llm.offline.sources import from_sources
from holdfast.llm.offline.structured import fill
from holdfast.llm.offline.whole import is_yes

MODEL = "holdfast-offline"
FINGERPRINT = "fp_holdfast_offline_5"
"""Announces that rules answered; the number grows when they answer differently."""

_CREATED = 1_750_000_000
"""A constant, so that equal requests get equal bytes."""
_CHARACTERS_PER_TOKEN = 4


class OfflineTransport(httpx2.AsyncBaseTransport):
    """Answers `POST …/chat/completions` and `GET …/models` in OpenAI's forms.

    Refuses in OpenAI's error form: 404 for any other path, 400 for what is no chat request, for
    `stream`, for `n` above 1 and for an answer format other than text and a JSON schema.

    Args:
        hints: what packages tell.
        acts: whether it calls tools; without that it answers in words alone, whatever is offered.
    """

    def __init__(self, hints: Sequence[Hints] = (), *, acts: bool = True) -> None:
        self._hints = merged(hints)
        self._acts = acts

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.rstrip("/")
        if request.method == "GET" and path.endswith("/models"):
            model: JsonValue = {
                "id": MODEL,
                "object": "model",
                "created": _CREATED,
                "owned_by": "holdfast",
            }
            return _respond(200, {"object": "list", "data": [model]})
        if request.method != "POST" or not path.endswith("/chat/completions"):
            return _refuse(404, f"unknown request: {request.method} {path or '/'}")
        body = await request.aread()
        try:
            asked = ChatRequest.model_validate_json(body)
        except ValidationError as error:
            at, reason = problems_of(error, trusted=True)[0]
            return _refuse(400, f"{dotted(at) or 'body'}: {reason}")
        problem = _unsupported(asked)
        if problem:
            return _refuse(400, problem)
        if not self._acts:
            asked = asked.without_tools()
        return _respond(200, _completion(asked, body, self._hints))


def _unsupported(asked: ChatRequest) -> str | None:
    if asked.stream:
        return "the offline model does not stream; leave out `stream`"
    if (asked.n or 1) > 1:
        return "the offline model gives one answer; leave out `n`"
    form = asked.response_format
    if form and (form.type not in ("text", "json_schema")):
        return f"response_format {form.type!r} is not supported; use json_schema"
    if form and form.type == "json_schema" and form.json_schema is None:
        return "response_format json_schema needs a schema"
    return None


def _completion(asked: ChatRequest, body: bytes, hints: Hints) -> JsonValue:
    digest = hashlib.sha256(body).hexdigest()
    text, calls = _answer(asked.legible(), hints)
    message: dict[str, JsonValue] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        message["tool_calls"] = [
            {
                "id": f"call_{digest[:16]}_{position}",
                "type": "function",
                "function": {"name": call.name, "arguments": _dump(call.arguments)},
            }
            for position, call in enumerate(calls)
        ]
    prompt = _tokens(body.decode(errors="replace"))
    answered = _tokens(_dump(message))
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": MODEL,
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "tool_calls" if calls else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": answered,
            "total_tokens": prompt + answered,
        },
    }


def _answer(asked: ChatRequest, hints: Hints) -> tuple[str | None, list[ToolUse]]:
    form = asked.response_format
    if form and form.json_schema:
        return _dump(fill(asked, form.json_schema.schema_, hints)), []
    if asked.functions and asked.tool_choice != "none":
        found = _use_tools(asked, hints)
        if found is not None:
            return found
    if asked.has_sources:
        return from_sources(asked), []
    return courtesy(asked, hints), []


def _use_tools(asked: ChatRequest, hints: Hints) -> tuple[str | None, list[ToolUse]] | None:
    if asked.is_too_long:
        return (left_alone(asked), []) if may_change(asked, hints) else None
    question = asked.answers_to if asks_to_confirm(asked.answers_to) else ""
    if question:
        # Only a plain yes goes on with what was asked about; anything else begins anew.
        agreed = is_yes(asked.asked)
        asked = asked.without_latest_exchange() if agreed else asked.latest_alone()
    goal = goal_of(asked, hints)
    if goal is None:
        agent = handover_of(asked, hints)
        if agent is None:
            open_still = question or leaves_open(asked, hints)
            return (left_alone(asked), []) if open_still and may_change(asked, hints) else None
        note = asked.asked.strip()[:200]
        return None, [ToolUse(HAND_OVER, {"agent": agent, "note": f"The customer wrote: {note}"})]
    steps = steps_for(goal, hints)
    calls = [step for step in steps if isinstance(step, ToolUse)]
    changes = [call for call in calls if call.name == goal.function.name]
    if changes and not may_be_called(goal, changes, hints, asked.calls):
        asks = confirmation(asked, changes, hints)
        if asks != question:
            return asks, []
    if calls:
        return None, calls
    said = [step.text for step in steps if isinstance(step, Say)]
    done = [(step.call, step.known) for step in steps if isinstance(step, Done)]
    told = [from_calls(done, hints)] if done else []
    if leaves_open(asked, hints) and not is_change(goal.function, hints):
        said.append(left_alone(asked))
    return "\n\n".join([*told, *dict.fromkeys(said)]), []


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _respond(status: int, body: JsonValue) -> httpx2.Response:
    return httpx2.Response(status, json=body)


def _refuse(status: int, message: str) -> httpx2.Response:
    kind = "not_found_error" if status == 404 else "invalid_request_error"
    return _respond(
        status, {"error": {"message": message, "type": kind, "param": None, "code": None}}
    )
