"""Numbered sources in a prompt, and the citations in the answer that refer to them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.domain.outcomes import Citation
from holdfast.store.knowledge import Passage

_MARK = re.compile(r"(?<!\s)\s*+\[(\d++)\]")
_MOST_DIGITS = 9
_QUOTE_CHARACTERS = 240


@dataclass(frozen=True)
class Cited:
    """An answer whose marks [1], [2]… count through its citations."""

    text: str
    citations: tuple[Citation, ...]


def numbered(passages: Sequence[Passage]) -> str:
    """The passages for a prompt: a line "[1] heading" above the text of each."""
    return "\n\n".join(
        f"[{number}] {passage.heading}\n{passage.body}"
        for number, passage in enumerate(passages, start=1)
    )


def cite(answer: str, passages: Sequence[Passage]) -> Cited:
    """The answer with the sources it used. Marks of sources that do not exist are taken out, and
    passages of one document are one citation, quoting the first that was used."""
    order: dict[str, int] = {}
    citations: list[Citation] = []

    def renumber(mark: re.Match[str]) -> str:
        if len(mark[1]) > _MOST_DIGITS or not 1 <= (number := int(mark[1])) <= len(passages):
            return ""
        passage = passages[number - 1]
        if passage.document not in order:
            order[passage.document] = len(order) + 1
            citations.append(
                Citation(id=passage.document, title=passage.title, quote=_quote(passage.body))
            )
        return f" [{order[passage.document]}]"

    return Cited(_MARK.sub(renumber, answer).strip(), tuple(citations))


def _quote(body: str) -> str:
    line = " ".join(body.split())
    if len(line) <= _QUOTE_CHARACTERS:
        return line
    return line[:_QUOTE_CHARACTERS].rsplit(" ", 1)[0] + " …"
