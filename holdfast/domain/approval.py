"""An approval: what waits for people, who has to decide, and what time does to it.

What an approval is at a time follows from how it was asked for, from the decisions taken, and from
that time alone; `replay` in `holdfast.domain.transitions` computes it, so that the signed decisions
are enough to check the outcome.

pending ──accept, edit──▶ accepted     once every requirement has its quorum; its actions run
   ├─────reject─────────▶ rejected
   ├─────respond────────▶ responded    an answer to the agent instead of a decision
   ├─────deadline───────▶ expired      or accepted, where policy says that silence allows it
   └─────turn cancelled─▶ withdrawn
accepted ─facts changed─▶ stale        found when its actions were about to run
"""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from holdfast.domain.decision import Decision
from holdfast.domain.model import Frozen
from holdfast.domain.participants import Acceptance, Delegation, Lease, Person
from holdfast.domain.people import folded
from holdfast.domain.terms import Alarm, Covered, OnExpiry, Requirement

ApprovalState = Literal[
    "pending", "accepted", "rejected", "responded", "expired", "withdrawn", "stale"
]


class Approval(Frozen):
    """An approval as the workflow carries it: what a decision is checked against, and no more.

    The whole record, with arguments, facts, reason and evidence, is in Postgres.
    """

    id: str
    turn: int
    step: int
    args_digest: str
    covers: Covered = "arguments"
    requirements: tuple[Requirement, ...]
    """All of them have to be met. `Alarm.requirement` counts in their order."""
    rules: tuple[str, ...] = ()
    """Digests of the rules that it was asked for under; none where an earlier version has asked."""
    requesters: tuple[Person, ...] = ()
    requested_at: datetime
    expires_at: datetime
    schedule: tuple[Alarm, ...] = ()
    """What happens before `expires_at`, in the order of time."""
    on_expiry: OnExpiry = "deny"
    claim_seconds: int = 900
    state: ApprovalState = "pending"
    voices: tuple[Acceptance, ...] = ()
    claim: Lease | None = None
    delegations: tuple[Delegation, ...] = ()
    superseded: tuple[str, ...] = ()
    """Digests of arguments that an edit has replaced."""
    entries: tuple[str, ...] = ()
    """The ids of the decisions that were taken, in order."""
    decision_id: str | None = None
    """The decision that settled it."""
    comments: int = 0
    changes: int = 0
    claims: tuple[str, ...] = ()
    """Who has claimed it, once for each claim."""
    alarms: int = 0
    """How many of `schedule` have gone off."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that count for it now, in any requirement that is not met yet."""
        return tuple(sorted({role for one in self.open_requirements() for role in one.roles}))

    @property
    def due_at(self) -> datetime:
        """When the next thing happens by itself."""
        return (
            self.schedule[self.alarms].at if self.alarms < len(self.schedule) else self.expires_at
        )

    @property
    def ended_by_silence(self) -> bool:
        """Whether its deadline has ended it, and no decision."""
        silent = self.state == "accepted" and self.decision_id is None
        return silent or self.state == "expired"

    def current_requirements(self) -> tuple[Requirement, ...]:
        """What it needs, with the roles that escalations have added so far."""
        current = list(self.requirements)
        for alarm in self.schedule[: self.alarms]:
            if alarm.kind == "escalate":
                one = current[alarm.requirement]
                roles = tuple(dict.fromkeys((*one.roles, *alarm.roles)))
                current[alarm.requirement] = one.model_copy(update={"roles": roles})
        return tuple(current)

    def open_requirements(self) -> tuple[Requirement, ...]:
        """What is still missing, each with the number of people who are."""
        return tuple(
            one.model_copy(update={"quorum": one.quorum - given})
            for one in self.current_requirements()
            if (given := len(self.counting(one))) < one.quorum
        )

    def counting(self, requirement: Requirement) -> list[Acceptance]:
        """The acceptances that count for a requirement."""
        taken = {folded(person.team) for person in self.requesters if person.team is not None}
        counting: list[Acceptance] = []
        for voice in self.voices:
            if not set(voice.roles) & set(requirement.roles):
                continue
            if requirement.four_eyes and any(
                person.may_be(voice.person.id) for person in self.requesters
            ):
                continue
            if requirement.other_team:
                if voice.person.team is None or folded(voice.person.team) in taken:
                    continue
                taken.add(folded(voice.person.team))
            counting.append(voice)
        return counting

    def was_met(self, requirement: Requirement) -> bool:
        """Whether enough people have accepted for one of its requirements, without the roles that
        escalations have added. Earlier versions did not record for which rules they asked."""
        if requirement not in self.requirements:
            return False
        return not self.rules or len(self.counting(requirement)) >= requirement.quorum

    def lent_to(self, roles: Collection[str]) -> list[str]:
        """To whom one of these roles was lent, folded."""
        return [folded(one.to) for one in self.delegations if set(one.roles) & set(roles)]

    def repeats(self, decision: Decision) -> bool:
        """Whether a decision was taken under its id before: this very one, or another."""
        return decision.id in self.entries

    def advance(self, now: datetime) -> "Approval":
        """The approval once the alarms up to `now` have gone off."""
        approval = self
        while approval.state == "pending" and now >= approval.due_at:
            approval = approval._go_off()
        if approval.claim is not None and now >= approval.claim.until:
            approval = approval.model_copy(update={"claim": None})
        return approval

    def next_alarm(self, now: datetime) -> tuple["Approval", Alarm] | None:
        """The approval after the next alarm that is due at `now`, and that alarm."""
        if self.state != "pending" or now < self.due_at:
            return None
        if self.alarms < len(self.schedule):
            return self._go_off(), self.schedule[self.alarms]
        return self._go_off(), Alarm(at=self.expires_at, kind="expire")

    def _go_off(self) -> "Approval":
        if self.alarms == len(self.schedule):
            state: ApprovalState = "accepted" if self.on_expiry == "allow" else "expired"
            return self.model_copy(update={"state": state, "claim": None})
        return self.model_copy(update={"alarms": self.alarms + 1})

    def withdraw(self) -> "Approval":
        """The approval after its turn was cancelled; unchanged when decided."""
        return self.model_copy(update={"state": "withdrawn"}) if self.state == "pending" else self

    def unheard(self) -> "Approval":
        """The approval after silence that is not consent, since no person who could decide knew of it, or
        one did not keep silent: a person takes over, whatever policy says that silence means."""
        if not self.ended_by_silence or self.on_expiry != "allow":
            return self
        return self.model_copy(update={"state": "expired", "on_expiry": "person"})

    def go_stale(self) -> "Approval":
        """The approval after its facts turned out to have changed; unchanged unless accepted."""
        return self.model_copy(update={"state": "stale"}) if self.state == "accepted" else self


class ApprovalStatus(Frozen):
    """The answer to a decision. `waits_for` is what is still missing while it is pending."""

    approval: str
    state: ApprovalState
    decision_id: str | None = None
    waits_for: tuple[Requirement, ...] = ()
