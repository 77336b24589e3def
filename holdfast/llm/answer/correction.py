"""How a model is shown what is wrong with its answer: the same request once more, with both behind it."""

import json
import re
from dataclasses import replace

from openai.types.chat import ChatCompletionMessageParam

from holdfast.llm.answer.completion import Unusable
from holdfast.llm.request import ModelRequest
from holdfast.store.llm_calls import RecordedCall

_ROOM_TOKENS = 4_096
_MOST_ROOM_TOKENS = 32_768
_QUOTED_CHARACTERS = 10_000
_QUOTED_ARGUMENTS = 500
_NAME = re.compile(r"[^A-Za-z0-9_-]")


def corrected(request: ModelRequest, call: RecordedCall, unusable: Unusable) -> ModelRequest:
    """The request that shows the model its answer. Tool calls are answered as tools answer; what has
    another fault is quoted. An answer that was cut off gets more room."""
    added = _answered(call, unusable) if unusable.results else _quoted(call, unusable)
    body = {**request.body, "messages": [*request.body["messages"], *added]}
    if unusable.fault == "cut":
        room = max(_ROOM_TOKENS, 2 * call.completion_tokens)
        body["max_completion_tokens"] = min(room, _MOST_ROOM_TOKENS)
    return replace(request, body=body)


def _answered(call: RecordedCall, unusable: Unusable) -> list[ChatCompletionMessageParam]:
    # Providers refuse a history with broken arguments or odd names in it: what was meant is in the result.
    asked: ChatCompletionMessageParam = {
        "role": "assistant",
        "content": call.response.text[:_QUOTED_CHARACTERS] or None,
        "tool_calls": [
            {
                "id": one.id,
                "type": "function",
                "function": {
                    "name": _NAME.sub("_", one.name)[:64] or "unknown",
                    "arguments": "{}" if one.problem else one.arguments or "{}",
                },
            }
            for one in call.response.tool_calls
        ],
    }
    answers: list[ChatCompletionMessageParam] = []
    for one in call.response.tool_calls:
        result = {"error": unusable.results[one.id]}
        if one.problem:
            result["arguments"] = one.arguments[:_QUOTED_ARGUMENTS]
        content = json.dumps(result, ensure_ascii=False)
        answers.append({"role": "tool", "tool_call_id": one.id, "content": content})
    return [asked, *answers]


def _quoted(call: RecordedCall, unusable: Unusable) -> list[ChatCompletionMessageParam]:
    response = call.response
    calls = [f"{one.name}({one.arguments})" for one in response.tool_calls]
    answer = "\n".join([response.text, *calls]).strip()[:_QUOTED_CHARACTERS]
    return [
        {"role": "assistant", "content": answer or "(no answer)"},
        {
            "role": "user",
            "content": f"That answer cannot be used:\n{unusable.problem}\n"
            "Answer again, in the form that was asked for, with these mistakes corrected.",
        },
    ]
