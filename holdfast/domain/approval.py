"""The approval state machine: pure code that the workflow drives.

What an approval is at a time follows from how it was asked for, from the decisions taken, and from
that time alone; `replay` computes it. So whoever has the signed decisions can check the outcome.

pending ──accept, edit──▶ accepted     once every requirement has its quorum; its actions run
   ├─────reject─────────▶ rejected
   ├─────respond────────▶ responded    an answer to the agent instead of a decision
   ├─────deadline───────▶ expired      or accepted, where policy says that silence allows it
   └─────turn cancelled─▶ withdrawn
accepted ─facts changed─▶ stale        found when its actions were about to run
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from holdfast.domain.decision import Decision, DecisionKind
from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalExpired,
    Claimed,
    DigestMismatch,
    InvalidEdit,
    InvalidRequest,
    NotAllowed,
    Superseded,
)
from holdfast.domain.model import Frozen
from holdfast.domain.participants import Acceptance, Delegation, Lease, Person
from holdfast.domain.people import folded, same_person
from holdfast.domain.terms import (
    Alarm,
    Covered,
    EditTerms,
    OnExpiry,
    Requirement,
    Terms,
    in_order,
    strictest,
)

ApprovalState = Literal[
    "pending", "accepted", "rejected", "responded", "expired", "withdrawn", "stale"
]

MOST_COMMENTS = 100
"""Comments on one approval."""

MOST_CHANGES = 100
"""Claims, releases, delegations and edits of one approval, all together. What settles it, or is a step to
that (an acceptance, a rejection, a response), is never one too many."""

MOST_CLAIMS = 3
"""Claims of one person on one approval: nobody keeps others off forever."""

_CHANGES: frozenset[DecisionKind] = frozenset({"claim", "release", "delegate", "edit"})

_SPEAKS_FOR: frozenset[DecisionKind] = frozenset({"accept", "edit", "delegate", "claim"})
"""Decisions that only somebody may take whose acceptance would count."""

_NEEDS_TEXT: frozenset[DecisionKind] = frozenset({"reject", "respond", "comment"})


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
            if (given := self._given(one)) < one.quorum
        )

    def check(self, decision: Decision, *, now: datetime) -> None:
        """Whether `decision` may be taken at `now`.

        Raises:
            AlreadyDecided, ApprovalExpired, Superseded, DigestMismatch, NotAllowed, Claimed,
            InvalidRequest.
        """
        self.advance(now)._check(decision)

    def decide(
        self, decision: Decision, *, now: datetime, edit: EditTerms | None = None
    ) -> "Approval":
        """The approval after `decision`, with policy's word on it where it is an edit.

        Raises:
            InvalidEdit: it changes nothing.
            Refused: as `check` says.
        """
        approval = self.advance(now)
        approval._check(decision)
        taken = approval.model_copy(
            update={
                "entries": (*approval.entries, decision.id),
                "comments": approval.comments + (decision.kind == "comment"),
                "changes": approval.changes + (decision.kind in _CHANGES),
            }
        )
        match decision.kind:
            case "accept":
                return taken._accept(decision)
            case "edit":
                if edit is None:
                    raise InvalidEdit("nobody has said what the edited arguments need")
                return taken._edit(decision, edit)
            case "reject":
                return taken._settle("rejected", decision)
            case "respond":
                return taken._settle("responded", decision)
            case "delegate":
                return taken._delegate(decision)
            case "claim":
                until = now + timedelta(seconds=self.claim_seconds)
                return taken.model_copy(
                    update={
                        "claim": Lease(reviewer=decision.reviewer, until=until),
                        "claims": (*taken.claims, folded(decision.reviewer)),
                    }
                )
            case "release":
                return taken.model_copy(update={"claim": None})
            case "comment":
                return taken

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

    def repeats(self, decision: Decision) -> bool:
        """Whether this very decision was taken before."""
        return decision.id in self.entries

    def withdraw(self) -> "Approval":
        """The approval after its turn was cancelled; unchanged when decided."""
        return self.model_copy(update={"state": "withdrawn"}) if self.state == "pending" else self

    @property
    def ended_by_silence(self) -> bool:
        """Whether nobody's decision, but its deadline has ended it."""
        silent = self.state == "accepted" and self.decision_id is None
        return silent or self.state == "expired"

    def unheard(self) -> "Approval":
        """The approval that expired without anybody who could have decided, or had decided: a person takes
        over, whatever policy says that silence means."""
        if not self.ended_by_silence or self.on_expiry != "allow":
            return self
        return self.model_copy(update={"state": "expired", "on_expiry": "person"})

    def was_met(self, requirement: Requirement) -> bool:
        """Whether people have accepted who meet a requirement of it, without those whom only an escalation
        has let count. Earlier versions did not say whom that was."""
        if requirement not in self.requirements:
            return False
        return not self.rules or self._given(requirement) >= requirement.quorum

    def go_stale(self) -> "Approval":
        """The approval after its facts turned out to have changed; unchanged unless accepted."""
        return self.model_copy(update={"state": "stale"}) if self.state == "accepted" else self

    # The rules.

    def _check(self, decision: Decision) -> None:
        if self.ended_by_silence:
            raise ApprovalExpired(
                f"approval {self.id} expired at {self.expires_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        if self.state != "pending":
            raise AlreadyDecided(f"approval {self.id} is already {self.state}")
        self._check_form(decision)
        if decision.digest != self.args_digest:
            quoted = f"the decision quotes {decision.digest[:12] or 'none'}…"
            if decision.digest in self.superseded:
                raise Superseded(
                    f"approval {self.id} was edited since: it waits with digest "
                    f"{self.args_digest[:12]}…, {quoted}; look at the approval again"
                )
            raise DigestMismatch(
                f"approval {self.id} waits with digest {self.args_digest[:12]}…, {quoted}; look at "
                "the approval again"
            )
        if decision.kind == "comment":
            return
        self._check_person(decision)
        if self.claim is not None and not same_person(self.claim.reviewer, decision.reviewer):
            raise Claimed(
                f"{self.claim.reviewer} is on approval {self.id} until "
                f"{self.claim.until:%Y-%m-%d %H:%M:%S} UTC"
            )
        if decision.kind == "release" and self.claim is None:
            raise InvalidRequest(f"nobody has claimed approval {self.id}")
        if decision.kind == "claim" and self.claims.count(folded(decision.reviewer)) >= MOST_CLAIMS:
            raise InvalidRequest(
                f"{decision.reviewer} has claimed approval {self.id} {MOST_CLAIMS} times; decide"
            )
        if decision.kind == "accept" and any(
            voice.person.is_reviewer(decision.reviewer) for voice in self.voices
        ):
            raise AlreadyDecided(
                f"{decision.reviewer} has accepted approval {self.id}, which {self._waits_for()}"
            )

    def _check_form(self, decision: Decision) -> None:
        kind = decision.kind
        if kind in _NEEDS_TEXT and not decision.text.strip():
            raise InvalidRequest(f"a decision to {kind} needs a text")
        if (kind == "edit") != bool(decision.actions):
            raise InvalidRequest("an edit, and only an edit, carries the edited actions")
        if (kind == "delegate") != (decision.to is not None):
            raise InvalidRequest("a delegation, and only a delegation, says to whom")
        if same_person(decision.to, decision.reviewer):
            raise InvalidRequest("a voice is delegated to somebody else")
        if kind == "comment" and self.comments >= MOST_COMMENTS:
            raise InvalidRequest(f"approval {self.id} has {MOST_COMMENTS} comments; decide")
        if kind in _CHANGES and self.changes >= MOST_CHANGES:
            raise InvalidRequest(
                f"approval {self.id} was claimed, delegated and edited {MOST_CHANGES} times; accept, "
                "reject, or respond"
            )

    def _check_person(self, decision: Decision) -> None:
        reviewer = decision.reviewer
        lent = next(
            (one.to for one in self.delegations if same_person(one.reviewer, reviewer)), None
        )
        if lent is not None:
            raise NotAllowed(f"{reviewer} has delegated approval {self.id} to {lent}")
        roles = self._roles_of(decision)
        accepts = decision.kind == "accept"
        wanted = self.open_requirements() if accepts else self.current_requirements()
        matching = [one for one in wanted if set(one.roles) & set(roles)]
        if not matching:
            raise NotAllowed(
                f"approval {self.id} {self._waits_for()}; {reviewer} has {', '.join(roles) or 'none'}"
            )
        if decision.kind not in _SPEAKS_FOR:
            return
        if any(voice.person.is_reviewer(decision.to) for voice in self.voices):
            raise NotAllowed(f"{decision.to} has accepted approval {self.id} already")
        problems = [self._objection(one, decision) for one in matching]
        if all(problems):
            raise NotAllowed(f"approval {self.id}: {problems[0]}")

    def _objection(self, requirement: Requirement, decision: Decision) -> str | None:
        """Why a person with the right role does not count for this requirement."""
        if requirement.four_eyes:
            for person in self.requesters:
                if any(person.may_be(one) for one in (decision.reviewer, decision.to)):
                    return f"{person.id} asked for this, and needs somebody else's approval"
        if requirement.other_team and decision.kind != "delegate":
            if decision.team is None:
                return (
                    f"people of different teams have to approve, and {decision.reviewer} names none"
                )
            if folded(decision.team) in self._teams(requirement):
                return f"somebody of {decision.reviewer}'s team, {decision.team}, has asked or approved"
        return None

    def _roles_of(self, decision: Decision) -> tuple[str, ...]:
        lent = (one.roles for one in self.delegations if same_person(one.to, decision.reviewer))
        return tuple(sorted({*decision.roles, *(role for roles in lent for role in roles)}))

    def _teams(self, requirement: Requirement) -> set[str]:
        people = [*self.requesters, *(one.person for one in self._counting(requirement))]
        return {folded(person.team) for person in people if person.team is not None}

    def _counting(self, requirement: Requirement) -> list[Acceptance]:
        """The voices that count for a requirement."""
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

    def _given(self, requirement: Requirement) -> int:
        return len(self._counting(requirement))

    def _waits_for(self) -> str:
        missing = (f"{one.quorum} of {' or '.join(one.roles)}" for one in self.open_requirements())
        return f"waits for {' and '.join(missing)}"

    # The transitions.

    def _accept(self, decision: Decision) -> "Approval":
        person = Person(id=decision.reviewer, team=decision.team)
        voice = Acceptance(person=person, roles=self._roles_of(decision))
        voiced = self.model_copy(update={"voices": (*self.voices, voice), "claim": None})
        return voiced if voiced.open_requirements() else voiced._settle("accepted", decision)

    def _edit(self, decision: Decision, edit: EditTerms) -> "Approval":
        if edit.digest == self.args_digest:
            raise InvalidEdit("the edit changes nothing; accept it instead")
        editor = Person(id=decision.reviewer, team=decision.team)
        edited = self._with_needs(edit).model_copy(
            update={
                "args_digest": edit.digest,
                "covers": edit.covers,
                "superseded": (*self.superseded, self.args_digest),
                "requesters": tuple(dict.fromkeys((*self.requesters, editor))),
                "voices": (),
            }
        )
        return edited._accept(decision)

    def _with_needs(self, edit: EditTerms) -> "Approval":
        """The approval with what edited arguments need besides. Nothing is taken away, the earlier deadline
        counts, and the stricter end; silence until then is no consent where policy gives longer to object."""
        terms = edit.terms
        if terms is None:
            more = (one for one in edit.requirements if one not in self.requirements)
            return self.model_copy(update={"requirements": (*self.requirements, *more)})
        requirements, places = self._joined(edit.requirements, terms)
        expires_at = min(self.expires_at, terms.expires_at)
        gone, coming = self.schedule[: self.alarms], set(self.schedule[self.alarms :])
        for alarm in terms.schedule:
            if alarm.kind == "escalate" and alarm.requirement in places:
                place = places[alarm.requirement]
                coming.add(alarm.model_copy(update={"requirement": place}))
            elif alarm.kind == "remind" and places:
                coming.add(alarm)
        ends = (self.on_expiry, terms.on_expiry)
        too_soon = terms.expires_at > self.expires_at
        return self.model_copy(
            update={
                "requirements": requirements,
                "rules": tuple(dict.fromkeys((*self.rules, *terms.rules))),
                "expires_at": expires_at,
                "schedule": (*gone, *in_order(coming, until=expires_at)),
                "on_expiry": strictest((*ends, "person") if too_soon else ends),
                "claim_seconds": min(self.claim_seconds, terms.claim_seconds),
            }
        )

    def _joined(
        self, further: tuple[Requirement, ...], terms: Terms
    ) -> tuple[tuple[Requirement, ...], dict[int, int]]:
        """The requirements with those of further rules, and the places of these. One that is there already
        is not added, unless an escalation lets others count for either of the two."""
        requirements, places = list(self.requirements), dict[int, int]()
        widened = {alarm.requirement for alarm in self.schedule if alarm.kind == "escalate"}
        widening = {alarm.requirement for alarm in terms.schedule if alarm.kind == "escalate"}
        plain = [one for index, one in enumerate(requirements) if index not in widened]
        for index, (rule, one) in enumerate(zip(terms.rules, further, strict=True)):
            if rule in self.rules or (one in plain and index not in widening):
                continue
            places[index] = len(requirements)
            requirements.append(one)
        return tuple(requirements), places

    def _delegate(self, decision: Decision) -> "Approval":
        assert decision.to is not None
        kept = tuple(one for one in self.delegations if not same_person(one.reviewer, decision.to))
        delegation = Delegation(
            reviewer=decision.reviewer, to=decision.to, roles=self._roles_of(decision)
        )
        voices = tuple(one for one in self.voices if not one.person.is_reviewer(decision.reviewer))
        return self.model_copy(
            update={"delegations": (*kept, delegation), "voices": voices, "claim": None}
        )

    def _settle(self, state: ApprovalState, decision: Decision) -> "Approval":
        return self.model_copy(update={"state": state, "decision_id": decision.id, "claim": None})

    def _go_off(self) -> "Approval":
        if self.alarms == len(self.schedule):
            state: ApprovalState = "accepted" if self.on_expiry == "allow" else "expired"
            return self.model_copy(update={"state": state, "claim": None})
        return self.model_copy(update={"alarms": self.alarms + 1})


class TakenDecision(Frozen):
    """A decision that was taken, when, and policy's word on it where it is an edit."""

    decision: Decision
    at: datetime
    edit: EditTerms | None = None


def replay(asked: Approval, taken: Iterable[TakenDecision], *, now: datetime) -> Approval:
    """What became of an approval by `now`, from how it was asked for and the decisions alone.

    Raises:
        Refused: a decision could not have been taken.
    """
    approval = asked
    for one in taken:
        approval = approval.decide(one.decision, now=one.at, edit=one.edit)
    return approval.advance(now)


class ApprovalStatus(Frozen):
    """The answer to a decision. `waits_for` is what is still missing while it is pending."""

    approval: str
    state: ApprovalState
    decision_id: str | None = None
    waits_for: tuple[Requirement, ...] = ()
