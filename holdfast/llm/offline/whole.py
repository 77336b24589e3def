"""Whether a customer's words are accounted for by the calls that they led to, every one of them.

Rules can't understand a sentence. What they can tell is that nothing is left over: a request form, the
words of the tool, its arguments, a reason, courtesy. Whatever else is said may change what is meant.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from pydantic import JsonValue

from holdfast.contract.hints import AnsweredCall, ToolHint, ToolUse
from holdfast.domain.words import stems
from holdfast.llm.offline.plain import Span, sentences_of, straight

_TOKEN = re.compile(r"#?\w+(?:['.&/-]\w+)*")
_VERB, _PART, _REASON = "V", "A", "R"
"""What words of the message become: those that ask, those of the tool and its arguments, and a reason.
The other words are in lower case."""

_ME = r"(?:i|we|ich|wir)"
_THEY = rf"(?:{_ME}|it|they|this|that|sie|es|das)"
_FORM = (
    r"(?:can|could)\ you|(?:can|could)\ (?:i|we)(?=\ please)|i\ was\ wondering\ if\ you\ could"
    r"|(?:können|könnten)\ (?:sie|wir)|(?:kannst|könntest)\ du"
)
_WHOLE = re.compile(
    rf"""(?>(?:
    (?:(?:because|since|as|weil|denn)\ )?(?:{_THEY}(?:\ (?:have|has|was|were|is|are|habe|haben|war|wurde))?
        (?:\ (?:it|them|this|sie|es|das|die|diese))?\ )?R(?:\ any\ ?more)?
    |hi|hello|hey|hallo|good\ (?:morning|afternoon|evening|day)|guten\ (?:morgen|tag|abend)
    |please|pls|plz|kindly|bitte|thanks|thank\ you|danke|vielen\ dank|sorry|yes|ok|okay|ja
    |and|so|then|now|instead|immediately|right\ away|for\ me|if\ possible
    |und|also|dann|jetzt|sofort|stattdessen|wenn\ möglich
    |{_FORM}
    |(?:i|we)\ (?:really\ |just\ )?(?:want|need|wish|would\ (?:really\ )?like|have(?:\ decided)?)(?:\ you)?\ to
    |(?:i'd|we'd)\ (?:really\ )?like\ to|(?:i\ am|i'm|we\ are|we're)\ trying\ to|i\ want(?=[ a-zA]*\ V)
    |{_ME}\ (?:möchten?|will|wollen|muss|müssen)(?=.*\ V)
    |to\ be|the|my|our|an?|this|that|it|them|number
    |die|das|den|dem|der|meine?[nrm]?|sie|es
    |of|from|in|to|for|with|aus|von|mit|an|auf|für|nach
    |V|A
    )(?:\ |$))*""",
    re.VERBOSE,
)
"""Pieces that are accounted for. Each is atomic, the longest of those that begin alike first: what could be
taken apart in two ways would be taken apart in all of them."""
_MAY_ASK = re.compile(_FORM)
_YES = re.compile(
    r"\W*(?:yes|yep|yeah|sure|ja|jawohl|genau|gerne?)"
    r"(?:[\s,.!]+(?:yes|please|thanks|thank you|do it|do that|do so|go ahead|sure|ja|bitte|gerne?|danke))*[\s.!]*",
    re.IGNORECASE,
)


def is_yes(text: str) -> bool:
    """Whether a message is a yes and nothing else."""
    return _YES.fullmatch(straight(text)) is not None


def accounts_for(
    texts: Iterable[str],
    uses: Sequence[ToolUse],
    hint: ToolHint,
    asking: Callable[[str], set[Span]],
    calls: Sequence[AnsweredCall],
) -> bool:
    """Whether nothing in `texts`, the customer's messages about it, goes beyond the calls `uses` of one tool;
    `asking` finds the words that ask for it."""
    values = [value for use in uses for value in use.arguments.values()]
    known = set(_known(values, calls))
    doing = " ".join((uses[0].name.replace("_", " "), hint.doing or "", *hint.doing_in.values()))
    return all(
        _is_whole(sentence, hint, asking, values, known, stems(doing))
        for text in texts
        for sentence in sentences_of(straight(text))
    )


def _is_whole(
    sentence: str,
    hint: ToolHint,
    asking: Callable[[str], set[Span]],
    values: Sequence[JsonValue],
    known: set[str],
    named: set[str],
) -> bool:
    reasons = [span for e in _reasons(hint, values) for span in _found(e, sentence)]
    stated = [
        match.span(1)
        for name, expression in hint.patterns.items()
        for match in re.finditer(expression, sentence, re.IGNORECASE)
        if hint.forms.get(name, "{}").format(match[1].strip()) in values
    ]
    asked = asking(sentence)
    first, last = {start for start, _ in asked}, {end for _, end in asked}
    pieces: list[str] = []
    for token in _TOKEN.finditer(sentence):
        start, end = token.span()
        word = token[0].lower()
        if any(one <= start and end <= other for one, other in reasons):
            piece = _REASON
        elif any(one < end and start < other for one, other in stated):
            piece = _PART
        elif start in first:
            piece = _VERB
        elif end in last or word in known or (stems(word) and stems(word) <= named):
            piece = _PART
        else:
            piece = word
        if piece != _REASON or pieces[-1:] != [_REASON]:
            pieces.append(piece)
    said = " ".join(pieces)
    if "?" in sentence and not _MAY_ASK.search(said):
        return False
    return _WHOLE.fullmatch(said) is not None


def _reasons(hint: ToolHint, values: Sequence[JsonValue]) -> list[str]:
    """The expressions for what is said of an argument's value, or beside the request."""
    said = [(e, value) for each in hint.values.values() for e, value in each.items()]
    return [*hint.beside, *(expression for expression, value in said if value in values)]


def _found(expression: str, text: str) -> list[Span]:
    return [match.span() for match in re.finditer(expression, text, re.IGNORECASE)]


def _known(values: Iterable[JsonValue], calls: Sequence[AnsweredCall]) -> Iterator[str]:
    """The words of the arguments, and of what reads returned about them."""
    for value in values:
        if isinstance(value, list):
            yield from _known(value, calls)
            continue
        yield from _words(value)
        for call in calls:
            for record in records_of(call.result, value):
                if any(isinstance(part, list) for part in record.values()):
                    continue  # not about the value alone
                yield from (word for part in record.values() for word in _words(part))


def _words(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (word for part in value.values() for word in _words(part))
    elif isinstance(value, str | int):
        yield from (word.lower() for word in _TOKEN.findall(str(value).replace("_", " ")))


def records_of(result: JsonValue, value: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """The objects in a result that hold `value` in a field, or stand under it as their key."""
    if isinstance(result, list):
        for part in result:
            yield from records_of(part, value)
    elif isinstance(result, dict):
        if value in result.values():
            yield result
        for name, part in result.items():
            if name == value and isinstance(part, dict):
                yield part
            yield from records_of(part, value)
