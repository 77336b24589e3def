"""What a customer says of an action without asking for it: negations, doubts, and talk of the past.

Rules can't understand a sentence. So they act only on what is left of a message without the parts that
speak of an action with any such reserve, in English or German; where that is too little, they ask.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from holdfast.llm.offline.reserve_words import (
    ALLOWED,
    CONDITION,
    DANGLING,
    DONE,
    DOUBT,
    ELSEWHEN,
    EMBEDDED,
    EXCEPTION,
    GERMAN_NEGATION,
    GESCHEHEN,
    GOES_ON,
    HAPPENED,
    NEGATION,
    NOT_THIS,
    NOUN,
    NUMBERED,
    PLAIN_AGAIN,
    PLEASE,
    QUESTION_START,
    REQUEST,
    SEGMENT_END,
    SENTENCE,
    TAKEN_BACK,
    TO_BE_DONE,
    WISHED,
)

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
    if not spoken.spans:
        return Plain(text, reserved=False)
    parts = [*_reserved(text, spoken)]
    touched = [part for part in parts if part.touches(spoken.spans)]
    named = [part for part in parts if part.always or _names_another(text, part)]
    cut = {at for part in (*touched, *named) for at in range(part.start, part.end)}
    kept = "".join(character for at, character in enumerate(text) if at not in cut)
    return Plain(kept, reserved=bool(touched))


def _names_another(text: str, part: _Part) -> bool:
    """Whether a part names something by a number, and the rest of the text names what is meant."""
    outside = f"{text[: part.start]} {text[part.end :]}"
    return bool(NUMBERED.search(text[part.start : part.end]) and NUMBERED.search(outside))


def hesitates(text: str) -> bool:
    """Whether a message takes back or leaves open what was asked before."""
    text = _straight(text)
    parts = [segment.text for sentence in _sentences(text) for segment in sentence]
    return any(
        TAKEN_BACK.fullmatch(part) or DOUBT.search(part) or ELSEWHEN.search(part) for part in parts
    )


def is_state(phrase: str) -> bool:
    """Whether a word of the phrase has the form of something done."""
    return any(DONE.fullmatch(word) for word in phrase.split())


def _straight(text: str) -> str:
    return re.sub("[’´`]", "'", text)


def _sentences(text: str) -> Iterator[list[_Segment]]:
    for sentence in SENTENCE.finditer(text):
        if not sentence[0].strip():
            continue
        edges = [
            sentence.start(),
            *(
                sentence.start() + gap.end()
                for gap in SEGMENT_END.finditer(sentence[0])
                if gap.end() < len(sentence[0])
            ),
            sentence.end(),
        ]
        yield [_Segment(start, end, text[start:end]) for start, end in pairwise(edges)]


def _reserved(text: str, spoken: Spoken) -> Iterator[_Part]:
    for sentence in _sentences(text):
        start, end = sentence[0].start, sentence[-1].end
        whole = text[start:end]
        asks = "?" in whole and not REQUEST.search(whole)
        if asks or EXCEPTION.search(whole):
            yield _Part(start, end)
        if ALLOWED.search(whole) and not PLEASE.search(whole):
            yield _Part(start, end)
        carried = dangling = negated = False
        for position, segment in enumerate(sentence):
            if TAKEN_BACK.fullmatch(segment.text):
                yield _Part(0, segment.end)
            if PLAIN_AGAIN.match(segment.text):
                carried = False
            parts = [*_parts(segment, sentence, spoken)]
            if carried or dangling or (negated and GOES_ON.match(segment.text)):
                parts.append(_Part(segment.start, segment.end, negated=True))
            yield from parts
            if CONDITION.search(segment.text):
                yield _Part(segment.start, end)
            if QUESTION_START.match(segment.text):
                yield _Part(segment.start, _plain_from(sentence, position))
            if DOUBT.search(segment.text):
                yield _Part(start, _plain_from(sentence, position))
            negated = any(part.negated for part in parts)
            dangling = dangling or bool(DANGLING.search(segment.text))
            carried = carried or any(part.negated and part.touches(spoken.verbs) for part in parts)


def _parts(segment: _Segment, sentence: list[_Segment], spoken: Spoken) -> Iterator[_Part]:
    """What one segment's own words leave out."""
    if GERMAN_NEGATION.search(segment.text):
        yield _Part(segment.start, segment.end, negated=True)
    if ELSEWHEN.search(segment.text):
        yield _Part(segment.start, segment.end)
    if found := NEGATION.search(segment.text):
        yield _Part(segment.start + found.start(), segment.end, negated=True)
    if found := NOT_THIS.search(segment.text):
        yield _Part(segment.start + found.start(), segment.end, always=True)
    if found := EMBEDDED.search(segment.text):
        yield _Part(segment.start + found.start(), segment.end)
    verbs = [at for at, _ in spoken.verbs if segment.start <= at < segment.end]
    others = [at for at, _ in spoken.others if segment.start <= at < segment.end]
    told = verbs and all(_tells(segment, sentence, at) for at in verbs)
    if told or any(_tells(segment, sentence, at, nouns=False) for at in others):
        yield _Part(segment.start, segment.end)


def _tells(segment: _Segment, sentence: list[_Segment], at: int, *, nouns: bool = True) -> bool:
    """Whether the word at `at` tells of something done, or names it, rather than asks for it."""
    before, word = segment.text[: at - segment.start], segment.text[at - segment.start :]
    done = DONE.match(word)
    if done is None and not (nouns and NOUN.match(word)):
        return False
    if done is not None and not TO_BE_DONE.search(segment.text):
        happened = GESCHEHEN.search(segment.text) or HAPPENED.search(before)
        if happened:
            return True
    earlier = "".join(one.text for one in sentence if one.end <= segment.start)
    return not WISHED.search(earlier + before)


def _plain_from(sentence: list[_Segment], position: int) -> int:
    """Where the sentence becomes plain again after a segment; its end where it doesn't."""
    later = sentence[position + 1 :]
    return next(
        (segment.start for segment in later if PLAIN_AGAIN.match(segment.text)), sentence[-1].end
    )
