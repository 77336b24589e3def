"""The approval state machine: no order of decisions, clock moves and cancellations breaks its rules."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.domain.approval import (
    Approval,
    ApprovalState,
    Decision,
    DecisionKind,
    args_digest,
)
from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalExpired,
    DigestMismatch,
    InvalidRequest,
    NotAllowed,
    Refused,
)
from holdfast.domain.outcomes import ProposedAction

ASKED = datetime(2030, 1, 1, tzinfo=UTC)
ACTIONS = (ProposedAction(name="refund", arguments={"order": "1", "amount": 10}),)
EDITED = (ProposedAction(name="refund", arguments={"order": "1", "amount": 5}),)
DIGESTS = [args_digest(ACTIONS), args_digest(EDITED), ""]
KINDS: list[DecisionKind] = ["accept", "edit", "reject", "respond"]
ENDS: dict[DecisionKind, ApprovalState] = {
    "accept": "accepted",
    "edit": "accepted",
    "reject": "rejected",
    "respond": "responded",
}
role_sets = st.lists(st.sampled_from(["support", "boss", "audit"]), unique=True).map(tuple)


def asked(*roles: str, minutes: int = 60) -> Approval:
    return Approval(
        id="ap_1",
        turn=1,
        step=2,
        args_digest=args_digest(ACTIONS),
        roles=roles,
        requested_at=ASKED,
        expires_at=ASKED + timedelta(minutes=minutes),
    )


def decision(
    kind: DecisionKind = "accept",
    *,
    id: str = "d1",
    roles: tuple[str, ...] = (),
    digest: str = args_digest(ACTIONS),
    text: str | None = None,
    actions: tuple[ProposedAction, ...] | None = None,
) -> Decision:
    """A decision that carries what its kind needs, unless told otherwise."""
    return Decision(
        id=id,
        approval="ap_1",
        kind=kind,
        reviewer="rita",
        roles=roles,
        digest=digest,
        text=("because" if kind in ("reject", "respond") else "") if text is None else text,
        actions=(EDITED if kind == "edit" else ()) if actions is None else actions,
    )


class Deciding(RuleBasedStateMachine):
    """One approval, as the workflow drives it, next to what is known to have happened to it."""

    @initialize(roles=role_sets, minutes=st.integers(1, 120))
    def ask(self, roles: tuple[str, ...], minutes: int) -> None:
        self.approval = asked(*roles, minutes=minutes)
        self.now = ASKED
        self.first_end: Approval | None = None

    @rule(minutes=st.integers(-30, 90))
    def move_the_clock(self, minutes: int) -> None:
        self.now = max(ASKED, self.now + timedelta(minutes=minutes))

    @rule()
    def reach_the_deadline(self) -> None:
        self.now = self.approval.expires_at

    @rule()
    def look_at_the_deadline(self) -> None:
        before, self.approval = self.approval, self.approval.expire(now=self.now)
        late = self.now >= before.expires_at
        expected = "expired" if late and before.state == "pending" else before.state
        assert self.approval == before.model_copy(update={"state": expected})
        self.note_the_end()

    @rule()
    def cancel_the_turn(self) -> None:
        before, self.approval = self.approval, self.approval.withdraw()
        expected = "withdrawn" if before.state == "pending" else before.state
        assert self.approval == before.model_copy(update={"state": expected})
        self.note_the_end()

    @rule(
        kind=st.sampled_from(KINDS),
        id=st.sampled_from(["d1", "d2", "d3"]),
        roles=role_sets | st.just(("support", "boss", "audit")),
        digest=st.sampled_from([DIGESTS[0], *DIGESTS]),
        text=st.sampled_from([None, "", "  ", "words"]),
        actions=st.sampled_from([None, None, (), EDITED]),
    )
    def decide(
        self,
        kind: DecisionKind,
        id: str,
        roles: tuple[str, ...],
        digest: str,
        text: str | None,
        actions: tuple[ProposedAction, ...] | None,
    ) -> None:
        made = decision(kind, id=id, roles=roles, digest=digest, text=text, actions=actions)
        before = self.approval
        if before.repeats(made):
            assert before.decision_id == id
            with pytest.raises((AlreadyDecided, ApprovalExpired)):
                before.decide(made, now=self.now)
            return
        try:
            self.approval = before.decide(made, now=self.now)
        except Refused:
            assert not self.may_be_taken(made)
            return
        assert self.may_be_taken(made)
        assert before.state == "pending"
        assert self.approval.repeats(made)
        assert self.approval == before.model_copy(
            update={"state": ENDS[kind], "decision_id": made.id}
        )
        self.note_the_end()

    def may_be_taken(self, made: Decision) -> bool:
        needs_text = made.kind in ("reject", "respond")
        return (
            self.first_end is None
            and self.now < self.approval.expires_at
            and set(self.approval.roles) <= set(made.roles)
            and made.digest == args_digest(ACTIONS)
            and (bool(made.text.strip()) or not needs_text)
            and bool(made.actions) == (made.kind == "edit")
        )

    def note_the_end(self) -> None:
        if self.approval.state != "pending" and self.first_end is None:
            self.first_end = self.approval

    @invariant()
    def has_one_end_at_most(self) -> None:
        approval = getattr(self, "approval", None)
        if approval is not None:
            assert approval == (self.first_end or approval)
            assert (approval.decision_id is None) == (
                approval.state in ("pending", "expired", "withdrawn")
            )


TestDeciding = Deciding.TestCase
TestDeciding.settings = settings(max_examples=150, stateful_step_count=25)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_decision_has_its_end(kind: DecisionKind) -> None:
    assert asked().decide(decision(kind), now=ASKED).state == ENDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_at_its_deadline_an_approval_can_no_longer_be_decided(kind: DecisionKind) -> None:
    approval = asked()
    just_before = approval.expires_at - timedelta(microseconds=1)
    assert approval.decide(decision(kind), now=just_before).state == ENDS[kind]
    with pytest.raises(ApprovalExpired, match="2030-01-01 01:00:00 UTC"):
        approval.decide(decision(kind), now=approval.expires_at)


def test_an_expired_approval_stays_expired_when_the_clock_goes_back() -> None:
    approval = asked().expire(now=ASKED + timedelta(hours=1))
    with pytest.raises(ApprovalExpired):
        approval.decide(decision(), now=ASKED)


def test_the_first_decision_stands_and_its_repetition_is_recognised() -> None:
    rejected = asked().decide(decision("reject", id="d1"), now=ASKED)
    assert rejected.repeats(decision("reject", id="d1"))
    assert not rejected.repeats(decision("reject", id="d2"))
    with pytest.raises(AlreadyDecided, match="already rejected"):
        rejected.decide(decision("accept", id="d2"), now=ASKED)


def test_every_needed_role_is_asked_for_and_the_missing_one_is_named() -> None:
    approval = asked("support", "boss")
    with pytest.raises(NotAllowed, match="needs the role boss; rita has support"):
        approval.decide(decision(roles=("support",)), now=ASKED)
    with pytest.raises(NotAllowed, match="support and boss; rita has none"):
        approval.decide(decision(), now=ASKED)
    assert approval.decide(decision(roles=("boss", "other", "support")), now=ASKED)


def test_a_decision_about_other_arguments_is_refused() -> None:
    with pytest.raises(DigestMismatch):
        asked().decide(decision(digest=args_digest(EDITED)), now=ASKED)
    with pytest.raises(DigestMismatch, match="quotes none"):
        asked().decide(decision(digest=""), now=ASKED)


@pytest.mark.parametrize(
    "incomplete",
    [
        decision("reject", text=" "),
        decision("respond", text=""),
        decision("edit", actions=()),
        decision("accept", actions=EDITED),
        decision("reject", actions=EDITED),
    ],
    ids=["reject", "respond", "edit", "accept", "reject-with-actions"],
)
def test_a_decision_carries_exactly_what_its_kind_needs(incomplete: Decision) -> None:
    with pytest.raises(InvalidRequest):
        asked().decide(incomplete, now=ASKED)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@given(arguments=st.dictionaries(st.sampled_from("abc"), values), other=values)
def test_the_digest_follows_the_arguments_and_not_their_order(
    arguments: dict[str, object], other: object
) -> None:
    def digest(given: dict[str, object]) -> str:
        return args_digest((ProposedAction.model_validate({"name": "x", "arguments": given}),))

    assert digest(dict(reversed(arguments.items()))) == digest(arguments)
    assert digest({**arguments, "z": other}) != digest(arguments)


def test_the_digest_follows_names_and_order_of_the_actions() -> None:
    one, two = ProposedAction(name="one"), ProposedAction(name="two")
    assert len({args_digest(a) for a in [(one,), (two,), (one, two), (two, one), (one, one)]}) == 5
