"""An answer from numbered sources: the sentences that say most of what was asked, cited."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from holdfast.domain.words import sentences, stems
from holdfast.llm.offline.answer import as_sentence
from holdfast.llm.offline.request import SOURCE, ChatRequest

_SENTENCES = 3
_RELATED = 0.65
"""A further sentence belongs to the answer when it scores this share of what the best one does."""
_LATER = 0.1
"""What a source loses against the one before it, which the search found better."""
_NUMBER = 0.5
"""What a number is worth in the answer to "how long", against a heading that says it all."""
_WHOLE = 2
"""Fewer words with a meaning than these do not say what a question is about."""
_AMOUNT = re.compile(r"\bhow (?:long|many|much|soon|often|late)\b|\bwhen\b", re.IGNORECASE)
_PARTS = re.compile(
    r"\?|,?\s+(?:and|or)\s+(?=(?:how|what|when|where|which|who|why|can|do|does|is|are)\b)",
    re.IGNORECASE,
)
"""What stands between two questions in one message."""


@dataclass(frozen=True)
class _Entry:
    """A sentence of a numbered source."""

    number: int
    title: str
    sentence: str

    @cached_property
    def headed(self) -> set[str]:
        """The stems of its title."""
        return stems(self.title)

    @cached_property
    def said(self) -> set[str]:
        """The stems of the sentence."""
        return stems(self.sentence)


def from_sources(request: ChatRequest) -> str:
    """The sentences of the sources that answer each part of the question best, with their numbers."""
    pieces = SOURCE.split(request.system)
    entries = [
        _Entry(int(number), title, sentence)
        for number, title, body in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True)
        for sentence in sentences(body)
    ]
    found = dict.fromkeys(
        entry for question in _questions(request) for entry in _answering(question, entries)
    )
    if not found:
        return "I found nothing about that in our help articles."
    return " ".join(
        f"{' '.join(as_sentence(entry.sentence) for entry in run)} [{number}]"
        for number, run in groupby(found, key=lambda entry: entry.number)
    )


def _answering(question: str, entries: Sequence[_Entry]) -> list[_Entry]:
    """The best sentence, and those of its source that say as many of the question's words.

    Under a heading that says them all, every sentence is about the question.
    """
    asked = stems(_AMOUNT.sub(" ", question))
    known = Counter(stem for entry in entries for stem in entry.headed | entry.said)
    said = {entry: sum(1.0 / known[stem] for stem in asked & entry.said) for entry in entries}
    numeric = {
        entry: _AMOUNT.search(question) is not None and re.search(r"\d", entry.sentence) is not None
        for entry in entries
    }

    def score(entry: _Entry) -> float:
        relevant = said[entry] + len(asked & entry.headed) / len(asked | {""})
        worth = relevant + _NUMBER * numeric[entry] if relevant else 0.0
        return worth / (1 + _LATER * (entry.number - 1))

    best = max(entries, key=score, default=None)
    if best is None or not score(best):
        return []
    section = [entry for entry in entries if entry.number == best.number]
    if len(asked) >= _WHOLE and asked <= best.headed:
        return section[:_SENTENCES]
    related = [
        entry
        for entry in section
        if said[entry] >= _RELATED * said[best] and numeric[entry] >= numeric[best]
    ]
    kept = sorted(related, key=score, reverse=True)[:_SENTENCES]
    return [entry for entry in section if entry in kept]


def _questions(request: ChatRequest) -> list[str]:
    """The questions of the latest message; one of few words together with the message before it."""
    asked = request.asked
    if request.is_too_long:
        return [asked]
    before = [message.text for message in request.before if message.role == "user"]
    if len(stems(asked)) < _WHOLE:
        return [f"{asked} {before[-1]}" if before else asked]
    return [part for part in _PARTS.split(asked) if len(stems(part)) >= _WHOLE] or [asked]
