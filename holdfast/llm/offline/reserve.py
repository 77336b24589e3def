"""What a customer says of an action without asking for it: negations, doubts, and talk of the past.

Rules can't understand a sentence. So they act only on what is left of a message without the parts that
speak of an action with any such reserve, in English or German; where that is too little, they ask.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

Span = tuple[int, int]


@dataclass(frozen=True)
class Spoken:
    """Where the words of a text are that speak for an action: those that ask for it, and the other words of
    its name."""

    verbs: frozenset[Span]
    others: frozenset[Span] = frozenset()

    @property
    def spans(self) -> frozenset[Span]:
        return self.verbs | self.others


_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?\n]*")
_REFUSED_AFTER = r"(?!\W*(?:not|do not|don't|dont|never|nicht|nie|keine?n?|noch nicht)\b)"
_SEGMENT_END = re.compile(
    r"(?<=[,;:–—])\s+|\s+-+\s+"
    r"|\s+(?=(?:and|but|however|instead(?! of)|und|aber|sondern|stattdessen|weil|denn)\b)"
    r"|\s+(?=so\b(?! (?:sure|certain|much|many|far|soon)\b))"
    rf"|\s+(?=(?:please|pls|plz|bitte)\b{_REFUSED_AFTER})",
    re.IGNORECASE,
)


def _any(*expressions: str) -> re.Pattern[str]:
    return re.compile("|".join(expressions), re.IGNORECASE)


_NEGATION = _any(
    r"\b(?:not|never|no|nobody|none|neither|nor|without|stop|avoid|refuse|cannot|instead of|rather than)\b",
    r"\b(?:ohne|weder|statt|anstatt)\b",
    r"\b\w+n't\b",
    r"\b(?:dont|didnt|doesnt|wont|cant|isnt|wasnt|shouldnt|wouldnt|couldnt|havent|hasnt|mustnt)\b",
)
"""What follows in its segment is negated."""
_GERMAN_NEGATION = _any(r"\b(?:nicht|nie|niemals|kein\w*)\b")
"""The whole segment is negated, since the verb may come before the negation."""
_DANGLING = _any(
    r"\b(?:not|never|\w+n't|dont|nicht|nie|auf keinen fall)(?: (?:want|wish|like|need|think))?\W*$"
)
"""A negation whose verb comes in a later segment: "do not, please, cancel"."""
_NOT_THIS = _any(
    r"\b(?:not|nicht) (?=#|\w+-?\d|the\b|my\b|order\b|this\b|that\b|die\b|das\b|den\b|meine?n?\b)"
)
"""Not an action, but one of the things that it could be about: "cancel W1, not W2"."""
_EXCEPTION = _any(
    r"\b(?:except|excluding|apart from|other than|(?:all|everything|both|anything) but|außer|ausgenommen|"
    r"bis auf)\b",
    r"\b(?:everything|all|both|whole|entire|alles?|beides?|ganze)\b.*\b(?:not|nicht)\b",
)
"""What is asked for isn't all of what is named."""
_TAKEN_BACK = re.compile(
    r"\W*(?:(?:but|and|or|oh|wait|hm+|no|please|pls|actually|rather|better|on second thoughts?|sorry|aber|"
    r"und|oder|nein|ach|bitte|lieber|besser|moment|entschuldigung)\W+)*"
    r"(?:do not|don't|dont|not|no|nope|never|never ?mind|forget (?:it|that|about it)|leave it(?: be| alone)?|"
    r"scratch that|stop|wait|hold on|nicht|nein|doch nicht|lass(?:en sie)?(?: es| das)?(?: sein)?|"
    r"vergiss (?:es|das)|vergessen sie (?:es|das)|halt|warten? sie|warte|moment)"
    r"(?:\W+(?:do it|do that|yet|please|pls|bitte|thanks|thank you|danke))*\W*",
    re.IGNORECASE,
)
"""A segment of its own that takes back what was said before."""
_DOUBT = _any(
    r"\b(?:not (?:so |quite |really |yet |entirely |completely )?(?:sure|certain|decided)|unsure|uncertain|"
    r"undecided|maybe|perhaps|possibly|might|may (?:want|need|have|decide)|thinking (?:about|of)|"
    r"think (?:about|of|it over)|consider(?:ing)?|wonder(?:ing)?(?! if you (?:can|could|would)\b)|"
    r"(?:should|shall|must|would|do|did) (?:i|we)|i should|do you think|whether|what if|in case|hypothetically|"
    r"suppos(?:e|ing)|imagine|tempted|debating|hesitat\w+|or not|some ?day|one day|eventually|"
    r"able to|possible to|allowed to|would it)\b",
    r"\b(?:vielleicht|eventuell|evtl|möglicherweise|unsicher|unentschlossen|überleg\w*|mal sehen|"
    r"nicht (?:ganz |so )?sicher|weiß (?:noch )?nicht|soll(?:te|en)? (?:ich|wir)|ob (?:ich|wir|man|sie)|"
    r"oder nicht|was (?:passiert|wäre|ist),? wenn|(?:kann|könnte|darf|dürfte|muss|müsste) (?:ich|man)|"
    r"können wir|(?:ist|wäre) es möglich|gegebenenfalls|ggf)\b",
)
"""The whole sentence is in doubt, up to where it becomes plain."""
_ALLOWED = _any(r"\b(?:can|could|may|might) (?:i|we)\b")
"""Asks whether it may be done; with a "please", for it."""
_PLEASE = _any(r"\b(?:please|pls|plz)\b")
_UNLESS_POLITE = (
    r"(?! possible\b| you (?:can|could|please|would|don't mind)\b"
    r"| (?:that's|it's|that is|it is) (?:ok|okay|possible|fine|all ?right)\b)"
)
_CONDITION = _any(
    rf"\bif\b{_UNLESS_POLITE}",
    r"\b(?:unless|until|once i|before (?:i|you|we)|wenn(?! möglich)|falls|sofern|bevor|bis)\b",
)
"""Its segment and what follows in the sentence depend on something."""
_ELSEWHEN = _any(
    r"\b(?:later|not yet|some other time|next (?:week|month|year|time)|tomorrow|going to|gonna|"
    r"plan(?:ning)? to|intend to|will probably|about to|almost|nearly|tried to|used to|was going to)\b",
    r"\b(?:später|noch nicht|ein andermal|nächste\w* (?:woche|monat|jahr|mal)|morgen|habe? vor)\b",
)
"""The whole segment is of another time."""
_QUESTION_START = re.compile(
    r"\W*(?:(?:and|but|so|or|hi|hello|hey|well|und|aber|also|oder|hallo)\W+)*"
    r"(?:did|didn't|have|haven't|has|hasn't|had|hadn't|was|wasn't|were|weren't|is|isn't|are|aren't|am|"
    r"does|doesn't|do you|why|when|who|whom|whose|where|what|which|how|"
    r"hast|habt|haben|hat|hatten?|wurden?|wird|werden|war|waren|ist|sind|"
    r"warum|wieso|weshalb|wann|wer|wo|was|welche\w*|wie)\b",
    re.IGNORECASE,
)
"""The sentence asks for knowledge."""
_EMBEDDED = _any(
    r"\b(?:why|how|when|who|what happens|about|regarding|concerning|confirm|explain|status of)\b"
    r"(?!.*\b(?:i want|i'd like|i would like|i need|please)\b)",
    r"\b(?:warum|wieso|weshalb|wann|wer|wie|bezüglich|wegen|bestätig\w*)\b(?!.*\b(?:möchte|bitte)\b)",
)
"""What follows in its segment is what somebody wants to know."""
_REQUEST = _any(
    r"\b(?:can|could|would) (?:you|u|someone|somebody)\b|\b(?:please|pls|plz)\b",
    r"\b(?:i|we) (?:want|need|would like)\b|\b(?:i|we)'d like\b",
    r"\b(?:können|könnten|würden|kannst|könntest|würdest) (?:sie|du|ihr)\b|\bbitte\b|\bmöchten?\b",
)
"""What makes a question a request."""
_PLAIN_AGAIN = re.compile(
    r"\W*(?:(?:and|so|then|und|dann)\W+)?(?:but|instead|rather|please|pls|plz|just|only|i want|i'd like|"
    r"i would like|i need|can you|could you|would you|aber|sondern|stattdessen|bitte|lieber|nur|ich möchte|"
    r"ich will|können sie|könnten sie)\b",
    re.IGNORECASE,
)
"""A segment that speaks for itself, whatever was said before it."""
_DONE = re.compile(r"\w+(?:ed|iert)\b|(?:zurück|um|ab)ge(?!ben?\b)\w+|geändert\b", re.IGNORECASE)
"""The form of a verb that tells what was done, or should be."""
_NOUN = re.compile(r"\w+(?:ations?|als?|ing|ung(?:en)?)\b", re.IGNORECASE)
_HAPPENED = _any(
    r"\b(?:was|were|been|is|are|got|has|had|(?<!to )have|'s|'ve)(?: \S+){0,3}\s*$",
    r"\b(?:you|they|he|she|it|i|we|somebody|someone)(?: (?:already|just|also|never|have|had))?\s*$",
)
"""Right before an English participle: it tells."""
_GESCHEHEN = _any(r"\b(?:wurden?|worden|ist|sind|war|waren|hat|haben|habe|hast|schon|bereits)\b")
_WISHED = _any(
    r"\b(?:want|wants|need|like|mind|help|please|pls|get|request|möchten?|will|wollen|bitte|soll|brauche)\b"
)
_TO_BE_DONE = _any(r"\b(?:to be|werden)\b")


