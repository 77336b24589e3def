"""The talk between a model and its tools in one turn: what it has called, and what it is told."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openai.types.chat import ChatCompletionMessageParam
from pydantic import JsonValue

from holdfast.contract.chat import ToolCall
from holdfast.contract.hints import AnsweredCall
from holdfast.contract.subgraph import TranscriptMessage, TurnContext
from holdfast.domain.outcomes import ActionResult
from holdfast.domain.text import storable_value

ANSWER_CHARACTERS = 32_000
"""The most that a model is told of one tool's answer; what is longer is cut, and says so."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A turn of a tool agent, when it proposes or concludes. `calls` are those that were answered, in
    order."""

    context: TurnContext
    transcript: Sequence[TranscriptMessage]
    calls: tuple[AnsweredCall, ...]


def answer_message(call: ToolCall, answer: JsonValue) -> ChatCompletionMessageParam:
    """The message that answers a call; see `answer_text`."""
    return {"role": "tool", "tool_call_id": call.id, "content": answer_text(answer)}


def answer_text(answer: JsonValue) -> str:
    """What a model is told of an answer: a text as it is, any other value as JSON.

    Raises:
        Unstorable: a number in the answer is none of JSON's.
    """
    regular = storable_value(answer)
    text = regular if isinstance(regular, str) else json.dumps(regular, ensure_ascii=False)
    if len(text) > ANSWER_CHARACTERS:
        return f"{text[:ANSWER_CHARACTERS]} […] (cut: it has {len(text)} characters)"
    return text


def action_answer(result: ActionResult, asked: Mapping[str, JsonValue]) -> JsonValue:
    """What a model is told of an action that it has `asked` for with these arguments; a refusal is a result
    like any other. Arguments that a reviewer has changed are told with it."""
    edited = result.reviewer is not None and {
        name: value
        for name, value in result.arguments.items()
        if name in asked and asked[name] != value
    }
    if result.ok and edited:
        return {"state": result.state, "changed_by_a_reviewer": edited, "result": result.result}
    if result.ok and result.error is None:
        return {"state": result.state} if result.result is None else result.result
    answer: dict[str, JsonValue] = {
        "error": result.error or f"It was {result.state}.",
        "state": result.state,
    }
    match result.state:
        case "repeated":
            return {**answer, "earlier_result": result.result}
        case "executed":
            return {**answer, "result": result.result}
        case _:
            return answer


def answered_calls(exchange: Sequence[ChatCompletionMessageParam]) -> tuple[AnsweredCall, ...]:
    """The calls in a model's messages that the messages after them answer, in the order of the answers."""
    called: dict[str, tuple[str, dict[str, JsonValue]]] = {}
    answered: list[AnsweredCall] = []
    for message in exchange:
        if message["role"] == "assistant":
            # Ids count within one completion: some providers use them again in the next.
            called = {
                call["id"]: (
                    call["function"]["name"],
                    json.loads(call["function"]["arguments"]),
                )
                for call in message.get("tool_calls", ())
                if call["type"] == "function"
            }
        elif message["role"] == "tool":
            name, arguments = called[message["tool_call_id"]]
            result = _value(message["content"])
            answered.append(AnsweredCall(name=name, arguments=arguments, result=result))
    return tuple(answered)


def _value(content: object) -> JsonValue:
    """What a tool answered; a text that is no JSON stays a text."""
    try:
        value: JsonValue = json.loads(str(content))
    except (ValueError, RecursionError):
        return str(content)
    return value
