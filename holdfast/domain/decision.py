"""A reviewer's decision on an approval, as it is handed in and signed."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from holdfast.domain.errors import MessageConflict
from holdfast.domain.ids import Id, json_digest
from holdfast.domain.model import Strict
from holdfast.domain.outcomes import ProposedAction
from holdfast.domain.people import folded

DecisionKind = Literal[
    "accept", "edit", "reject", "respond", "delegate", "claim", "release", "comment"
]


class Decision(Strict):
    """What a reviewer says to an approval. Repeating it under its `id` changes nothing more.

    `digest` is the `args_digest` of the approval as the reviewer saw it. `actions` belongs to an
    edit: every action of the approval, in order, with the new arguments. `text` is the reason of a
    rejection, the answer of a response, or the comment, and these need one. `to` is the reviewer
    who gets the voice of one who delegates. `statement` is the signed statement (a JWT) that this
    reviewer, with this team and these roles, says this.
    """

    id: Id
    approval: Annotated[str, Field(max_length=64)]
    kind: DecisionKind
    reviewer: Id
    team: Id | None = None
    roles: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=100)] = ()
    digest: Annotated[str, Field(max_length=64)]
    text: Annotated[str, Field(max_length=2_000)] = ""
    actions: Annotated[tuple[ProposedAction, ...], Field(max_length=10)] = ()
    to: Id | None = None
    statement: Annotated[str, Field(max_length=8_000)] = ""

    @property
    def content(self) -> str:
        """Who says what, as a digest. Where it differs, one id was used for two decisions."""
        return content_of(self.reviewer, self.kind, self.text, self.to, self.actions)


def content_of(
    reviewer: str,
    kind: DecisionKind,
    text: str,
    to: str | None,
    actions: Sequence[ProposedAction],
) -> str:
    """Who says what, as a digest."""
    edited: list[JsonValue] = [action.model_dump(mode="json") for action in actions]
    return json_digest([folded(reviewer), kind, text, to, edited])


def used_before(decision: Decision) -> MessageConflict:
    """The refusal of a decision whose id was used for another one."""
    return MessageConflict(
        f"decision id {decision.id!r} was used before for another decision on approval "
        f"{decision.approval}; this one is not taken"
    )
