"""Which tool the customer's message asks for, and the words that belong to that request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from holdfast.contract.hints import AnsweredCall, Hints, ToolHint, ToolUse
from holdfast.domain.words import stems
from holdfast.llm.offline.plain import Plain, Span, is_plain_answer, plainly, sentences_of, straight
from holdfast.llm.offline.ranking import (
    HINT_WEIGHT,
    matches,
    score,
    share_said_loosely,
    spans_of,
    words_like,
)
from holdfast.llm.offline.request import LONGEST_REQUEST, ChatRequest, Function, Message
from holdfast.llm.offline.schema import enum_of
from holdfast.llm.offline.whole import accounts_for

HAND_OVER = "hand_over_to"
"""The tool of the built-in graphs that passes a turn to another agent."""
ALREADY_HANDED_OVER = "handed this message over to you"

_GENERIC_VERBS = frozenset(("get", "find", "list", "look", "search", "fetch", "read", "show"))
_READING = re.compile(r"^(get|find|list|search|look|read|fetch|show)_")
_LOOKED_BACK = 4


@dataclass(frozen=True)
class Goal:
    """What to call, the customer's words about it, the latest message first, and the request with nothing
    else in it that could be taken for an argument."""

    function: Function
    words: str
    request: ChatRequest
    said: tuple[str, ...]
    """The customer's messages about it, as they were written."""


def goal_of(request: ChatRequest, hints: Hints) -> Goal | None:
    """The tool that the latest message asks for.

    A message that only answers the assistant's question, or asks for no tool after one, goes on
    with the request of the messages before it. What changes something is called for a plain request alone,
    and nothing for messages that are too long together to be understood.
    """
    functions = [f for f in request.functions if f.name != HAND_OVER]
    asking = _Asking(functions, hints)
    latest = asking.plainly(request.asked)
    clear = not latest.reserved and is_plain_answer(request.asked)
    if forced := _forced(request):
        may = clear or not is_change(forced, hints) or asking.best(request.asked, latest)
        return Goal(forced, request.asked, request, (request.asked,)) if may else None
    plain_request = request.in_other_words(lambda text: asking.plainly(text).text)
    bare: Goal | None = None
    words = plain_words = ""
    said: tuple[str, ...] = ()
    answered = True
    for text, question in _exchanges(request):
        plain = asking.plainly(text)
        said = (*said, text)
        words, plain_words = f"{words}\n{text}".lstrip(), f"{plain_words}\n{plain.text}".lstrip()
        if len(words) > LONGEST_REQUEST:
            break
        function = asking.best(text, plain)
        if function is not None and (answered or not is_change(function, hints)):
            goal = Goal(function, words, request, said)
            if is_change(function, hints):
                goal = Goal(function, plain_words, plain_request, said)
            if not _only_answers(text, question, hints):
                return goal
            bare = bare or goal
        answered = answered and not plain.reserved and _answers(text, question, hints)
        if not question:
            break
    if bare is None and request.tool_choice == "required":
        able = [f for f in functions if clear or not is_change(f, hints)]
        return Goal(able[0], request.asked, request, (request.asked,)) if able else None
    return bare


def leaves_open(request: ChatRequest, hints: Hints) -> bool:
    """Whether the latest message speaks of a change without plainly asking for it, or takes one back."""
    asking = _Asking([f for f in request.functions if f.name != HAND_OVER], hints)
    exchanges = _exchanges(request)
    asked_before = any(asking.plainly(text).asked for text, _ in exchanges[1:2])
    latest = asking.plainly(request.asked)
    return latest.reserved or (asked_before and not is_plain_answer(request.asked))


def may_be_called(
    goal: Goal, uses: Sequence[ToolUse], hints: Hints, calls: Sequence[AnsweredCall]
) -> bool:
    """Whether the calls are no change, or the customer's messages say nothing but what they change."""
    if not is_change(goal.function, hints):
        return True
    asking = _Asking([goal.function], hints)
    hint = hints.tools.get(goal.function.name, ToolHint())
    return accounts_for(goal.said, uses, hint, partial(asking.spans, goal.function), calls)


