"""From a recorded answer to what the node gets, or to what is wrong with it."""

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import JsonValue, ValidationError

from holdfast.contract.chat import Completion, StructuredT, Tool, ToolCall
from holdfast.domain.events import AnswerFault
from holdfast.domain.limits import AnswerBound, AnswerBounds
from holdfast.domain.validation import dotted, problems_of
from holdfast.llm.answer.markup import calls_in_words
from holdfast.llm.answer.values import Unfit, objects_in, recorded_arguments
from holdfast.store.llm_calls import ModelResponse, RawToolCall, RecordedCall

CUT_MARK = " […]"
_LONGEST_WORD = 50
_NAMES_TOLD = 50
_MISFITS_TOLD = 20


class Unusable(Exception):
    """An answer that cannot be used.

    Args:
        fault: what is wrong, in a word; it goes into events and errors, where nothing of the answer may.
        problem: what is wrong, for the model.
        results: what is answered to each of its tool calls, by id, where that is how it is told.
        bound: the setting that the answer passes, and `limit` its value.
    """

    def __init__(
        self,
        fault: AnswerFault,
        problem: str,
        *,
        results: Mapping[str, str] | None = None,
        bound: Literal[AnswerBound, ""] = "",
        limit: int = 0,
    ) -> None:
        super().__init__(problem)
        self.fault: AnswerFault = fault
        self.problem = problem
        self.results = dict(results or {})
        self.bound: Literal[AnswerBound, ""] = bound
        self.limit = limit


def completion_of(
    call: RecordedCall, offered: Mapping[str, Tool], bounds: AnswerBounds, *, last: bool = False
) -> Completion:
    """The completion, whose tool calls are of offered tools and have arguments that are JSON objects.

    Args:
        last: the model was told before; a text that is still too long is cut.

    Raises:
        Unusable: it cannot be used.
    """
    response = call.response
    _require_whole(response)
    calls = _tool_calls(response, offered, bounds)
    text = response.text
    if len(text) > bounds.reply_characters and not last:
        raise Unusable(
            "length",
            f"the answer has {len(text)} characters, at most {bounds.reply_characters} are allowed",
            bound="reply_characters",
            limit=bounds.reply_characters,
        )
    if calls_in_words(text, offered):
        raise Unusable("markup", "a tool is called through `tool_calls`, never in the text")
    if not calls and not text.strip():
        raise Unusable("empty", "the answer is empty")
    return Completion(
        text=cut_to(text, bounds.reply_characters),
        tool_calls=calls,
        provider=call.provider,
        model=call.model,
        degraded=call.degraded,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        price=call.price,
    )


def fitting(call: RecordedCall, schema: type[StructuredT]) -> StructuredT:
    """The one value in the answer that fits `schema`.

    Raises:
        Unusable: there is none, or more than one.
    """
    response = call.response
    _require_whole(response, cut_counts=False)
    problem = "the answer is no JSON"
    found: list[StructuredT] = []
    for value in objects_in(response.text):
        try:
            one = schema.model_validate_json(json.dumps(value))
        except ValidationError as error:
            problem = _misfits(error)
        else:
            if one not in found:
                found.append(one)
    if len(found) == 1:
        return found[0]
    if response.finish_reason == "length":
        raise _cut()
    raise Unusable("schema", "the answer has several objects in it" if found else problem)


def cut_to(text: str, characters: int) -> str:
    """The text with at most that many characters, marked where it is cut: after a word, where it has any."""
    if len(text) <= characters:
        return text
    kept = text[: characters - len(CUT_MARK)]
    words, _, half = kept.rpartition(" ")
    return (words if words and len(half) < _LONGEST_WORD else kept).rstrip() + CUT_MARK


def _misfits(error: ValidationError) -> str:
    """The first things that do not fit, a line for each."""
    found = problems_of(error, trusted=True)[:_MISFITS_TOLD]
    return "\n".join(f"{dotted(at) or 'the answer'}: {reason}" for at, reason in found)


def _require_whole(response: ModelResponse, *, cut_counts: bool = True) -> None:
    if response.finish_reason == "content_filter":
        raise Unusable("filtered", "the answer was filtered")
    if response.bound:
        raise Unusable("length", response.problem, bound=response.bound, limit=response.limit)
    if response.problem:
        raise Unusable("shape", response.problem)
    if cut_counts and response.finish_reason == "length":
        raise _cut()


def _cut() -> Unusable:
    return Unusable("cut", "the answer was cut off before its end; answer more briefly")


def _tool_calls(
    response: ModelResponse, offered: Mapping[str, Tool], bounds: AnswerBounds
) -> tuple[ToolCall, ...]:
    asked = response.tool_calls
    if len(asked) > bounds.calls_per_answer:
        problem = f"at most {bounds.calls_per_answer} tools may be called at once; none was called"
        raise Unusable(
            "calls",
            problem,
            results={call.id: problem for call in asked},
            bound="calls_per_answer",
            limit=bounds.calls_per_answer,
        )
    calls: list[ToolCall] = []
    wrong: dict[str, tuple[AnswerFault, str, RawToolCall]] = {}
    for call in asked:
        tool = offered.get(call.name)
        if tool is None:
            wrong[call.id] = ("tool", _no_such_tool(call.name, offered), call)
            continue
        try:
            arguments = _arguments(call, tool)
        except Unfit as unfit:
            wrong[call.id] = ("arguments", str(unfit), call)
        else:
            calls.append(ToolCall(id=call.id, name=call.name, arguments=arguments))
    if not wrong:
        return tuple(calls)
    fault, _, first = next(iter(wrong.values()))
    others = (
        "not called, since another call of the same answer cannot be; call it again if it is needed"
    )
    raise Unusable(
        fault,
        "\n".join(f"{call.name}: {problem}" for _, problem, call in wrong.values()),
        results={call.id: wrong[call.id][1] if call.id in wrong else others for call in asked},
        bound=first.bound,
        limit=first.limit,
    )


def _arguments(call: RawToolCall, tool: Tool) -> dict[str, JsonValue]:
    try:
        arguments = recorded_arguments(call.arguments)
    except Unfit as unfit:
        if tool.lenient:
            return {}
        raise Unfit(call.problem or str(unfit)) from None
    if call.problem and not tool.lenient:
        raise Unfit(call.problem)
    return arguments


def _no_such_tool(name: str, offered: Mapping[str, Tool]) -> str:
    known = ", ".join(sorted(offered)[:_NAMES_TOLD]) or "none"
    return f"there is no tool {name!r}; the tools are {known}"
