"""A review as it travels to the workflow: the JSON that is signed, and that other languages write."""

from typing import Any, get_args

import pytest
from pydantic import JsonValue

from holdfast.client.decision import decision_on
from holdfast.domain.decision import DecisionKind
from holdfast.domain.errors import InvalidRequest
from holdfast.domain.review import (
    Accept,
    Claim,
    Comment,
    Delegate,
    Edit,
    Reject,
    Release,
    Respond,
    Review,
    Reviewer,
)
from tests.edges.dialects.test_dialects import asked

MORE: dict[str, JsonValue] = {"order": "W2", "amount": 5}


@pytest.mark.parametrize(
    ("review", "said"),
    [
        (Accept(), {"kind": "accept"}),
        (Edit([MORE]), {"kind": "edit", "actions": [{"name": "refund", "arguments": MORE}]}),
        (Reject("No."), {"kind": "reject", "text": "No."}),
        (Respond("Ask May."), {"kind": "respond", "text": "Ask May."}),
        (Delegate("deb"), {"kind": "delegate", "to": "deb"}),
        (Claim(), {"kind": "claim"}),
        (Release(), {"kind": "release"}),
        (Comment("Hm."), {"kind": "comment", "text": "Hm."}),
    ],
    ids=lambda one: one.kind if isinstance(one, Review) else "",
)
def test_a_review_says_what_it_needs_and_nothing_else(review: Review, said: dict[str, Any]) -> None:
    decision = decision_on(
        asked(),
        review,
        by=Reviewer("ann", "red", ["boss"]),
        seen=None,
        decision_id="d1",
        statement=None,
    )
    assert decision.model_dump(mode="json") == {
        "id": "d1",
        "approval": "ap_1",
        "reviewer": "ann",
        "team": "red",
        "roles": ["boss"],
        "digest": "d" * 64,
        "text": "",
        "actions": [],
        "to": None,
        "statement": "",
        **said,
    }


def test_each_kind_of_decision_has_one_type() -> None:
    kinds = [one.kind for one in get_args(Review)]
    assert sorted(kinds) == sorted(get_args(DecisionKind))


@pytest.mark.parametrize(
    ("review", "by", "named"),
    [
        (Edit([MORE, MORE]), Reviewer("ann"), "arguments for 2"),
        (Reject("\0"), Reviewer("ann"), "NUL"),
        (Delegate("a/b"), Reviewer("ann"), "to"),
        (Accept(), Reviewer("a/b"), "reviewer"),
        (Accept(), Reviewer("ann", team="a/b"), "team"),
        (Accept(), Reviewer("ann", roles=["r" * 65]), "roles"),
    ],
)
def test_what_no_decision_can_say_is_refused_by_name(
    review: Review, by: Reviewer, named: str
) -> None:
    with pytest.raises(InvalidRequest, match=named):
        decision_on(asked(), review, by=by, seen=None, decision_id=None, statement=None)