@dataclass(frozen=True)
class Plain:
    """What a customer plainly asks for. `reserved` says that something else was left out."""

    text: str
    reserved: bool


@dataclass(frozen=True)
class _Segment:
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class _Part:
    """A part of a text that is left out where an action is spoken of in it, or `always`."""

    start: int
    end: int
    negated: bool = False
    always: bool = False

    def touches(self, spans: frozenset[Span]) -> bool:
        return any(
            self.start <= start < self.end or self.start < end <= self.end for start, end in spans
        )


def plainly(text: str, speaking: Callable[[str], Spoken]) -> Plain:
    """`text` without the parts that speak of an action with a reserve; the other parts stay as they are."""
    text = _straight(text)
    spoken = speaking(text)
    cut = [
        (part.start, part.end)
        for part in _reserved(text, spoken)
        if part.always or part.touches(spoken.spans)
    ]
    if not spoken.spans or not cut:
        return Plain(text, reserved=False)
    kept = "".join(
        character
        for at, character in enumerate(text)
        if not any(start <= at < end for start, end in cut)
    )
    return Plain(kept, reserved=True)


def hesitates(text: str) -> bool:
    """Whether a message takes back or leaves open what was asked before."""
    text = _straight(text)
    parts = [segment.text for sentence in _sentences(text) for segment in sentence]
    return any(
        _TAKEN_BACK.fullmatch(part) or _DOUBT.search(part) or _ELSEWHEN.search(part)
        for part in parts
    )


