"""What policy files say, and what is wrong with those that say nothing."""

from datetime import timedelta
from typing import Any

import pytest

from holdfast.domain.errors import PolicyError
from holdfast.domain.policy import (
    ApprovalRule,
    Policy,
    PolicyInput,
    RepeatRule,
    Verdict,
    load_policy,
)

HEAD = "name: shop\nversion: 1\n"


def policy(rules: str = "", *, default: str | None = None) -> Policy:
    """A policy with these rules for the action `pay`."""
    text = HEAD + (f"default: {default}\n" if default else "")
    return load_policy(text + (f"actions:\n  pay: {rules}\n" if rules else ""), source="shop.yaml")


def verdict(policy: Policy, action: str = "pay", **given: Any) -> Verdict:
    return policy.verdict(
        action,
        PolicyInput(
            args=given.get("args", {}),
            facts=given.get("facts", {}),
            customer={"id": "ann", "tier": "gold"},
            conversation={
                "id": "c1",
                "priority": "high",
                "language": "en",
                "age": timedelta(hours=30),
                "turns": 3,
            },
            windows=given.get("windows", {}),
            tenant="acme",
        ),
    )


def _roles(said: Verdict) -> tuple[str, ...]:
    assert said.approve is not None
    return said.approve.roles


def test_a_word_is_a_rule() -> None:
    assert verdict(policy("allow")) == Verdict(kind="allow", rule="pay[0]")
    assert verdict(policy("deny")) == Verdict(kind="deny", rule="pay[0]")
    assert verdict(policy("{deny: true, reason: Never.}")) == Verdict(
        kind="deny", rule="pay[0]", reason="Never."
    )


def test_an_approval_names_who_and_for_how_long() -> None:
    rules = "{approve: {roles: [boss], expire_after: 48h}, reason: Much.}"
    assert verdict(policy(rules)) == Verdict(
        kind="approve",
        rule="pay[0]",
        reason="Much.",
        approve=ApprovalRule(roles=("boss",), expire_after=timedelta(hours=48)),
    )


def test_the_first_rule_that_matches_decides() -> None:
    tiers = policy(
        """
    - {when: "facts.amount > 100.0", deny: true}
    - {when: "facts.amount > 10.0", approve: {roles: [boss], expire_after: 1d}}
    - allow
    - deny"""
    )
    kinds = {amount: verdict(tiers, facts={"amount": amount}).kind for amount in (5, 10.5, 11, 101)}
    assert kinds == {5: "allow", 10.5: "approve", 11: "approve", 101: "deny"}


def test_where_no_rule_matches_the_default_decides() -> None:
    never = "[{when: 'false', allow: true}]"
    assert verdict(policy(never, default="deny")).kind == "deny"
    assert verdict(policy(never, default="allow"), "another").kind == "allow"


def test_without_a_default_support_is_asked() -> None:
    asked = Verdict(kind="approve", rule="default", approve=ApprovalRule(roles=("support",)))
    assert verdict(policy()) == asked
    assert verdict(policy("[{when: 'false', allow: true}]")) == asked


@pytest.mark.parametrize(
    "condition",
    [
        "args.order == '1' && facts.amount == 3",
        "customer.id == 'ann' && customer.tier == 'gold' && tenant == 'acme'",
        "conversation.age > duration('24h') && conversation.priority == 'high'",
        "conversation.turns == 3 && conversation.language == 'en'",
        "facts.amount > 2.5 && facts.amount < 4",
        "'x' in args.tags && size(args.tags) == 1",
        "!has(args.note) || args.note == ''",
    ],
)
def test_conditions_see_arguments_facts_customer_and_tenant(condition: str) -> None:
    rules = policy(f'[{{when: "{condition}", allow: true}}]', default="deny")
    given: dict[str, Any] = {"args": {"order": "1", "tags": ["x"]}, "facts": {"amount": 3}}
    assert verdict(rules, **given).kind == "allow"


FAILING = ["args.missing > 1", "1 / 0 == 1", "args.order > 1", "args.order", "'a'.b"]


@pytest.mark.parametrize("condition", FAILING)
def test_a_condition_that_fails_asks_for_an_approval_at_least(condition: str) -> None:
    rules = policy(f'[{{when: "{condition}", allow: true}}, allow]')
    said = verdict(rules, args={"order": "1"})
    assert (said.kind, said.approve) == ("approve", ApprovalRule(roles=("support",)))
    assert said.reason is not None
    assert condition in said.reason


@pytest.mark.parametrize("condition", FAILING)
def test_a_denial_whose_condition_fails_is_a_denial(condition: str) -> None:
    rules = policy(f'[{{when: "{condition}", deny: true}}, allow]')
    said = verdict(rules, args={"order": "1"})
    assert (said.kind, said.approve) == ("deny", None)
    assert said.reason is not None
    assert condition in said.reason


