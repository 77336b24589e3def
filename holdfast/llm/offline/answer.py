"""Words for the customer: from tool results, or from nothing but courtesy."""

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from holdfast.contract.hints import AnsweredCall, HintContext, Hints, ToolHint, ToolUse
from holdfast.domain.outcomes import OUTCOME_UNKNOWN
from holdfast.domain.past import tells_of_effects
from holdfast.llm.offline.builtin import ABILITIES, FAREWELL, GREETING, IDENTITY, THANKS
from holdfast.llm.offline.request import ChatRequest
from holdfast.llm.offline.whole import records_of

IDENTITY_TEXT = (
    "I am Holdfast's offline model: a small set of rules that stands in for a language model, so "
    "that conversations work without one. I look things up, ask for what I need, and pass changes "
    "on for checking."
)
_CLAUSE_END = re.compile(r"[.:;](?:\s|$)")
_FAILURES = {
    "rejected": "A colleague looked at your request and decided against it, so I could not {doing}. "
    "Their reason: “{why}”",
    "denied": "Our rules do not let me {doing}: {why}",
    "expired": "Nobody decided in time on whether I may {doing}, so nothing was changed.",
    "withdrawn": "The request to {doing} was withdrawn, so nothing was changed.",
    "responded": "I did not {doing}. A colleague looked at it and answers: “{why}”",
    "not_attempted": "I did not {doing}. {why}",
    "executed": "I was able to {doing}, but not to undo it again, as I should have. {why}",
    "compensated": "I had to undo the request to {doing}. {why}",
    "repeated": "I did not {doing} once more. {why} If you want it a second time, ask me for a person, who "
    "has to do that.",
    "failed": "Something went wrong when I tried to {doing}, and it was not done. {why}",
}
"""By the state of an action, what became of it; a person's words stand in quotation marks."""
_UNCLEAR = (
    "I tried to {doing}, and it is not certain yet whether it was done. A colleague looks into it."
)
_LEFT_ALONE = {
    "en": "I have not changed anything. If you want something done, please ask for it in one plain "
    "sentence, and I will see to it.",
    "de": "Ich habe nichts geändert. Wenn etwas getan werden soll, bitten Sie mich darum bitte in einem "
    "einfachen Satz.",
}
_LEFT_AS_IT_IS = {
    "en": "This message changes nothing, and what was done before stays as it is. If you want something "
    "done, please ask for it in one plain sentence, and I will see to it.",
    "de": "Diese Nachricht ändert nichts, und was vorher erledigt wurde, bleibt so. Wenn etwas getan werden "
    "soll, bitten Sie mich darum bitte in einem einfachen Satz.",
}
"""The same where something was done for the customer before: they may ask about that."""
_SHALL_I = {
    "en": "Shall I {doing}, and nothing else? Please answer yes or no.",
    "de": "Soll ich {doing}, und sonst nichts? Bitte antworten Sie mit ja oder nein.",
}
_WHICH = {
    "en": "Which one do you mean: {values}? If you mean several, please ask for each in a message of its own.",
    "de": "Was davon meinen Sie: {values}? Wenn Sie mehreres meinen, bitten Sie mich bitte um jedes in einer "
    "eigenen Nachricht.",
}
_FOR_MODELS = " Nothing was done now."
"""What follows in the account of a repeated action tells a model what to do."""
_FAILURE = "I am sorry, I could not {doing}. {why}"


def from_calls(calls: Sequence[tuple[AnsweredCall, HintContext]], hints: Hints) -> str:
    """What the calls returned, a paragraph for each."""
    texts = [_told(call, known, hints) for call, known in calls]
    return "\n\n".join(dict.fromkeys(texts))


def _told(call: AnsweredCall, known: HintContext, hints: Hints) -> str:
    hint = hints.tools.get(call.name, ToolHint())
    if call.error is not None:
        state = call.result.get("state") if isinstance(call.result, dict) else None
        unclear = state == "failed" and call.error.endswith(OUTCOME_UNKNOWN)
        form = _UNCLEAR if unclear else _FAILURES.get(str(state), _FAILURE)
        doing = (hint.doing or call.name.replace("_", " ")).format_map(_Spoken(call.arguments))
        why = hints.errors.get(call.error, call.error)
        if state == "repeated":
            why = why.split(_FOR_MODELS)[0]
        return form.format(doing=doing, why=as_sentence(why))
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


