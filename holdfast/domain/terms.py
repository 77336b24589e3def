"""What policy asks of an approval: who has to decide, by when, and what happens if nobody does."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from holdfast.domain.model import Frozen

OnExpiry = Literal["deny", "allow", "person"]


AlarmKind = Literal["remind", "escalate", "expire"]


_STRICTEST: tuple[OnExpiry, ...] = ("deny", "person", "allow")


def strictest(ends: Iterable[OnExpiry]) -> OnExpiry:
    """Of the ends that silence may have, the one that lets least happen."""
    return min(ends, key=_STRICTEST.index)


class Requirement(Frozen):
    """What an approval needs: `quorum` people, each with one of `roles`.

    With `four_eyes`, nobody who asked for the arguments as they stand counts: not the customer, and
    not a reviewer who edited them. With `other_team`, the people are of teams that all differ, also
    from those of the people who asked.
    """

    roles: tuple[str, ...]
    quorum: int = 1
    four_eyes: bool = False
    other_team: bool = False


class Alarm(Frozen):
    """What happens at a time when nobody has decided by then. An escalation lets `roles` count for
    the requirement of that index, too."""

    at: datetime
    kind: AlarmKind
    requirement: int = 0
    roles: tuple[str, ...] = ()


def in_order(alarms: Iterable[Alarm], *, until: datetime) -> tuple[Alarm, ...]:
    """These alarms as a schedule that ends then."""
    return tuple(
        sorted(
            (alarm for alarm in alarms if alarm.at < until),
            key=lambda alarm: (alarm.at, alarm.kind, alarm.requirement, alarm.roles),
        )
    )


Covered = Literal["arguments", "shown"]
"""What an approval's digest is worked out from: all that is shown, or, in approvals of earlier versions,
names and arguments alone."""


class Terms(Frozen):
    """What policy's rules say about an approval that is asked for now, besides who is needed: the earliest
    of their deadlines, the strictest of their ends. `rules` are their digests, in the order of the
    requirements; `Alarm.requirement` counts in that order, too."""

    rules: tuple[str, ...]
    expires_at: datetime
    schedule: tuple[Alarm, ...]
    on_expiry: OnExpiry
    claim_seconds: int


class EditTerms(Frozen):
    """What policy says about edited arguments: the digest of what they now show, and what they need.
    `terms` are None where they need nothing, and in edits that earlier versions have taken."""

    digest: str
    requirements: tuple[Requirement, ...] = ()
    covers: Covered = "arguments"
    terms: Terms | None = None
