"""What reviewers say to an approval, as a type each, and who says it.

`Accept`, `Edit`, `Reject` and `Respond` decide; the others don't: `Claim` and `Release` keep others off for
a while, `Delegate` lends a voice, `Comment` is for other reviewers to read. On Temporal's wire each is a
`holdfast.domain.decision.Decision`, which is checked as a whole when it is made, so nothing is checked here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import JsonValue

from holdfast.domain.decision import DecisionKind


@dataclass(frozen=True)
class Reviewer:
    """A reviewer: who they are, with the team and the roles in which they decide."""

    id: str
    team: str | None = None
    roles: Sequence[str] = ()


@dataclass(frozen=True)
class Accept:
    """Let the actions run as they were proposed."""

    kind: ClassVar[DecisionKind] = "accept"


@dataclass(frozen=True)
class Edit:
    """Let the actions run with other arguments: all that each of them needs, for each action in order."""

    kind: ClassVar[DecisionKind] = "edit"
    arguments: Sequence[dict[str, JsonValue]]


@dataclass(frozen=True)
class Reject:
    """Keep the actions from running; the agent reads the reason."""

    kind: ClassVar[DecisionKind] = "reject"
    reason: str


@dataclass(frozen=True)
class Respond:
    """Answer the agent instead of deciding; its actions don't run."""

    kind: ClassVar[DecisionKind] = "respond"
    text: str


@dataclass(frozen=True)
class Delegate:
    """Have the reviewer `to` decide in one's place."""

    kind: ClassVar[DecisionKind] = "delegate"
    to: str


@dataclass(frozen=True)
class Claim:
    """Keep other reviewers off for a while, since one is on it."""

    kind: ClassVar[DecisionKind] = "claim"


@dataclass(frozen=True)
class Release:
    """Let go of what one has claimed."""

    kind: ClassVar[DecisionKind] = "release"


@dataclass(frozen=True)
class Comment:
    """Say something to the other reviewers."""

    kind: ClassVar[DecisionKind] = "comment"
    text: str


Review = Accept | Edit | Reject | Respond | Delegate | Claim | Release | Comment
"""What a reviewer may say."""