def _straight(text: str) -> str:
    return re.sub("[’´`]", "'", text)


def _sentences(text: str) -> Iterator[list[_Segment]]:
    for sentence in _SENTENCE.finditer(text):
        if not sentence[0].strip():
            continue
        edges = [
            sentence.start(),
            *(
                sentence.start() + gap.end()
                for gap in _SEGMENT_END.finditer(sentence[0])
                if gap.end() < len(sentence[0])
            ),
            sentence.end(),
        ]
        yield [_Segment(start, end, text[start:end]) for start, end in pairwise(edges)]


def _reserved(text: str, spoken: Spoken) -> Iterator[_Part]:
    for sentence in _sentences(text):
        start, end = sentence[0].start, sentence[-1].end
        whole = text[start:end]
        asks = "?" in whole and not _REQUEST.search(whole)
        if asks or _EXCEPTION.search(whole):
            yield _Part(start, end)
        if _ALLOWED.search(whole) and not _PLEASE.search(whole):
            yield _Part(start, end)
        carried = dangling = False
        for position, segment in enumerate(sentence):
            if _TAKEN_BACK.fullmatch(segment.text):
                yield _Part(0, segment.end)
            if _PLAIN_AGAIN.match(segment.text):
                carried = False
            parts = [*_parts(segment, sentence, spoken)]
            if carried or dangling:
                parts.append(_Part(segment.start, segment.end, negated=True))
            yield from parts
            if _CONDITION.search(segment.text):
                yield _Part(segment.start, end)
            if _QUESTION_START.match(segment.text):
                yield _Part(segment.start, _plain_from(sentence, position))
            if _DOUBT.search(segment.text):
                yield _Part(start, _plain_from(sentence, position))
            dangling = dangling or bool(_DANGLING.search(segment.text))
            carried = carried or any(part.negated and part.touches(spoken.verbs) for part in parts)


def _parts(segment: _Segment, sentence: list[_Segment], spoken: Spoken) -> Iterator[_Part]:
    """What one segment's own words leave out."""
    if _GERMAN_NEGATION.search(segment.text):
        yield _Part(segment.start, segment.end, negated=True)
    if _ELSEWHEN.search(segment.text):
        yield _Part(segment.start, segment.end)
    if found := _NEGATION.search(segment.text):
        yield _Part(segment.start + found.start(), segment.end, negated=True)
    if found := _NOT_THIS.search(segment.text):
        yield _Part(segment.start + found.start(), segment.end, always=True)
    if found := _EMBEDDED.search(segment.text):
        yield _Part(segment.start + found.start(), segment.end)
    verbs = [at for at, _ in spoken.verbs if segment.start <= at < segment.end]
    others = [at for at, _ in spoken.others if segment.start <= at < segment.end]
    told = verbs and all(_tells(segment, sentence, at) for at in verbs)
    if told or any(_tells(segment, sentence, at, nouns=False) for at in others):
        yield _Part(segment.start, segment.end)


def _tells(segment: _Segment, sentence: list[_Segment], at: int, *, nouns: bool = True) -> bool:
    """Whether the word at `at` tells of something done, or names it, rather than asks for it."""
    before, word = segment.text[: at - segment.start], segment.text[at - segment.start :]
    done = _DONE.match(word)
    if done is None and not (nouns and _NOUN.match(word)):
        return False
    if done is not None and not _TO_BE_DONE.search(segment.text):
        happened = _GESCHEHEN.search(segment.text) or _HAPPENED.search(before)
        if happened:
            return True
    earlier = "".join(one.text for one in sentence if one.end <= segment.start)
    return not _WISHED.search(earlier + before)


def _plain_from(sentence: list[_Segment], position: int) -> int:
    """Where the sentence becomes plain again after a segment; its end where it doesn't."""
    later = sentence[position + 1 :]
    return next(
        (segment.start for segment in later if _PLAIN_AGAIN.match(segment.text)), sentence[-1].end
    )
