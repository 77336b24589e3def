"""The approval state machine: no order of decisions, clock moves and crashes breaks its rules."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.domain.approval import Approval
from holdfast.domain.decision import Decision, DecisionKind
from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalExpired,
    Claimed,
    DigestMismatch,
    InvalidEdit,
    InvalidRequest,
    NotAllowed,
    Refused,
    Superseded,
)
from holdfast.domain.ids import json_digest
from holdfast.domain.outcomes import ProposedAction
from holdfast.domain.participants import Person
from holdfast.domain.shown import ShownAction, shown_digest
from holdfast.domain.terms import Alarm, AlarmKind, EditTerms, OnExpiry, Requirement, Terms
from holdfast.domain.transitions import (
    MOST_CHANGES,
    MOST_CLAIMS,
    MOST_COMMENTS,
    TakenDecision,
    check_decision,
    decide,
    replay,
)

ASKED = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KINDS: list[DecisionKind] = [
    "accept", "edit", "edit", "edit", "reject", "respond", "delegate", "claim", "release", "comment",
]  # fmt: skip
PEOPLE = {
    "customer": ("shop", ("support",)),
    "ann": ("red", ("support",)),
    "bob": ("red", ("boss",)),
    "cid": ("blue", ("boss", "support")),
    "dora": ("green", ("audit",)),
    "eve": (None, ("boss",)),
    "fay": ("blue", ()),
}


def actions_of(amount: int) -> tuple[ProposedAction, ...]:
    return (ProposedAction(name="refund", arguments={"order": "1", "amount": amount}),)


def digest_of(amount: int) -> str:
    return shown_digest(
        ShownAction(name=action.name, arguments=action.arguments, facts={})
        for action in actions_of(amount)
    )


def asked(*requirements: Requirement, **fields: Any) -> Approval:
    return Approval(
        id="ap_1",
        turn=1,
        step=2,
        args_digest=digest_of(0),
        requirements=requirements or (Requirement(roles=("support",)),),
        requested_at=ASKED,
        **{
            "requesters": (Person(id="customer", team="shop"),),
            "expires_at": ASKED + 10 * HOUR,
            **fields,
        },
    )


def said(kind: DecisionKind, reviewer: str = "ann", **fields: Any) -> Decision:
    """A decision that carries what its kind needs, unless told otherwise."""
    team, roles = PEOPLE[reviewer]
    return Decision.model_validate(
        {
            "id": f"{kind}-{reviewer}",
            "approval": "ap_1",
            "kind": kind,
            "reviewer": reviewer,
            "team": team,
            "roles": roles,
            "digest": digest_of(0),
            "text": "because" if kind in ("reject", "respond", "comment") else "",
            "actions": actions_of(1) if kind == "edit" else (),
            "to": "fay" if kind == "delegate" else None,
            **fields,
        }
    )


def edit_to(amount: int, *requirements: Requirement, terms: Terms | None = None) -> EditTerms:
    return EditTerms(digest=digest_of(amount), requirements=requirements, terms=terms)


def terms(
    rule: str = "another rule",
    *,
    at: datetime = ASKED,
    within: timedelta = 20 * HOUR,
    on_expiry: OnExpiry = "allow",
    escalate: timedelta | None = None,
    to: str = "audit",
) -> Terms:
    """What one rule says about an edit that is taken `at` this time."""
    schedule = [Alarm(at=at + within / 2, kind="remind")]
    if escalate is not None and escalate < within:
        schedule.append(Alarm(at=at + escalate, kind="escalate", roles=(to,)))
    return Terms(
        rules=(rule,),
        expires_at=at + within,
        schedule=tuple(sorted(schedule, key=lambda one: one.at)),
        on_expiry=on_expiry,
        claim_seconds=600,
    )


def after(approval: Approval, *decisions: Decision, at: datetime = ASKED) -> Approval:
    for one in decisions:
        edit = edit_to(1) if one.kind == "edit" else None
        approval = decide(approval, one, now=at, edit=edit)
    return approval


@dataclass
class Witness:
    """Somebody who writes down who spoke for the arguments as they stand, who has to, until when, and
    whether silence would do, without the machine."""

    digest: str
    needs: list[tuple[Requirement, list[Alarm]]]
    until: datetime
    silence_allows: bool
    editors: set[str] = field(default_factory=set)
    speakers: dict[str, set[str]] = field(default_factory=dict)
    lent: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    rules: set[str] = field(default_factory=set)

    def roles(self, made: Decision) -> set[str]:
        lent = [roles for to, roles in self.lent.values() if to == made.reviewer]
        return set(made.roles).union(*lent)

    def hears(self, made: Decision, new_digest: str | None) -> None:
        match made.kind:
            case "edit":
                assert new_digest is not None
                self.digest = new_digest
                self.editors.add(made.reviewer)
                self.speakers = {made.reviewer: self.roles(made)}
            case "accept":
                assert made.digest == self.digest
                assert made.reviewer not in self.lent
                self.speakers[made.reviewer] = self.roles(made)
            case "delegate":
                assert made.to is not None
                roles = self.roles(made)
                self.speakers.pop(made.reviewer, None)
                self.lent.pop(made.to, None)
                self.lent[made.reviewer] = (made.to, roles)

    def reads(self, edit: EditTerms) -> None:
        """What policy says about edited arguments: it may want more, sooner, and never less."""
        said = edit.terms
        for one in edit.requirements:
            if said is None:
                if one not in [need for need, _ in self.needs]:
                    self.needs.append((one, []))
            elif said.rules[0] not in self.rules:
                self.needs.append((one, [a for a in said.schedule if a.kind == "escalate"]))
        if said is not None:
            self.rules.add(said.rules[0])
            long_enough = said.expires_at <= self.until
            self.silence_allows &= said.on_expiry == "allow" and long_enough
            self.until = min(self.until, said.expires_at)

    def agrees(self, now: datetime) -> bool:
        """Whether everybody has spoken who has to by then."""
        return all(
            self.suffice(one.model_copy(update={"roles": (*one.roles, *further)}))
            for one, alarms in self.needs
            for further in [[role for a in alarms if a.at <= now for role in a.roles]]
        )

    def suffice(self, requirement: Requirement) -> bool:
        """Whether the speakers meet a requirement, counted the cautious way."""
        people = {one for one, roles in self.speakers.items() if roles & set(requirement.roles)}
        if requirement.four_eyes:
            people -= self.editors | {"customer"}
        if not requirement.other_team:
            return len(people) >= requirement.quorum
        taken = {PEOPLE[one][0] for one in self.editors | {"customer"}}
        teams = {PEOPLE[one][0] for one in people} - taken - {None}
        return len(teams) >= requirement.quorum


requirements = st.builds(
    Requirement,
    roles=st.lists(st.sampled_from(["support", "boss", "audit"]), min_size=1, unique=True).map(
        tuple
    ),
    quorum=st.integers(1, 2),
    four_eyes=st.booleans(),
    other_team=st.booleans(),
)
hours = st.integers(0, 12).map(lambda one: one * HOUR)


class Deciding(RuleBasedStateMachine):
    """One approval as the workflow drives it, beside a witness, and beside its own replay."""

    @initialize(
        needed=st.lists(requirements, min_size=1, max_size=2),
        ladder=st.lists(st.tuples(hours, st.sampled_from(["boss", "audit"])), max_size=2),
        on_expiry=st.sampled_from(["deny", "allow", "person"]),
    )
    def ask(
        self,
        needed: list[Requirement],
        ladder: list[tuple[timedelta, str]],
        on_expiry: OnExpiry,
    ) -> None:
        alarms = [Alarm(at=ASKED + 2 * HOUR, kind="remind")]
        alarms += [Alarm(at=ASKED + at, kind="escalate", roles=(role,)) for at, role in ladder]
        schedule = sorted((one for one in alarms if one.at < ASKED + 10 * HOUR), key=lambda a: a.at)
        self.asked = asked(*needed, schedule=tuple(schedule), on_expiry=on_expiry)
        self.approval = self.asked
        self.now = ASKED
        self.taken: list[TakenDecision] = []
        escalations = [one for one in schedule if one.kind == "escalate"]
        self.witness = Witness(
            digest_of(0),
            [(one, [] if index else escalations) for index, one in enumerate(needed)],
            ASKED + 10 * HOUR,
            on_expiry == "allow",
        )
        self.settled: Approval | None = None
        self.cancelled = False

    @rule(hours=st.integers(0, 6), minutes=st.integers(0, 59))
    def time_passes(self, hours: int, minutes: int) -> None:
        self.now += timedelta(hours=hours % 3, minutes=minutes)

    @rule()
    def a_timer_fires(self) -> None:
        due = self.approval.next_alarm(self.now)
        if due is None:
            assert self.approval.state != "pending" or self.now < self.approval.due_at
            return
        self.approval, alarm = due
        assert alarm.at <= self.now
        assert (self.approval.state == "pending") == (alarm.kind != "expire")

    @rule()
    def the_worker_crashes(self) -> None:
        self.approval = Approval.model_validate_json(self.approval.model_dump_json())

    @rule(rarely=st.integers(0, 9))
    def the_turn_is_cancelled(self, rarely: int) -> None:
        if rarely:
            return
        before, self.approval = self.approval, self.approval.withdraw()
        assert self.approval.state == ("withdrawn" if before.state == "pending" else before.state)
        self.cancelled = self.cancelled or self.approval.state == "withdrawn"

    @rule(reviewer=st.sampled_from(sorted(PEOPLE)), id=st.integers(0, 1000))
    def somebody_accepts(self, reviewer: str, id: int) -> None:
        self.say(said("accept", reviewer, id=f"a{id}", digest=self.approval.args_digest))

    @rule(reviewer=st.sampled_from(sorted(PEOPLE)), id=st.integers(0, 1000))
    def somebody_else_accepts(self, reviewer: str, id: int) -> None:
        self.somebody_accepts(reviewer, id)

    @rule(
        reviewer=st.sampled_from(["ann", "bob", "cid"]),
        to=st.sampled_from(["fay", "ann", "bob"]),
        id=st.integers(0, 1000),
    )
    def somebody_delegates(self, reviewer: str, to: str, id: int) -> None:
        digest = self.approval.args_digest
        self.say(said("delegate", reviewer, id=f"l{id}", to=to, digest=digest))

    @rule(
        kind=st.sampled_from(KINDS),
        reviewer=st.sampled_from(sorted(PEOPLE)),
        amount=st.integers(0, 3),
        right=st.integers(0, 9),
        id=st.integers(0, 40),
        to=st.sampled_from(sorted(PEOPLE)),
        more=requirements,
        within=st.integers(1, 12),
        end=st.sampled_from(["deny", "allow", "allow", "person"]),
        escalate=st.none() | st.integers(1, 6),
        earlier_version=st.booleans(),
    )
    def decide(
        self,
        kind: DecisionKind,
        reviewer: str,
        amount: int,
        right: int,
        id: int,
        to: str,
        more: Requirement,
        within: int,
        end: OnExpiry,
        escalate: int | None,
        earlier_version: bool,
    ) -> None:
        digest = self.approval.args_digest if right else digest_of(amount)
        made = said(
            kind,
            reviewer,
            id=f"d{id}",
            digest=digest,
            to=to if kind == "delegate" else None,
            actions=actions_of(amount) if kind == "edit" else (),
        )
        said_by_policy = terms(
            f"{more} {within} {end} {escalate}",
            at=self.now,
            within=within * HOUR,
            on_expiry=end,
            escalate=escalate * HOUR if escalate else None,
        )
        edit = edit_to(amount, more, terms=None if earlier_version else said_by_policy)
        self.say(made, edit if kind == "edit" else None)

    def say(self, made: Decision, edit: EditTerms | None = None) -> None:
        before = self.approval
        if before.repeats(made):
            return
        try:
            self.approval = decide(before, made, now=self.now, edit=edit)
        except Refused:
            assert self.approval is before
            return
        assert before.state == "pending"
        assert self.now < self.witness.until
        self.taken.append(TakenDecision(decision=made, at=self.now, edit=edit))
        self.witness.hears(made, edit.digest if edit else None)
        if edit is not None:
            self.witness.reads(edit)
        if self.approval.state == "accepted":
            self.was_rightly_accepted(made)

    def was_rightly_accepted(self, made: Decision) -> None:
        assert made.kind in ("accept", "edit")
        assert self.approval.args_digest == self.witness.digest
        assert self.witness.agrees(self.now), self.witness

    @rule()
    def the_facts_have_changed(self) -> None:
        before = self.approval
        stale = before.go_stale()
        assert stale.state == ("stale" if before.state == "accepted" else before.state)

    @invariant()
    def has_one_end_at_most(self) -> None:
        approval = getattr(self, "approval", None)
        if approval is None:
            return
        if self.settled is None and approval.state != "pending":
            self.settled = approval
        assert self.settled in (None, approval)

    @invariant()
    def silence_ends_it_as_policy_says(self) -> None:
        approval = getattr(self, "approval", None)
        if approval is None or self.cancelled:
            return
        assert approval.expires_at == self.witness.until
        by_now = approval.advance(self.now)
        if by_now.ended_by_silence:
            assert self.now >= self.witness.until
            assert (by_now.state == "accepted") == self.witness.silence_allows

    @invariant()
    def is_what_its_decisions_make_it(self) -> None:
        if getattr(self, "approval", None) is None or self.cancelled:
            return
        replayed = replay(self.asked, self.taken, now=self.now)
        assert replayed == self.approval.advance(self.now)


TestDeciding = Deciding.TestCase
TestDeciding.settings = settings(max_examples=300, stateful_step_count=30)


def test_each_kind_of_decision_has_its_end() -> None:
    ends = {
        kind: after(asked(), said(kind)).state
        for kind in ("accept", "edit", "reject", "respond", "comment", "claim", "delegate")
    }
    assert ends == {
        "accept": "accepted",
        "edit": "accepted",
        "reject": "rejected",
        "respond": "responded",
        "comment": "pending",
        "claim": "pending",
        "delegate": "pending",
    }


def test_at_its_deadline_an_approval_can_no_longer_be_decided() -> None:
    approval = asked()
    just_before = approval.expires_at - timedelta(microseconds=1)
    assert after(approval, said("accept"), at=just_before).state == "accepted"
    with pytest.raises(ApprovalExpired, match="2030-01-01 10:00:00 UTC"):
        after(approval, said("accept"), at=approval.expires_at)
    expired = approval.advance(approval.expires_at)
    with pytest.raises(ApprovalExpired):
        after(expired, said("accept"), at=ASKED)


def test_silence_means_what_policy_says() -> None:
    for on_expiry, state in (("deny", "expired"), ("person", "expired"), ("allow", "accepted")):
        approval = asked(on_expiry=on_expiry).advance(ASKED + 10 * HOUR)
        assert (approval.state, approval.decision_id) == (state, None)
        with pytest.raises(ApprovalExpired):
            after(approval, said("accept"), at=ASKED + 11 * HOUR)


def test_consent_by_silence_that_nobody_heard_becomes_a_persons_affair() -> None:
    for on_expiry in ("deny", "person", "allow"):
        silent = asked(on_expiry=on_expiry).advance(ASKED + 10 * HOUR)
        expected = ("expired", "person") if on_expiry == "allow" else (silent.state, on_expiry)
        assert (silent.unheard().state, silent.unheard().on_expiry) == expected
    accepted = after(asked(on_expiry="allow"), said("accept"))
    assert accepted.unheard() == accepted
    assert asked(on_expiry="allow").unheard().state == "pending"


def test_the_first_decision_stands_and_its_repetition_is_recognised() -> None:
    rejected = after(asked(), said("reject"))
    assert rejected.repeats(said("reject"))
    assert not rejected.repeats(said("reject", id="another"))
    with pytest.raises(AlreadyDecided, match="already rejected"):
        after(rejected, said("accept"))


def test_nobody_accepts_twice() -> None:
    approval = asked(Requirement(roles=("support",), quorum=2))
    once = after(approval, said("accept", "ann", id="d1"))
    with pytest.raises(AlreadyDecided, match="ann has accepted"):
        after(once, said("accept", "ann", id="d2"))
    assert after(once, said("accept", "cid", id="d2")).state == "accepted"


def test_what_may_not_be_taken_is_refused_when_it_is_looked_at_as_well() -> None:
    approval = asked()
    check_decision(approval, said("accept"), now=ASKED)
    for refused, made, now in [
        (NotAllowed, said("accept", "fay"), ASKED),
        (DigestMismatch, said("accept", digest=digest_of(9)), ASKED),
        (ApprovalExpired, said("accept"), approval.expires_at),
    ]:
        with pytest.raises(refused):
            check_decision(approval, made, now=now)


def test_roles_that_count_are_needed_and_named() -> None:
    two = asked(Requirement(roles=("support",)), Requirement(roles=("boss", "audit")))
    with pytest.raises(NotAllowed, match="1 of support and 1 of boss or audit; fay has none"):
        after(two, said("accept", "fay"))
    both = after(two, said("accept", "cid"))
    assert both.state == "accepted"  # one person with both roles
    one = after(two, said("accept", "ann"))
    assert (one.state, one.roles) == ("pending", ("audit", "boss"))
    with pytest.raises(NotAllowed, match="waits for 1 of boss or audit; ann has support"):
        after(asked(Requirement(roles=("boss", "audit"))), said("accept", "ann"))
    assert after(one, said("accept", "dora")).state == "accepted"


def test_whose_requirement_is_met_can_still_reject_but_no_longer_accept() -> None:
    two = asked(Requirement(roles=("support",)), Requirement(roles=("boss",)))
    one = after(two, said("accept", "ann"))
    with pytest.raises(NotAllowed, match="waits for 1 of boss; customer has support"):
        after(one, said("accept", "customer"))
    assert after(one, said("reject", "customer")).state == "rejected"


def test_a_decision_about_other_arguments_is_refused() -> None:
    with pytest.raises(DigestMismatch, match="quotes none"):
        after(asked(), said("accept", digest=""))
    edited = after(asked(Requirement(roles=("support",), quorum=2)), said("edit"))
    with pytest.raises(Superseded, match="was edited since"):
        after(edited, said("accept", "cid"))
    with pytest.raises(DigestMismatch):
        after(edited, said("accept", "cid", digest=digest_of(3)))
    assert after(edited, said("accept", "cid", digest=digest_of(1))).state == "accepted"


def test_an_edit_starts_the_count_again_and_adds_what_its_arguments_need() -> None:
    voiced = after(asked(Requirement(roles=("boss",), quorum=2)), said("accept", "bob"))
    more = Requirement(roles=("audit",))
    edited = decide(voiced, said("edit", "eve"), now=ASKED, edit=edit_to(1, more))
    assert [(one.roles, one.quorum) for one in edited.open_requirements()] == [
        (("boss",), 1),
        (("audit",), 1),
    ]
    again = decide(voiced, said("edit", "eve"), now=ASKED, edit=edit_to(1, *voiced.requirements))
    assert again.requirements == voiced.requirements
    with pytest.raises(InvalidEdit, match="changes nothing"):
        decide(asked(), said("edit"), now=ASKED, edit=edit_to(0))
    with pytest.raises(InvalidEdit):
        decide(asked(), said("edit"), now=ASKED)


LARGE = Requirement(roles=("boss",))


def test_an_edit_takes_the_stricter_end_and_the_earlier_deadline_of_its_rules() -> None:
    two = Requirement(roles=("support",), quorum=2)
    cases: list[tuple[OnExpiry, int, str, int]] = [
        ("deny", 20, "deny", 10),
        ("person", 20, "person", 10),
        ("allow", 4, "allow", 4),
        ("deny", 4, "deny", 4),
        ("allow", 10, "allow", 10),
        ("allow", 20, "person", 10),  # nobody had those 20 hours to object
    ]
    reminder = (Alarm(at=ASKED + HOUR, kind="remind"),)
    for on_expiry, within, end, hours in cases:
        policy = terms(on_expiry=on_expiry, within=within * HOUR)
        edited = decide(
            asked(two, on_expiry="allow", schedule=reminder),
            said("edit"),
            now=ASKED,
            edit=edit_to(1, two, terms=policy),
        )
        assert (edited.on_expiry, edited.expires_at) == (end, ASKED + hours * HOUR)
        assert (edited.requirements, edited.claim_seconds) == ((two,), 600)
        silent = edited.advance(edited.expires_at)
        assert silent.state == ("accepted" if end == "allow" else "expired")
    for on_expiry in ("deny", "person"):
        laxer = edit_to(1, terms=terms(on_expiry="allow", within=HOUR))
        laxer = laxer.model_copy(update={"requirements": (LARGE,)})
        kept = decide(asked(two, on_expiry=on_expiry), said("edit"), now=ASKED, edit=laxer)
        assert kept.on_expiry == on_expiry


def test_an_edit_takes_the_escalations_of_its_rule_and_not_those_of_another() -> None:
    ladder = (Alarm(at=ASKED + HOUR, kind="escalate", roles=("support",)),)
    approval = asked(LARGE, schedule=ladder, rules=("small",))
    later = ASKED + 2 * HOUR  # support counts for the small one by now
    edited = decide(
        approval, said("edit"), now=later, edit=edit_to(1, LARGE, terms=terms("large", at=later))
    )
    assert [one.roles for one in edited.open_requirements()] == [("boss",)]
    assert after(edited, said("accept", "bob", digest=digest_of(1)), at=later).state == "accepted"

    policy = terms("large", at=later, escalate=HOUR)
    edited = decide(approval, said("edit"), now=later, edit=edit_to(1, LARGE, terms=policy))
    dora = said("accept", "dora", digest=digest_of(1))
    with pytest.raises(NotAllowed):
        after(edited, dora, at=later)
    assert after(edited, dora, at=later + HOUR).state == "accepted"

    same = terms("small", at=later, escalate=HOUR)
    again = decide(approval, said("edit"), now=later, edit=edit_to(1, LARGE, terms=same))
    assert (again.state, again.requirements, again.schedule) == ("accepted", (LARGE,), ladder)


def test_an_edit_takes_the_alarms_of_the_rules_that_it_adds_until_the_deadline() -> None:
    def at(hours: int, kind: AlarmKind, **fields: Any) -> Alarm:
        return Alarm(at=ASKED + hours * HOUR, kind=kind, **fields)

    audit = Requirement(roles=("audit",))
    alarms = (
        at(5, "remind"),
        at(6, "escalate", requirement=0, roles=("support",)),
        at(7, "escalate", requirement=1, roles=("support",)),
        at(10, "remind"),
        at(11, "remind"),
    )
    both = terms().model_copy(update={"rules": ("large", "small"), "schedule": alarms})
    approval = asked(LARGE, schedule=(at(8, "remind"),), rules=("small",))
    edited = decide(
        approval, said("edit", "bob"), now=ASKED, edit=edit_to(1, audit, LARGE, terms=both)
    )
    assert (edited.requirements, edited.rules) == ((LARGE, audit), ("small", "large"))
    assert edited.schedule == (
        at(5, "remind"),
        at(6, "escalate", requirement=1, roles=("support",)),
        at(8, "remind"),
    )
    known = both.model_copy(update={"rules": ("small",), "schedule": alarms[:1]})
    same = decide(approval, said("edit", "bob"), now=ASKED, edit=edit_to(1, LARGE, terms=known))
    assert (same.requirements, same.schedule) == (approval.requirements, approval.schedule)


def test_an_equal_need_whose_escalation_lets_others_count_is_a_need_of_its_own() -> None:
    edit = edit_to(1, LARGE, terms=terms("large", escalate=HOUR))
    edited = decide(asked(LARGE, rules=("small",)), said("edit", "bob"), now=ASKED, edit=edit)
    assert edited.requirements == (LARGE, LARGE)
    assert [one.requirement for one in edited.schedule] == [1]


def test_an_edit_of_an_earlier_version_changes_no_deadline_and_no_end() -> None:
    approval = asked(on_expiry="allow")
    recorded = EditTerms.model_validate(
        {"digest": digest_of(1), "requirements": [LARGE.model_dump()]}
    )
    edited = decide(approval, said("edit"), now=ASKED, edit=recorded)
    assert (edited.on_expiry, edited.expires_at) == ("allow", approval.expires_at)
    assert edited.open_requirements() == (LARGE,)


def test_people_have_met_what_was_asked_of_them_without_those_an_escalation_let_count() -> None:
    ladder = (Alarm(at=ASKED + HOUR, kind="escalate", roles=("support",)),)
    approval = asked(LARGE, schedule=ladder, rules=("small",))
    later = ASKED + 2 * HOUR
    assert after(approval, said("accept", "bob"), at=later).was_met(LARGE)
    by_ann = after(approval, said("accept", "ann"), at=later)
    assert (by_ann.state, by_ann.was_met(LARGE)) == ("accepted", False)
    assert by_ann.model_copy(update={"rules": ()}).was_met(LARGE)
    assert not by_ann.was_met(Requirement(roles=("support",)))
    assert not approval.advance(ASKED + 10 * HOUR).was_met(LARGE)


def test_under_four_eyes_nobody_approves_what_they_asked_for() -> None:
    approval = asked(Requirement(roles=("support",), four_eyes=True))
    for kind in ("accept", "edit", "delegate", "claim"):
        with pytest.raises(NotAllowed, match="customer asked for this"):
            after(approval, said(kind, "customer"))
    with pytest.raises(NotAllowed, match="customer asked for this"):
        after(approval, said("delegate", "ann", to="customer"))
    edited = after(approval, said("edit", "ann"))
    assert edited.state == "pending"
    with pytest.raises(NotAllowed, match="ann asked for this"):
        after(edited, said("accept", "ann", digest=digest_of(1)))
    assert after(edited, said("accept", "cid", digest=digest_of(1))).state == "accepted"
    assert after(approval, said("reject", "customer")).state == "rejected"


def test_people_have_to_be_of_different_teams_where_that_is_asked() -> None:
    approval = asked(Requirement(roles=("support", "boss"), quorum=2, other_team=True))
    one = after(approval, said("accept", "ann"))
    with pytest.raises(NotAllowed, match="red"):
        after(one, said("accept", "bob"))
    with pytest.raises(NotAllowed, match="eve names none"):
        after(one, said("accept", "eve"))
    with pytest.raises(NotAllowed, match="shop"):
        after(one, said("accept", "customer"))
    assert after(one, said("accept", "cid")).state == "accepted"
    nobodys = approval.model_copy(update={"requesters": (Person(id="customer"),)})
    assert after(nobodys, said("accept", "ann"), said("accept", "cid")).state == "accepted"
    two_bosses = asked(*approval.requirements, Requirement(roles=("boss",), quorum=2))
    by_red = after(two_bosses, said("accept", "ann"), said("accept", "bob"))
    assert [one.quorum for one in by_red.open_requirements()] == [1, 1]
    assert after(one, said("delegate", "bob", to="fay"), said("accept", "fay")).state == "accepted"


def test_a_claim_keeps_others_off_until_it_runs_out() -> None:
    claimed = after(asked(claim_seconds=60), said("claim", "cid"))
    for kind in ("accept", "reject", "claim", "release", "delegate"):
        with pytest.raises(Claimed, match="cid is on approval ap_1 until 2030-01-01 00:01:00"):
            after(claimed, said(kind, "ann"))
    assert after(claimed, said("comment", "ann")).claim is not None
    assert after(claimed, said("accept", "cid")).state == "accepted"
    assert after(claimed, said("release", "cid"), said("accept", "ann")).state == "accepted"
    later = ASKED + timedelta(seconds=60)
    assert after(claimed, said("accept", "ann"), at=later).state == "accepted"
    with pytest.raises(InvalidRequest, match="nobody has claimed"):
        after(asked(), said("release"))


def test_a_voice_that_is_lent_counts_once_and_can_be_given_back() -> None:
    two = asked(Requirement(roles=("boss",), quorum=2))
    lent = after(two, said("delegate", "bob", to="fay"))
    with pytest.raises(NotAllowed, match="bob has delegated approval ap_1 to fay"):
        after(lent, said("accept", "bob"))
    voiced = after(lent, said("accept", "fay"))
    assert voiced.open_requirements()[0].quorum == 1
    with pytest.raises(NotAllowed, match="fay has accepted"):
        after(voiced, said("delegate", "eve", to="fay"))
    back = after(lent, said("delegate", "fay", to="bob", id="back"), said("accept", "bob"))
    assert back.open_requirements()[0].quorum == 1
    with pytest.raises(NotAllowed):
        after(back, said("accept", "fay"))
    gone = after(two, said("accept", "bob"), said("delegate", "bob", to="fay"))
    assert gone.open_requirements()[0].quorum == 2
    with pytest.raises(InvalidRequest, match="somebody else"):
        after(two, said("delegate", "bob", to="bob"))


def test_escalations_let_further_roles_count_from_their_time_on() -> None:
    ladder = (
        Alarm(at=ASKED + HOUR, kind="remind"),
        Alarm(at=ASKED + 2 * HOUR, kind="escalate", roles=("audit",)),
    )
    approval = asked(schedule=ladder)
    assert approval.due_at == ASKED + HOUR
    assert approval.next_alarm(ASKED) is None
    reminded = approval.next_alarm(ASKED + HOUR)
    assert reminded is not None
    assert (reminded[1].kind, reminded[0].due_at) == ("remind", ASKED + 2 * HOUR)
    with pytest.raises(NotAllowed):
        after(approval, said("accept", "dora"), at=ASKED + HOUR)
    # Whether or not its timer has fired.
    assert after(approval, said("accept", "dora"), at=ASKED + 2 * HOUR).state == "accepted"


def test_the_last_alarm_is_that_of_the_deadline() -> None:
    approval = asked(schedule=(Alarm(at=ASKED + HOUR, kind="remind"),)).advance(ASKED + HOUR)
    assert approval.next_alarm(ASKED + 9 * HOUR) is None
    due = approval.next_alarm(ASKED + 10 * HOUR)
    assert due is not None
    assert (due[0].state, due[1]) == ("expired", Alarm(at=ASKED + 10 * HOUR, kind="expire"))
    assert due[0].next_alarm(ASKED + 11 * HOUR) is None


def test_comments_have_a_bound_of_their_own_and_block_no_decision() -> None:
    approval = asked()
    for number in range(MOST_COMMENTS):
        approval = after(approval, said("comment", "fay", id=f"c{number}"))
    with pytest.raises(InvalidRequest, match="100 comments"):
        after(approval, said("comment", "fay", id="one-more"))
    kinds: list[DecisionKind] = ["claim", "delegate", "accept", "reject", "respond", "edit"]
    for kind in kinds:
        after(approval, said(kind))


def test_claims_delegations_and_edits_have_a_bound_and_block_no_end() -> None:
    approval = asked()
    for number in range(MOST_CHANGES):
        one = said("delegate", id=f"x{number}", to="fay") if number % 2 else None
        back = said("delegate", "fay", id=f"y{number}", to="ann")
        approval = after(approval, one or (back if number else said("claim", id="x")))
    kinds: list[DecisionKind] = ["claim", "delegate", "edit"]
    for kind in kinds:
        with pytest.raises(InvalidRequest, match="100 times"):
            after(approval, said(kind))
    assert after(approval, said("comment", "fay", id="c")).state == "pending"
    assert after(approval, said("reject", "cid", id="r")).state == "rejected"
    assert after(approval, said("accept", "cid", id="a")).state == "accepted"


def test_nobody_keeps_others_off_for_ever() -> None:
    approval, at = asked(), ASKED
    for number in range(MOST_CLAIMS):
        approval = after(approval, said("claim", id=f"c{number}"), at=at)
        at += timedelta(minutes=14)
    with pytest.raises(InvalidRequest, match="has claimed approval ap_1 3 times"):
        after(approval, said("claim", id="c9"), at=at)
    with pytest.raises(Claimed):
        after(approval, said("claim", "cid", id="c10"), at=at)
    at += timedelta(minutes=2)
    assert after(approval, said("accept", "cid"), at=at).state == "accepted"
    assert after(approval, said("accept"), at=at).state == "accepted"


def spelt(decision: Decision, reviewer: str) -> Decision:
    """The same decision, of somebody whose id is written otherwise."""
    return decision.model_copy(update={"reviewer": reviewer})


def test_people_are_the_same_however_their_ids_are_written() -> None:
    two = Requirement(roles=("support",), quorum=2)
    once = after(asked(two), said("accept"))
    with pytest.raises(AlreadyDecided):
        after(once, spelt(said("accept", id="again"), "ANN"))
    claimed = after(asked(), said("claim"))
    assert after(claimed, spelt(said("accept"), "Ann")).state == "accepted"
    lent = after(asked(), said("delegate", to="fay"))
    with pytest.raises(NotAllowed, match="has delegated"):
        after(lent, spelt(said("accept"), "aNN"))
    assert after(lent, spelt(said("accept", "fay"), "Fay")).state == "accepted"
    with pytest.raises(InvalidRequest, match="somebody else"):
        after(asked(), said("delegate", to="Ann"))
    with pytest.raises(NotAllowed, match="asked for this"):
        after(asked(eyes()), spelt(said("accept"), "Customer"))
    for look_alike in ("аnn", "ann\u200b", "ａnn", "ann ", "ánn"):
        with pytest.raises(ValueError, match="reviewer"):
            Decision.model_validate({**said("accept").model_dump(), "reviewer": look_alike})


def test_teams_are_the_same_however_they_are_written() -> None:
    approval = after(
        asked(Requirement(roles=("support", "boss"), quorum=2, other_team=True)), said("accept")
    )
    with pytest.raises(NotAllowed, match="RED"):
        after(approval, said("accept", "bob").model_copy(update={"team": "RED"}))


def eyes() -> Requirement:
    return Requirement(roles=("support",), four_eyes=True)


def test_a_customer_is_not_the_reviewer_of_the_same_id_nor_known_to_be_another() -> None:
    customer = Person(id="ann", kind="customer")
    approval = asked(requesters=(customer,))
    assert not customer.is_reviewer("ann")
    assert after(approval, said("accept")).state == "accepted"
    strict = asked(eyes(), requesters=(customer,))
    with pytest.raises(NotAllowed, match="asked for this"):
        after(strict, said("accept"))
    assert after(strict, said("accept", "cid")).state == "accepted"


def test_silence_that_nobody_could_break_is_left_to_a_person() -> None:
    approval = asked(on_expiry="allow").advance(ASKED + 10 * HOUR)
    assert approval.state == "accepted"
    unheard = approval.unheard()
    assert (unheard.state, unheard.on_expiry) == ("expired", "person")
    decided = after(asked(on_expiry="allow"), said("accept"))
    assert decided.unheard() == decided


@pytest.mark.parametrize(
    "incomplete",
    [
        said("reject", text=" "),
        said("respond", text=""),
        said("comment", text=""),
        said("edit", actions=()),
        said("accept", actions=actions_of(1)),
        said("delegate", to=None),
        said("accept", to="bob"),
    ],
    ids=["reject", "respond", "comment", "edit", "accept-actions", "delegate", "accept-to"],
)
def test_a_decision_carries_exactly_what_its_kind_needs(incomplete: Decision) -> None:
    with pytest.raises(InvalidRequest):
        after(asked(), incomplete)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(arguments=st.dictionaries(st.sampled_from("abc"), values), other=values)
@pytest.mark.parametrize("field", ["arguments", "facts", "description"])
def test_the_digest_follows_all_that_is_shown_and_not_its_order(
    field: str, arguments: dict[str, object], other: object
) -> None:
    def digest(given: dict[str, object]) -> str:
        shown = {"name": "x", "arguments": {}, "facts": {}, field: given}
        return shown_digest([ShownAction.model_validate(shown)])

    assert digest(dict(reversed(arguments.items()))) == digest(arguments)
    assert digest({**arguments, "z": other}) != digest(arguments)


def test_the_digest_follows_names_and_order_of_the_actions() -> None:
    one, two = (ShownAction(name=name, arguments={}, facts={}) for name in ("one", "two"))
    orders = [(one,), (two,), (one, two), (two, one), (one, one)]
    assert len({shown_digest(order) for order in orders}) == 5


def test_the_digest_of_an_earlier_version_covers_names_and_arguments_alone() -> None:
    one, other = (
        ShownAction(name="x", arguments={"a": 1}, facts={"amount": amount}) for amount in (1, 2)
    )
    assert shown_digest([one], "arguments") == shown_digest([other], "arguments")
    # json_digest([{"arguments": {"a": 1}, "name": "x"}]), as it was signed before facts were covered.
    assert shown_digest([one], "arguments") == json_digest([{"name": "x", "arguments": {"a": 1}}])
