"""Which of several options a message speaks for, and how clearly."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.contract.hints import Hints
from holdfast.domain.words import stems
from holdfast.llm.offline.plain import Span, is_state, without_reserve
from holdfast.llm.offline.request import ChatRequest

HINT_WEIGHT = 2.0
"""A matching expression of a hint, against 1 for a word shared with the description of an option
without hints, and `_DESCRIBED` for one of an option with hints."""
_DESCRIBED = 0.25
FADING = 0.6
"""What an older message counts for, against the one after it."""
_ENOUGH = 1.0


@dataclass(frozen=True)
class Choice:
    """The best option and how clear the win was, from 0 to 1."""

    option: str
    confidence: float


def choose(request: ChatRequest, options: Sequence[str], hints: Hints) -> Choice:
    """The option that the customer's message speaks for.

    One that says too little by itself is read together with the customer's messages before it.
    """
    scores = score(request.understood, options, request.options, hints)
    weight = 1.0
    for message in reversed(request.before):
        if message.role != "user":
            continue
        if max(scores.values()) >= _ENOUGH:
            break
        weight *= FADING
        for option, points in score(message.text, options, request.options, hints).items():
            scores[option] += weight * points
    return _clearest(scores)


def score(
    text: str, options: Sequence[str], descriptions: Mapping[str, str], hints: Hints
) -> dict[str, float]:
    """Points for each option."""
    return {
        option: _points(text, option, descriptions.get(option, ""), hints) for option in options
    }


def _points(text: str, option: str, description: str, hints: Hints) -> float:
    name = option.replace("_", " ")
    if option in hints.intents:
        hinted = HINT_WEIGHT * matches(hints.intents[option], text)
        return hinted + _DESCRIBED * len(stems(text) & stems(f"{name} {description}"))
    # An option may be the name of something to do, which a graph then does.
    return float(len(stems(plainly_said(name, text)) & stems(f"{name} {description}")))


def spans_of(expressions: Sequence[str], text: str) -> set[Span]:
    """Where the expressions occur in `text`, overlapping occurrences included."""
    found: set[Span] = set()
    for expression in expressions:
        pattern = re.compile(expression, re.IGNORECASE)
        at = 0
        while (match := pattern.search(text, at)) and match[0]:
            found.add(match.span())
            at = match.start() + 1
    return found


def plainly_said(phrase: str, text: str) -> str:
    """`text` without what it says of `phrase` with a reserve. A phrase that is a state, such as "delivered",
    is said of the past by itself."""
    if is_state(phrase):
        return text
    return without_reserve(text, lambda words: words_like(phrase, words))


def matches_plainly(expression: str, text: str) -> bool:
    """Whether the expression occurs in `text` outside of what is said with a reserve."""
    plain = without_reserve(text, lambda words: spans_of((expression,), words))
    return re.search(expression, plain, re.IGNORECASE) is not None


def words_like(phrase: str, text: str) -> set[Span]:
    """Where words of `text` have the stem of a word of `phrase`."""
    wanted = _loose(phrase)
    return {word.span() for word in re.finditer(r"\w+", text) if _loose(word[0]) & wanted}


def share_said_loosely(phrase: str, text: str) -> float:
    """How much of `phrase` occurs in `text` in any form, from 0 to 1."""
    wanted = _loose(phrase)
    return len(wanted & _loose(text)) / len(wanted) if wanted else 0.0


def _loose(text: str) -> set[str]:
    """Stems without the letter that a form doubles: "cancelled" and "cancel"."""
    return {re.sub(r"(\w)\1$", r"\1", stem) for stem in stems(text)}


def matches(expressions: Sequence[str], text: str) -> int:
    """How many of the expressions occur in `text`."""
    return sum(bool(re.search(expression, text, re.IGNORECASE)) for expression in expressions)


def _clearest(scores: Mapping[str, float]) -> Choice:
    ordered = sorted(scores, key=lambda option: -scores[option])
    top = scores[ordered[0]]
    if top <= 0:
        return Choice(ordered[0], 0.3)
    second = scores[ordered[1]] if len(ordered) > 1 else 0.0
    clear = 0.5 + 0.45 * (top - second) / top
    return Choice(ordered[0], round(min(clear, 0.4 + 0.4 * top), 2))