def may_change(request: ChatRequest, hints: Hints) -> bool:
    """Whether any tool is offered that may change something."""
    return any(is_change(f, hints) for f in request.functions if f.name != HAND_OVER)


def is_change(function: Function, hints: Hints) -> bool:
    """Whether a tool may change something: what isn't known for a read may."""
    hint = hints.tools.get(function.name)
    told = hint is not None and hint.say is not None and hint.doing is None
    return not told and _READING.match(function.name) is None


class _Asking:
    """How the customer's words ask for tools."""

    def __init__(self, functions: Sequence[Function], hints: Hints) -> None:
        self._functions = functions
        self._hints = hints
        self._changes = [function for function in functions if is_change(function, hints)]

    def plainly(self, text: str) -> Plain:
        """What the text asks for without a reserve."""
        return plainly(text, self._spoken)

    def best(self, text: str, plain: Plain) -> Function | None:
        """The tool that a message speaks for most; a change by its plain words only."""
        order = {name: position for position, name in enumerate(self._hints.tools)}
        scored = [
            (
                self._points(function, text, plain),
                -order.get(function.name, len(order)),
                function,
            )
            for function in self._functions
        ]
        points, _, best = max(scored, key=lambda entry: entry[:2], default=(0.0, 0, None))
        return best if points >= 1.0 else None

    def _points(self, function: Function, text: str, plain: Plain) -> float:
        changes = is_change(function, self._hints)
        words = plain.text if changes else text
        if changes and not self.spans(function, straight(text)) & plain.asked:
            return 0.0
        hint = self._hints.tools.get(function.name)
        if hint is not None:
            return 0.0 if matches(hint.unless, plain.text) else float(matches(hint.phrases, words))
        name = _spoken_name(function)
        return share_said_loosely(name, words) + 0.25 * len(
            stems(words) & stems(function.description)
        )

    def _spoken(self, text: str) -> set[Span]:
        return {span for function in self._changes for span in self.spans(function, text)}

    def spans(self, function: Function, text: str) -> set[Span]:
        """Where the words are that speak for a tool."""
        hint = self._hints.tools.get(function.name)
        if hint is not None:
            return spans_of(hint.phrases, text)
        return words_like(_spoken_name(function).partition(" ")[0], text)


def _spoken_name(function: Function) -> str:
    return " ".join(part for part in function.name.split("_") if part not in _GENERIC_VERBS)


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


_COURTESY = stems(
    "oh ok okay sorry thanks thank yes well then right now like want would i'd i'm it's danke ja bitte also dann "
    "entschuldigung ich es sie das die der ein eine war"
)
_SOMEBODY = re.compile(
    r"\b(?:i|we|you|he|she|it|they|i'm|i'd|it's|wife|husband|nobody|ich|wir|sie|es|er|man|du|das|no|not|never|"
    r"nicht|kein\w*|don't|won't)\b",
    re.IGNORECASE,
)


def _answers(text: str, question: str, hints: Hints) -> bool:
    """Whether every sentence of a message answers the question that it came after: by a known value, by
    the question's own words, or by naming something."""
    if not question or not is_plain_answer(text):
        return False
    known = [e for hint in hints.tools.values() for e in _values(hint)]
    return all(
        any(re.search(e, sentence, re.IGNORECASE) for e in known)
        or stems(sentence) <= stems(question) | _COURTESY
        or _SOMEBODY.search(sentence) is None
        or re.search(r"\d", sentence) is not None
        for sentence in sentences_of(straight(text))
    )


def _values(hint: ToolHint) -> list[str]:
    return [*hint.patterns.values(), *(e for values in hint.values.values() for e in values)]


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
