"""Which tool the customer's message asks for, and the words that belong to that request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.llm.hints import Hints
from holdfast.llm.offline.ranking import HINT_WEIGHT, matches, score
from holdfast.llm.offline.request import ChatRequest, Function, Message
from holdfast.llm.offline.schema import enum_of
from holdfast.llm.words import share_said, stems

HAND_OVER = "hand_over_to"
"""The tool of the built-in graphs that passes a turn to another agent."""
ALREADY_HANDED_OVER = "handed this message over to you"

_GENERIC_VERBS = frozenset(("get", "find", "list", "look", "search", "fetch", "read", "show"))
_LOOKED_BACK = 4


@dataclass(frozen=True)
class Goal:
    """What to call, and the customer's words about it, the latest message first."""

    function: Function
    words: str


def goal_of(request: ChatRequest, hints: Hints) -> Goal | None:
    """The tool that the latest message asks for.

    A message that only answers the assistant's question, or asks for no tool after one, goes on
    with the request of the messages before it.
    """
    if forced := _forced(request):
        return Goal(forced, request.asked)
    functions = [f for f in request.functions if f.name != HAND_OVER]
    bare: Goal | None = None
    words = ""
    for text, question in _exchanges(request):
        words = f"{words}\n{text}".lstrip()
        function = _best(functions, text, hints)
        if function is not None and not _only_answers(text, question, hints):
            return Goal(function, words)
        if function is not None and bare is None:
            bare = Goal(function, words)
        if not question:
            break
    if bare is None and request.tool_choice == "required" and functions:
        return Goal(functions[0], request.asked)
    return bare


def _exchanges(request: ChatRequest) -> list[tuple[str, str]]:
    """The customer's latest messages, newest first, each with the question that it came after."""
    spoken = [*request.before, Message(role="user", content=request.asked)]
    pairs = [
        (message.text, before.text if before and before.role == "assistant" else "")
        for before, message in zip([None, *spoken], spoken, strict=False)
        if message.role == "user"
    ]
    return [(text, said if "?" in said else "") for text, said in reversed(pairs)][:_LOOKED_BACK]


def _only_answers(text: str, question: str, hints: Hints) -> bool:
    """Whether the message says nothing but a value, and words of the question it answers."""
    if not question:
        return False
    rest = text
    for hint in hints.tools.values():
        for expression in hint.patterns.values():
            rest = re.sub(expression, " ", rest, flags=re.IGNORECASE)
    return stems(rest) <= stems(question)


def handover_of(request: ChatRequest, hints: Hints) -> str | None:
    """The other agent that the latest message clearly belongs to, where one may be named."""
    tool = next((f for f in request.functions if f.name == HAND_OVER), None)
    if tool is None or request.calls or ALREADY_HANDED_OVER in request.system:
        return None
    if request.has_sources:
        return None
    others = [str(o) for o in enum_of(tool.properties.get("agent", {}))]
    if not others:
        return None
    scores = score(request.asked, others, {}, hints)
    best = max(others, key=lambda other: scores[other])
    return best if scores[best] >= HINT_WEIGHT else None


def _forced(request: ChatRequest) -> Function | None:
    if not isinstance(request.tool_choice, dict):
        return None
    name = request.tool_choice.get("function", {}).get("name")
    return next((f for f in request.functions if f.name == name), None)


def _best(functions: Sequence[Function], words: str, hints: Hints) -> Function | None:
    order = {name: position for position, name in enumerate(hints.tools)}
    scored = [
        (_points(function, words, hints), -order.get(function.name, len(order)), function)
        for function in functions
    ]
    points, _, best = max(scored, key=lambda entry: entry[:2], default=(0.0, 0, None))
    return best if points >= 1.0 else None


def _points(function: Function, words: str, hints: Hints) -> float:
    hint = hints.tools.get(function.name)
    if hint is not None:
        return 0.0 if matches(hint.unless, words) else float(matches(hint.phrases, words))
    spoken_name = " ".join(p for p in function.name.split("_") if p not in _GENERIC_VERBS)
    shared = len(stems(words) & stems(function.description))
    return share_said(spoken_name, words) + 0.25 * shared
