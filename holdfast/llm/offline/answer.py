"""Words for the customer: from tool results, from numbered sources, or from nothing but courtesy."""

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from holdfast.llm.hints import AnsweredCall, Hints, Known, ToolHint
from holdfast.llm.offline.builtin import ABILITIES, FAREWELL, GREETING, IDENTITY, THANKS
from holdfast.llm.offline.request import SOURCE, ChatRequest
from holdfast.llm.words import sentences, stems

IDENTITY_TEXT = (
    "I am Holdfast's offline model: a small set of rules that stands in for a language model, so "
    "that conversations work without one. I look things up, ask for what I need, and pass changes "
    "on for checking."
)
_SENTENCES = 3
_RELATED = 0.65
"""A further sentence belongs to the answer when it scores this share of what the best one does."""
_AS_GOOD = 0.9
"""One from another source has to be almost as good as the best."""

_FAILURES = {
    "rejected": "A colleague looked at your request and decided against it, so I could not {doing}: {why}",
    "denied": "Our rules do not let me {doing}: {why}",
    "expired": "Nobody could decide in time on whether I may {doing}, so nothing was changed: {why}",
    "withdrawn": "The request to {doing} was withdrawn, so nothing was changed: {why}",
    "responded": "I did not {doing}. A colleague looked at it and answers: {why}",
    "not_attempted": "I did not {doing}, since something before it did not succeed: {why}",
    "compensated": "I had to undo the request to {doing}: {why}",
    "failed": "Something went wrong when I tried to {doing}, and it was not done: {why}",
}
_FAILURE = "I am sorry, I could not {doing}: {why}"


def from_calls(calls: Sequence[tuple[AnsweredCall, Known]], hints: Hints) -> str:
    """What the calls returned, a paragraph for each."""
    texts = [_told(call, known, hints.tools.get(call.name, ToolHint())) for call, known in calls]
    return "\n\n".join(dict.fromkeys(texts))


def _told(call: AnsweredCall, known: Known, hint: ToolHint) -> str:
    if call.error is not None:
        state = call.result.get("state") if isinstance(call.result, dict) else None
        form = _FAILURES.get(str(state), _FAILURE)
        doing = (hint.doing or call.name.replace("_", " ")).format_map(_Spoken(call.arguments))
        return form.format(doing=doing, why=_sentence(call.error))
    if hint.say is not None:
        return hint.say(call, known)
    if isinstance(call.result, dict) and isinstance(message := call.result.get("message"), str):
        return f"Done. {message}" if hint.doing else message
    if hint.doing is not None:
        return f"Done: I was able to {hint.doing.format_map(_Spoken(call.arguments))}."
    return f"Here is what I found:\n{described(call.result)}"


class _Spoken(dict[str, JsonValue]):
    """Arguments for a template: lists in words, and what is missing left out."""

    def __init__(self, arguments: Mapping[str, JsonValue]) -> None:
        super().__init__(
            (name, ", ".join(map(str, value)) if isinstance(value, list) else value)
            for name, value in arguments.items()
        )

    def __missing__(self, key: str) -> str:
        return ""


def described(value: JsonValue, depth: int = 0) -> str:
    """A JSON value in words: fields as "name: value" lines, entries as list items."""
    indent = "  " * depth
    match value:
        case dict():
            return "\n".join(
                f"{indent}- {name.replace('_', ' ')}: {_inside(part, depth)}"
                for name, part in value.items()
                if part not in (None, "", [], {})
            )
        case list():
            if all(not isinstance(part, dict | list) for part in value):
                return f"{indent}{', '.join(described(part) for part in value)}"
            return "\n".join(f"{indent}-\n{described(part, depth + 1)}" for part in value)
        case bool():
            return "yes" if value else "no"
        case None:
            return "nothing"
        case _:
            return str(value)


def _inside(part: JsonValue, depth: int) -> str:
    nested = isinstance(part, dict) or (
        isinstance(part, list) and any(isinstance(one, dict | list) for one in part)
    )
    return f"\n{described(part, depth + 1)}" if nested else described(part)


def from_sources(request: ChatRequest) -> str:
    """The sentences of the sources that answer the question best, each with its number."""
    asked = stems(_question_in_context(request))
    pieces = SOURCE.split(request.system)
    entries = [
        (int(number), title, sentence)
        for number, title, body in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True)
        for sentence in sentences(body)
    ]
    known = [stems(f"{title} {sentence}") for _, title, sentence in entries]
    scores: list[float] = []
    for (number, title, sentence), words in zip(entries, known, strict=True):
        rarity = sum(
            1.0 / sum(stem in other for other in known) for stem in asked & stems(sentence)
        )
        in_title = len(asked & stems(title)) / len(asked | {""})
        numeric = 0.25 if _asks_amount(request.asked) and re.search(r"\d", sentence) else 0.0
        relevant = rarity + in_title + numeric
        scores.append(relevant / (1 + 0.25 * (number - 1)) if asked & words else 0.0)
    best = max(scores, default=0.0)
    if best <= 0:
        return "I found nothing about that in our help articles."
    ranked = sorted(range(len(entries)), key=lambda at: -scores[at])[:_SENTENCES]
    leading = entries[ranked[0]][0]
    kept = sorted(
        at
        for at in ranked
        if scores[at] >= (_RELATED if entries[at][0] == leading else _AS_GOOD) * best
    )
    return " ".join(f"{_sentence(entries[at][2])} [{entries[at][0]}]" for at in kept)


def _question_in_context(request: ChatRequest) -> str:
    before = [message.text for message in request.before if message.role == "user"]
    short = len(stems(request.asked)) < 2
    return f"{request.asked} {before[-1]}" if short and before else request.asked


def _asks_amount(question: str) -> bool:
    return (
        re.search(r"\bhow (long|many|much|soon|often|late)\b|\bwhen\b", question, re.I) is not None
    )


def courtesy(request: ChatRequest, hints: Hints) -> str:
    """The answer to a greeting, thanks, a question about the assistant, or anything out of scope."""
    asked = request.asked
    if re.search(IDENTITY, asked, re.IGNORECASE):
        return f"{IDENTITY_TEXT} {_offer(request)}".strip()
    if re.search(THANKS, asked, re.IGNORECASE):
        return "You are welcome! Is there anything else I can do for you?"
    if re.search(FAREWELL, asked, re.IGNORECASE):
        return "Thank you for getting in touch. Goodbye!"
    if re.search(GREETING, asked, re.IGNORECASE):
        return f"Hello! {_offer(request)}" if _offer(request) else "Hello! How can I help you?"
    if re.search(ABILITIES, asked, re.IGNORECASE) and _offer(request):
        return _offer(request)
    doable = [f for f in request.functions if _is_change(f.name, hints)]
    if doable:
        listed = "\n".join(f"- {function.name.replace('_', ' ')}" for function in doable)
        return (
            f"Could you tell me in other words what you would like? I can, for example:\n{listed}"
        )
    return f"I am afraid I cannot help with that. {_offer(request)}".strip()


def _is_change(tool: str, hints: Hints) -> bool:
    hint = hints.tools.get(tool)
    return hint is not None and hint.doing is not None and hint.say is None


def _offer(request: ChatRequest) -> str:
    listed = "\n".join(
        f"- {name.replace('_', ' ')}: {_sentence(description)}"
        for name, description in request.options.items()
    )
    return f"Here is what I can help you with:\n{listed}" if listed else ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