def courtesy(request: ChatRequest, hints: Hints) -> str:
    """The answer to a greeting, thanks, a question about the assistant, or anything out of scope."""
    asked = request.understood
    if re.search(IDENTITY, asked, re.IGNORECASE):
        return f"{IDENTITY_TEXT} {_offer(request)}".strip()
    if re.search(THANKS, asked, re.IGNORECASE):
        return "You are welcome! Is there anything else I can do for you?"
    if re.search(FAREWELL, asked, re.IGNORECASE):
        return "Thank you for getting in touch. Goodbye!"
    if re.search(GREETING, asked, re.IGNORECASE):
        return " ".join(filter(None, ("Hello!", _offer(request), "What can I do for you?")))
    if re.search(ABILITIES, asked, re.IGNORECASE) and _offer(request):
        return _offer(request)
    doable = [f for f in request.functions if _is_change(f.name, hints)]
    if doable:
        listed = "\n".join(f"- {function.name.replace('_', ' ')}" for function in doable)
        return (
            f"Could you tell me in other words what you would like? I can, for example:\n{listed}"
        )
    return f"I am afraid I cannot help with that. {_offer(request)}".strip()


def left_alone(request: ChatRequest) -> str:
    """The answer to a message that speaks of a change without asking for it."""
    accounts = (m.text for m in request.messages if m.role in ("system", "developer"))
    form = _LEFT_AS_IT_IS if any(map(tells_of_effects, accounts)) else _LEFT_ALONE
    return form.get(request.language, form["en"])


def confirmation(request: ChatRequest, uses: Sequence[ToolUse], hints: Hints) -> str:
    """The question whether to do what was not asked for in a plain sentence, or which of several things."""
    if len(uses) > 1:
        differing = [
            _by_name(value, request)
            for use in uses
            for name, value in use.arguments.items()
            if any(other.arguments.get(name) != value for other in uses)
        ]
        form = _WHICH.get(request.language, _WHICH["en"])
        return form.format(values=" / ".join(dict.fromkeys(differing)))
    known = hints.tools.get(uses[0].name, ToolHint()).doing_in
    language = request.language if request.language in {*known} & {*_SHALL_I} else "en"
    return _SHALL_I[language].format(doing=_named(uses[0], request, hints, language))


def asks_to_confirm(text: str) -> bool:
    """Whether the text is such a question."""
    return any(text.endswith(form.partition("?")[2]) for form in _SHALL_I.values())


def _named(use: ToolUse, request: ChatRequest, hints: Hints, language: str) -> str:
    """What a call would do, with the arguments that its name leaves out."""
    hint = hints.tools.get(use.name, ToolHint())
    doing = hint.doing_in.get(language) or hint.doing or use.name.replace("_", " ")
    told = [
        f"{name.removesuffix('_ids').removesuffix('_id').replace('_', ' ')}: {_by_name(value, request)}"
        for name, value in use.arguments.items()
        if value not in ("", None) and f"{{{name}}}" not in doing and name not in request.facts
    ]
    return doing.format_map(_Spoken(use.arguments)) + (f" ({', '.join(told)})" if told else "")


def _by_name(value: JsonValue, request: ChatRequest) -> str:
    """A value, or the name of what has it for an id."""
    if isinstance(value, list):
        return " + ".join(_by_name(one, request) for one in value)
    records = (record for call in request.calls for record in records_of(call.result, value))
    return next((str(r["name"]) for r in records if isinstance(r.get("name"), str)), str(value))


def _is_change(tool: str, hints: Hints) -> bool:
    hint = hints.tools.get(tool)
    return hint is not None and hint.doing is not None and hint.say is None


def _offer(request: ChatRequest) -> str:
    """What the listed agents are for: the first clause of each description, in one sentence."""
    topics = [_CLAUSE_END.split(description)[0] for description in request.options.values()]
    with_each = [
        f"with {topic[:1].lower() if topic[1:2].islower() else topic[:1]}{topic[1:]}"
        for topic in topics
    ]
    return f"I can help you {', and '.join(with_each)}." if with_each else ""


def as_sentence(text: str) -> str:
    """The text with a full stop, where it has no end."""
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
