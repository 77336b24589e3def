"""What a policy means where it says nothing, and the times that it may not give."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.domain.errors import PolicyError
from holdfast.domain.policy import ApprovalRule, Policy, PolicyInput, load_policy

HEAD = "name: shop\nversion: 1\n"
SUM = "{amount: args.amount, actions: [pay], within: 30d}"


def asking(options: str) -> ApprovalRule:
    """The approval that a policy asks for with these options."""
    rules = f"actions: {{pay: {{approve: {{roles: [boss], {options}}}}}}}\n"
    rule = load_policy(HEAD + rules, source="shop.yaml").actions["pay"][0].approve
    assert rule is not None
    return rule


def test_one_person_decides_within_three_days_where_nothing_else_is_said() -> None:
    rule = asking("remind_after: null")
    assert (rule.quorum, rule.four_eyes, rule.other_team) == (1, False, False)
    assert (rule.expire_after, rule.on_expiry) == (timedelta(hours=72), "deny")
    assert (rule.claim_for, rule.working_time) == (timedelta(minutes=15), False)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("expire_after: 2h, remind_after: 2h", "remind_after has to be before"),
        ("expire_after: 2h, remind_after: 3h", "remind_after has to be before"),
        (
            "escalate: [{after: 1h, roles: [a]}, {after: 1h, roles: [b]}]",
            "later than the one before",
        ),
        (
            "escalate: [{after: 2h, roles: [a]}, {after: 1h, roles: [b]}]",
            "later than the one before",
        ),
        ("expire_after: 2h, escalate: [{after: 2h, roles: [a]}]", "before expire_after"),
        ("expire_after: 2h, escalate: [{after: 3h, roles: [a]}]", "before expire_after"),
        ("quorum: 0", "quorum"),
        ("quorum: 21", "quorum"),
        ("expire_after: 3651d", "expire_after"),
        ("expire_after: soon", "'soon' is not a duration"),
        ("escalate: [{after: 1h, roles: []}]", "roles"),
    ],
)
def test_what_could_never_happen_is_refused(options: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        asking(options)


@pytest.mark.parametrize(
    "options",
    [
        "expire_after: 2h, remind_after: 119m, quorum: 20",
        "expire_after: 2h, escalate: [{after: 1h, roles: [a]}, {after: 119m, roles: [b]}]",
        "expire_after: 3650d",
    ],
)
def test_what_can_just_happen_is_taken(options: str) -> None:
    assert asking(options).roles == ("boss",)


@pytest.mark.parametrize("condition", ["windows.month > 5.0", "windows['month'] > 5.0"])
def test_a_condition_names_windows_that_are_there(condition: str) -> None:
    def loaded(window: str) -> Policy:
        rules = f'actions: {{pay: [{{when: "{condition}", deny: true}}, allow]}}\n'
        return load_policy(
            f"{HEAD}windows: {{{window}: {SUM}, unused: {SUM}}}\n{rules}", source="shop.yaml"
        )

    assert loaded("month").windows_of("pay").keys() == {"month"}
    with pytest.raises(PolicyError, match="not there: month"):
        loaded("year")


def test_an_explanation_has_every_rule_that_was_tried_and_what_it_gave() -> None:
    rules = (
        "actions:\n  pay:\n"
        '    - {when: "args.missing > 1", allow: true}\n'
        '    - {when: "args.amount > 9", deny: true}\n'
        '    - {when: "args.amount > 1", allow: true}\n'
        "    - deny\n"
    )
    loaded = load_policy(f"{HEAD}default: allow\n{rules}", source="shop.yaml")
    tried, said = loaded.explain("pay", PolicyInput(args={"amount": 5, "missing": 2}))
    assert [(one.rule, one.matched, one.error) for one in tried] == [("pay[0]", True, None)]
    assert said.kind == "allow"
    tried, said = loaded.explain("pay", PolicyInput(args={"amount": 5}))
    assert tried[0].rule == "pay[0]"
    assert not tried[0].matched
    assert "missing" in str(tried[0].error)
    assert said.approve is not None
    assert said.approve.roles == ("support",)


def test_rules_are_tried_in_order_until_one_matches() -> None:
    rules = 'actions: {pay: [{when: "args.amount > 9", deny: true}, allow, deny]}\n'
    loaded = load_policy(HEAD + rules, source="shop.yaml")
    tried, said = loaded.explain("pay", PolicyInput(args={"amount": 5}))
    assert [(one.rule, one.when, one.matched) for one in tried] == [
        ("pay[0]", "args.amount > 9", False),
        ("pay[1]", None, True),
    ]
    assert (said.kind, said.rule) == ("allow", "pay[1]")


def test_time_is_the_clocks_where_a_rule_does_not_say_working_time() -> None:
    text = (
        f"{HEAD}working_time: {{zone: Europe/Berlin, hours: {{mon-fri: '09:00-17:00'}}}}\n"
        "actions: {pay: {approve: {roles: [boss], expire_after: 16h}}}\n"
    )
    loaded = load_policy(text, source="shop.yaml")
    rule = loaded.actions["pay"][0].approve
    assert rule is not None
    friday = datetime(2026, 11, 27, 15, tzinfo=UTC)
    assert loaded.schedule(rule, asked_at=friday, requirement=0)[1] == friday + timedelta(hours=16)
