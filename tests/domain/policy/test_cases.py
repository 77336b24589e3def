"""Cases of a policy: what is expected is compared with what it says."""

from typing import Any

import pytest

from holdfast.domain.policy import Policy, load_policy
from holdfast.domain.policy.cases import Case

POLICY = """
name: shop
version: 1
windows: {refunds: {amount: facts.refund, actions: [pay], within: 30d}}
actions:
  pay:
    - {when: facts.refund + windows.refunds > 1000.0, deny: true, reason: Too much.}
    - {when: facts.refund > 100.0, approve: {roles: [refunds], quorum: 2, four_eyes: true}}
    - allow
  look: {when: "conversation.turns == 1 && !has(conversation.age)", allow: true}
  wait: {when: "conversation.age > duration('1h')", allow: true}
  know: {when: "customer.id == 'customer' && tenant == 'demo'", allow: true}
  greet: {when: "customer.id == 'ann' && customer.tier == 'gold'", allow: true}
"""


@pytest.fixture
def policy() -> Policy:
    return load_policy(POLICY, source="shop.yaml")


def problems(policy: Policy, action: str, expect: dict[str, Any], **fields: Any) -> tuple[str, ...]:
    case = Case.model_validate({"name": "a case", "action": action, "expect": expect, **fields})
    return case.problems(policy)


LARGE = {"kind": "approve", "rule": "pay[1]", "roles": ["refunds"], "quorum": 2, "four_eyes": True}


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({}, None),
        ({"kind": "allow"}, "kind is 'approve' instead of 'allow'"),
        ({"rule": "pay[0]"}, "rule is 'pay[1]' instead of 'pay[0]'"),
        ({"reason": "Large."}, "reason is None instead of 'Large.'"),
        ({"roles": ["boss"]}, "roles is ('refunds',) instead of ('boss',)"),
        ({"quorum": 3}, "quorum is 2 instead of 3"),
        ({"four_eyes": False}, "four_eyes is True instead of False"),
    ],
)
def test_what_is_not_as_expected_is_told(
    policy: Policy, wrong: dict[str, Any], problem: str | None
) -> None:
    found = problems(policy, "pay", {**LARGE, **wrong}, facts={"refund": 500.0})
    assert found == (() if problem is None else (problem,))


def test_what_is_not_expected_may_be_anything(policy: Policy) -> None:
    assert problems(policy, "pay", {"kind": "approve"}, facts={"refund": 500.0}) == ()
    assert problems(policy, "pay", {"kind": "allow", "quorum": 1}, facts={"refund": 5.0}) == (
        "quorum is None instead of 1",
    )


def test_sums_are_nothing_unless_they_are_given(policy: Policy) -> None:
    just = {"facts": {"refund": 1000.0}}
    assert problems(policy, "pay", {"kind": "approve"}, **just) == ()
    more = {**just, "windows": {"refunds": "0.01"}}
    assert problems(policy, "pay", {"kind": "deny", "reason": "Too much."}, **more) == ()


def test_a_case_has_a_first_turn_of_some_customer_unless_it_says_otherwise(policy: Policy) -> None:
    assert problems(policy, "look", {"kind": "allow", "rule": "look[0]"}) == ()
    assert problems(policy, "know", {"kind": "allow", "rule": "know[0]"}) == ()
    waited = {"conversation": {"age": "2h"}}
    assert problems(policy, "wait", {"kind": "allow", "rule": "wait[0]"}, **waited) == ()
    known = {"customer": {"id": "ann", "tier": "gold"}}
    assert problems(policy, "greet", {"kind": "allow", "rule": "greet[0]"}, **known) == ()
