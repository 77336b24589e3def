"""The commands of those who write policies."""

import json
from pathlib import Path

import pytest

from tests.edges.terminal.command import starter

POLICY = """
name: shop
version: 3
windows: {refunds: {amount: facts.refund, actions: [pay], within: 30d}}
actions:
  pay:
    - {when: facts.refund + windows.refunds > 1000.0, deny: true, reason: Too much.}
    - when: facts.refund > 100.0
      approve: {roles: [refunds], quorum: 2, four_eyes: true, remind_after: 4h, expire_after: 48h}
    - allow
"""
CASES = """
policy: shop.yaml
cases:
  - {name: small, action: pay, facts: {refund: 5.0}, expect: {kind: allow, rule: "pay[2]"}}
  - name: large
    action: pay
    facts: {refund: 500.0}
    expect: {kind: approve, roles: [refunds], quorum: 2, four_eyes: true}
  - name: too much over the month
    action: pay
    facts: {refund: 500.0}
    windows: {refunds: 600.0}
    expect: {kind: deny, reason: Too much.}
  - {name: wrong, action: pay, facts: {refund: 500.0}, expect: {kind: allow}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(POLICY)
    return path


def break_twice(policy: Path) -> None:
    policy.write_text(POLICY.replace("quorum: 2", "quorum: 0").replace("[refunds]", "[]"))


async def test_check_says_what_a_policy_says(policy: Path) -> None:
    ended = await starter({}, "policy", "check", str(policy))
    assert (ended.code, ended.err) == (0, "")
    assert "policy: shop 3" in ended.out
    assert "pay[1]: when facts.refund > 100.0: approve by 2 of refunds (four eyes)" in ended.out
    assert "default: approve by 1 of support" in ended.out
    ended = await starter({}, "policy", "check", str(policy), "--json")
    assert ended.document["actions"]["pay"][1]["approve"]["quorum"] == 2


async def test_check_names_every_mistake_with_its_line(policy: Path) -> None:
    break_twice(policy)
    ended = await starter({}, "policy", "check", str(policy))
    assert ended.code == 2
    told = json.loads(ended.err)
    assert told["error"] == "PolicyError"
    assert [line.partition(": ")[0] for line in told["message"].splitlines()] == [
        f"{policy}:9",
        f"{policy}:9",
    ]


async def test_explain_says_which_rule_decides_and_why(policy: Path) -> None:
    arguments = ("policy", "explain", "pay", "--policy", str(policy))
    ended = await starter({}, *arguments, "--facts", '{"refund": 500.0}')
    assert (ended.code, ended.err) == (0, "")
    assert "pay[0]: facts.refund + windows.refunds > 1000.0: false" in ended.out
    assert "verdict: approve by 2 of refunds (four eyes) (by pay[1])" in ended.out
    assert "remind: " in ended.out
    assert "expires, then deny: " in ended.out
    spent = ("--facts", '{"refund": 500.0}', "--windows", '{"refunds": 600.0}', "--json")
    told = (await starter({}, *arguments, *spent)).document
    assert (told["verdict"]["kind"], told["verdict"]["reason"]) == ("deny", "Too much.")
    unknown = await starter({}, *arguments)
    assert "could not be told" in unknown.out


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--windows", '{"refunds": "many"}', "windows.refunds: "),
        ("--conversation", '{"turns": "many"}', "--conversation: turns: "),
        ("--conversation", '{"tunrs": 1}', "--conversation: tunrs: "),
    ],
)
async def test_explain_says_what_does_not_fit_in_our_words(
    policy: Path, option: str, value: str, told: str
) -> None:
    ended = await starter({}, "policy", "explain", "pay", "--policy", str(policy), option, value)
    assert ended.code == 2
    assert told in ended.err
    assert "pydantic" not in ended.err


async def test_explain_knows_the_policy_of_the_tenants_packages(tmp_path: Path) -> None:
    environment = {"HOLDFAST_PACKAGES": '["tests.counter:package"]', "PYTHONPATH": "."}
    arguments = ("policy", "explain", "add", "--arguments", '{"counter": "c", "amount": 950}')
    ended = await starter(environment, *arguments, "--facts", '{"amount": 950}')
    assert "verdict: deny (by add[0])" in ended.out
    assert (await starter(environment, "policy", "explain", "fly")).code == 3
    wrong = await starter(environment, "policy", "explain", "add", "--arguments", "{}")
    assert wrong.code == 2
    assert "--arguments do not fit add: counter: " in wrong.err
    assert "pydantic" not in wrong.err


async def test_cases_hold_or_are_told_with_what_is_wrong(policy: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES)
    ended = await starter({}, "policy", "test", str(cases))
    assert ended.code == 3
    assert "large: as expected" in ended.out
    assert "wrong: kind is 'approve' instead of 'allow'" in ended.out
    assert json.loads(ended.err)["error"] == "PolicyCasesFailed"
    cases.write_text(CASES[: CASES.index("  - {name: wrong")])
    ended = await starter({}, "policy", "test", str(cases), "--json")
    assert ended.code == 0
    assert [one["problems"] for one in ended.document["cases"]] == [[], [], []]
    cases.write_text("policy: shop.yaml\ncases: []")
    assert (await starter({}, "policy", "test", str(cases))).code == 2


RETAIL = """
name: shop
version: 1
windows:
  refunds: {amount: facts.refund_amout, actions: [cancel_pending_order], within: 30d}
  orders: {amount: args.order_id, actions: [cancel_pending_order], within: 30d}
