"""What the shop hands to the platform: policy, articles, migrations."""

from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.domain.policy import PolicyInput, load_policy
from holdfast_shop import package
from holdfast_shop.reads import READS

assert package.policy
assert package.articles
assert package.migrations
POLICY = load_policy(package.policy.read_text(encoding="utf-8"), source="policy.yaml")
ARTICLES = sorted(package.articles.glob("*.md"))
MIGRATIONS = sorted(package.migrations.glob("*.py"))


def test_the_policy_speaks_of_every_action_and_of_no_other() -> None:
    assert set(POLICY.actions) == {action.name for action in package.actions}


@pytest.mark.parametrize(
    ("action", "facts", "kind", "role"),
    [
        ("cancel_pending_order", {"refund_amount": 100.0, "paid_amount": 100.0}, "allow", None),
        (
            "cancel_pending_order",
            {"refund_amount": 100.01, "paid_amount": 100.01},
            "approve",
            "refunds",
        ),
        ("cancel_pending_order", {"refund_amount": 90.0, "paid_amount": 30.0}, "deny", None),
        ("cancel_pending_order", {"refund_amount": 2000.0, "paid_amount": 30.0}, "deny", None),
        ("modify_pending_order_items", {"price_difference": -100.0}, "allow", None),
        ("modify_pending_order_items", {"price_difference": -100.01}, "approve", "refunds"),
        ("exchange_delivered_order_items", {"price_difference": 500.0}, "allow", None),
        ("return_delivered_order_items", {"refund_amount": 5.0}, "approve", "returns"),
        ("modify_pending_order_address", {}, "allow", None),
        ("modify_pending_order_payment", {}, "allow", None),
        ("modify_user_address", {}, "allow", None),
        ("something_new", {}, "approve", "support"),
    ],
)
def test_the_policy_asks_people_about_returns_and_large_refunds(
    action: str, facts: dict[str, float], kind: str, role: str | None
) -> None:
    verdict = POLICY.verdict(action, PolicyInput(facts={**facts}))
    assert (verdict.kind, verdict.approve and verdict.approve.roles) == (kind, role and (role,))


@pytest.mark.parametrize(
    ("action", "facts", "quorum"),
    [
        ("cancel_pending_order", {"refund_amount": 1000.0, "paid_amount": 1000.0}, 1),
        ("cancel_pending_order", {"refund_amount": 1000.01, "paid_amount": 1000.01}, 2),
        ("modify_pending_order_items", {"price_difference": -1000.0}, 1),
        ("modify_pending_order_items", {"price_difference": -1000.01}, 2),
        ("exchange_delivered_order_items", {"price_difference": -1000.0}, 1),
        ("exchange_delivered_order_items", {"price_difference": -1000.01}, 2),
    ],
)
def test_very_large_refunds_need_two_people_and_go_to_the_lead_after_a_day(
    action: str, facts: dict[str, float], quorum: int
) -> None:
    rule = POLICY.verdict(action, PolicyInput(facts={**facts})).approve
    assert rule is not None
    escalations = [(step.after, step.roles) for step in rule.escalate]
    two = quorum == 2
    assert (rule.roles, rule.quorum, rule.four_eyes) == (("refunds",), quorum, two)
    assert rule.remind_after == (timedelta(hours=4) if two else None)
    assert escalations == ([(timedelta(hours=24), ("refunds-lead",))] if two else [])
    assert rule.expire_after == timedelta(hours=48)


@pytest.mark.parametrize("article", ARTICLES, ids=lambda path: path.stem)
def test_an_article_has_one_title_and_sections(article: Path) -> None:
    lines = article.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert sum(line.startswith("# ") for line in lines) == 1
    assert sum(line.startswith("## ") for line in lines) >= 2


def test_hints_name_only_tools_that_exist() -> None:
    tools = {read.name for read in READS} | {action.name for action in package.actions}
    assert package.hints.tools.keys() <= tools


def test_there_are_articles_and_migrations() -> None:
    assert len(ARTICLES) >= 10
    assert MIGRATIONS
