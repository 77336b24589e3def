"""People: when two ids name the same one, and what a person does in a conversation."""

import unicodedata
from typing import Literal

from holdfast.domain.model import Frozen

ActKind = Literal["take_over", "reply", "hand_back"]

_WORDS: dict[ActKind, str] = {
    "take_over": "take a conversation over",
    "reply": "reply as a person",
    "hand_back": "hand a conversation back",
}


class PersonAct(Frozen):
    """What a person does in a conversation under an id of its own, with the signed statement of it;
    `text` is the reply, or the note that comes with handing back."""

    id: str
    kind: ActKind
    reviewer: str
    conversation: str
    text: str = ""
    statement: str = ""

    @property
    def in_words(self) -> str:
        """What it is."""
        return _WORDS[self.kind]


def folded(id_: str) -> str:
    """An id as people are compared by it: `Ann` and `ann` are one person, however it is written.

    Ids are letters and digits of ASCII (`holdfast.domain.ids.Id`), so that none can be written with
    look-alikes of another alphabet. Folding keeps that true of ids from before, and of teams.
    """
    return unicodedata.normalize("NFKC", id_).casefold()


def same_person(one: str | None, other: str | None) -> bool:
    """Whether two ids name the same person; nobody is the same as anybody."""
    return one is not None and other is not None and folded(one) == folded(other)