actions:
  cancel_pending_order:
    - {when: facts.refund_amout > 1000.0, deny: true}
    - {when: args.reason2 == 'x', deny: true}
    - {when: customer.tier == 'gold' && customer.id != '', allow: true}
    - {when: args.order_id + 1 > 2, deny: true}
    - {when: conversation.mood == 'bad', deny: true}
    - when: facts.refund_amount > facts.paid_amount && args.reason in ['a', 'b']
      deny: true
"""


@pytest.fixture
def retail(policy: Path) -> Path:
    policy.write_text(RETAIL)
    return policy


async def test_check_compares_names_with_those_of_the_packages(retail: Path) -> None:
    policy = retail
    environment = {"HOLDFAST_PACKAGES": '["holdfast_shop:package"]'}
    ended = await starter(environment, "policy", "check", str(policy))
    assert ended.code == 2
    told = json.loads(ended.err)
    assert told["error"] == "PolicyError"
    expected = [
        (9, "facts has no 'refund_amout'; is refund_amount meant?"),
        (10, "args has no 'reason2'; is reason meant?"),
        (11, "customer has no 'tier'; it has id"),
        (12, "args.order_id is a text in JSON"),
        (13, "conversation has no 'mood'"),
        (5, "facts has no 'refund_amout'"),
        (6, "args.order_id is a text in JSON (as decimals are), which counts nothing"),
    ]
    lines = told["message"].splitlines()
    assert len(lines) == len(expected)
    for line, (number, text) in zip(lines, expected, strict=True):
        assert line.startswith(f"{policy}:{number}: ")
        assert text in line


def rewrite(policy: Path, text: str) -> None:
    policy.write_text(text)


async def test_check_finds_misspelt_actions_wherever_they_are_named(policy: Path) -> None:
    rewrite(
        policy,
        "name: shop\nversion: 1\nactions:\n  cancel_pending_ordr: deny\nwindows:\n"
        "  refunds: {amount: facts.refund_amount, actions: [cancel_pending_oder], within: 30d}\n"
        "repeats:\n  cancel_pending_orders: deny\n",
    )
    ended = await starter(
        {"HOLDFAST_PACKAGES": '["holdfast_shop:package"]'}, "policy", "check", str(policy)
    )
    assert ended.code == 2
    meant = "is cancel_pending_order meant?"
    assert json.loads(ended.err)["message"].splitlines() == [
        f"{policy}:4: no package brings 'cancel_pending_ordr'; {meant}",
        f"{policy}:6: no package brings 'cancel_pending_oder'; {meant}",
        f"{policy}:8: no package brings 'cancel_pending_orders'; {meant}",
    ]


async def test_an_action_without_facts_is_known_to_have_none(policy: Path) -> None:
    rewrite(
        policy,
        "name: counter\nversion: 1\nactions:\n  tally:\n"
        "    - {when: facts.amount > 1.0, deny: true}\n    - allow\n",
    )
    environment = {"HOLDFAST_PACKAGES": '["tests.counter:package"]', "PYTHONPATH": "."}
    ended = await starter(environment, "policy", "check", str(policy))
    assert ended.code == 2
    assert f"{policy}:5: facts has no 'amount'" in json.loads(ended.err)["message"]


async def test_check_says_which_actions_no_package_brings(policy: Path) -> None:
    ended = await starter(
        {"HOLDFAST_PACKAGES": '["holdfast_shop:package"]'}, "policy", "check", str(policy)
    )
    assert ended.code == 0
    assert "not compared: no package brings pay" in ended.out