def test_a_condition_that_fails_asks_whom_its_rule_or_else_the_default_asks() -> None:
    default = "{approve: {roles: [duty], expire_after: 1h}}"
    own = policy("[{when: args.x, approve: {roles: [boss], expire_after: 2h}}]", default=default)
    assert _roles(verdict(own)) == ("boss",)
    other = policy("[{when: args.x, allow: true}]", default=default)
    assert _roles(verdict(other)) == ("duty",)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("30m", 1800), ("48h", 172_800), ("7d", 604_800), ("' 1 h '", 3600)],
)
def test_durations_are_written_with_a_unit(written: str, seconds: int) -> None:
    said = verdict(policy(f"{{approve: {{roles: [boss], expire_after: {written}}}}}"))
    assert said.approve is not None
    assert said.approve.expire_after == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["0s", "-1h", "48", "1w", "1.5h", "''", "true", "h", "99999d", "99999999999999999d"]
)
def test_what_is_no_duration_is_refused(written: str) -> None:
    with pytest.raises(PolicyError, match=r"actions\.pay\[0\]\.approve\.expire_after"):
        policy(f"{{approve: {{roles: [boss], expire_after: {written}}}}}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("actions: [", "acme.yaml:1", id="not yaml"),
        pytest.param("name: \x00", "not YAML", id="not even text"),
        pytest.param(
            "name: a\nversion: 2024-13-45", "acme.yaml:2.*timestamp", id="a date that is none"
        ),
        pytest.param("name: a\nname: b", "acme.yaml:2", id="a key twice"),
        pytest.param(
            HEAD + "actions:\n  pay: allow\n  pay: deny", "'pay' twice", id="an action twice"
        ),
        pytest.param("", "the file", id="empty"),
        pytest.param("- allow", "the file", id="a list"),
        pytest.param("version: 1", "name", id="without name"),
        pytest.param("name: shop", "version", id="without version"),
        pytest.param("name: shop\nversion: 0", "version", id="version zero"),
        pytest.param(HEAD + "action: {}", "action", id="a misspelt key"),
        pytest.param(HEAD + "actions: {pay: maybe}", r"actions\.pay\[0\]", id="an unknown word"),
        pytest.param(HEAD + "actions: {pay: }", r"actions\.pay", id="no rule"),
        pytest.param(HEAD + "actions: {pay: []}", r"actions\.pay", id="no rules"),
        pytest.param(HEAD + "actions: {1: allow}", r"actions\[1\]", id="a number for a name"),
        pytest.param(
            HEAD + "actions: {pay: {allow: true, deny: true}}", "allow and deny", id="two effects"
        ),
        pytest.param(HEAD + "actions: {pay: {when: 'true'}}", "this one none", id="no effect"),
        pytest.param(
            HEAD + "actions: {pay: {allow: false}}", r"pay\[0\]\.allow", id="allow: false"
        ),
        pytest.param(
            HEAD + "actions: {pay: [allow, {when: 'args. >', deny: true}]}",
            r"actions\.pay\[1\].*args\. >",
            id="a condition that cannot be read",
        ),
        pytest.param(
            HEAD + "actions: {pay: {when: '', deny: true}}", r"pay\[0\]", id="an empty condition"
        ),
        pytest.param(
            HEAD + "actions: {pay: {approve: {roles: [''], expire_after: 1h}}}",
            r"approve\.roles",
            id="role",
        ),
        pytest.param(
            HEAD + "actions: {pay: {approve: {roles: [a], expire_after: 1h, votes: 2}}}",
            r"approve\.votes",
            id="an unknown option",
        ),
        pytest.param(
            HEAD + "default: {when: 'false', allow: true}", "default", id="a conditional default"
        ),
    ],
)
def test_a_wrong_file_is_an_error_that_names_file_and_place(text: str, place: str) -> None:
    with pytest.raises(PolicyError, match=place) as caught:
        load_policy(text, source="acme.yaml")
    assert all(line.startswith("acme.yaml:") for line in str(caught.value).splitlines())


def test_what_may_be_repeated_is_said_for_each_action() -> None:
    loaded = load_policy(
        HEAD + "repeats: {pay: {say: deny, within: 30d}, move: allow}\n", source="shop.yaml"
    )
    assert loaded.repeat("pay") == RepeatRule(say="deny", within=timedelta(days=30))
    assert loaded.repeat("move").say == "allow"
    assert loaded.repeat("other") == RepeatRule(say="ask", within=timedelta(hours=24))


@pytest.mark.parametrize(
    "repeats", ["{pay: perhaps}", "{pay: {say: ask, within: soon}}", "{pay: {ask: true}}"]
)
def test_a_rule_of_repetition_that_cannot_be_used_is_refused(repeats: str) -> None:
    with pytest.raises(PolicyError, match=r"shop.yaml:3: repeats"):
        load_policy(HEAD + f"repeats: {repeats}\n", source="shop.yaml")
