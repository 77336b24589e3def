"""docs/approvals.md: its policies say what the page says of them, its programs and commands work."""

import importlib.util
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import jwt
import pytest
from pydantic import SecretStr
from standardwebhooks import WebhookVerificationError

from holdfast.client.approvals import Approvals
from holdfast.domain.decision import Decision
from holdfast.domain.errors import ERRORS_BY_CODE, InvalidStatement, Refused
from holdfast.domain.identity import ConversationKey
from holdfast.domain.outcomes import ProposedAction
from holdfast.domain.policy import Policy, PolicyInput, Verdict, load_policy
from holdfast.domain.policy.name_check import KnownAction, check_names
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.notifications.webhook import signed_headers
from holdfast.packages.registry import load_packages
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from holdfast.security.statements import StatementVerifier
from holdfast.security.verification_keys import VerificationKeys
from holdfast.store.audit import append_audit, read_audit, verify_audit
from holdfast.store.pool import open_pool
from tests.docs.blocks import ROOT, blocks, write_files
from tests.docs.shell import assert_lines, environment_of, run

PAGE = ROOT / "docs" / "approvals.md"
CANCEL = "cancel_pending_order"
BERLIN = ZoneInfo("Europe/Berlin")


def policy(name: str) -> Policy:
    """One of the page's policies."""
    [text] = [block.text for block in blocks(PAGE, "yaml") if block.title == name]
    return load_policy(text, source=name)


def verdict(name: str, refund: float, **seen: Any) -> Verdict:
    """What a policy of the page says about cancelling an order."""
    facts = {"refund_amount": refund, **seen.pop("facts", {})}
    return policy(name).verdict(CANCEL, PolicyInput(facts=facts, **seen))


def needed(name: str, refund: float) -> tuple[tuple[str, ...], int, bool, bool] | None:
    """Who has to approve; None where nobody has to."""
    rule = verdict(name, refund).approve
    return (rule.roles, rule.quorum, rule.four_eyes, rule.other_team) if rule else None


@pytest.fixture
def programs(tmp_path: Path) -> Callable[[str], ModuleType]:
    """Loads a Python file of the page."""
    write_files(PAGE, tmp_path)

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"approvals_{name}", tmp_path / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_every_policy_of_the_page_is_one_that_a_test_asks() -> None:
    titles = [block.title for block in blocks(PAGE, "yaml")]
    asked = ("conditions", "windows", "people", "time", "repeats")
    assert titles == ["policies/default.yaml", *(f"examples/{name}.yaml" for name in asked)]


def test_the_policies_of_the_page_are_checked_as_it_says() -> None:
    actions = {
        action.name: KnownAction(arguments=action.arguments, facts=action.fact_names)
        for package in load_packages(("holdfast_shop:package",))
        for action in package.actions
    }
    titles = [block.title for block in blocks(PAGE, "yaml") if block.title]
    refused = {
        title: [problem.text for problem in check_names(policy(title), actions, set())]
        for title in titles
    }
    assert [title for title, problems in refused.items() if problems] == [
        "examples/conditions.yaml"
    ]
    assert refused["examples/conditions.yaml"] == ["customer has no 'tier'; it has id"]
    assert not list(check_names(policy("examples/conditions.yaml"), actions, {"tier"}))


def test_the_first_policy_allows_denies_and_asks() -> None:
    def said(refund: float, paid: float) -> tuple[str, tuple[str, ...]]:
        found = verdict("policies/default.yaml", refund, facts={"paid_amount": paid})
        return found.kind, found.approve.roles if found.approve else ()

    assert said(100.0, 100.0) == ("allow", ())
    assert said(100.5, 100.5) == ("approve", ("refunds",))
    assert said(100.0, 50.0) == ("deny", ())
    first = policy("policies/default.yaml")
    assert first.verdict("modify_user_address", PolicyInput()).kind == "allow"
    assert first.verdict("anything_else", PolicyInput()).rule == "default"
    without = Policy(name="none", version=1).default.approve
    assert without is not None
    assert (without.roles, without.expire_after.total_seconds()) == (("support",), 72 * 3600)


def test_conditions_see_what_the_page_says() -> None:
    page = PAGE.read_text().partition("### Conditions")[2].partition("### Sums")[0]
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == list(PolicyInput.model_fields)

    def said(refund: float, reason: str, **seen: Any) -> str:
        conversation = {"priority": "normal", **seen.pop("conversation", {})}
        args = {"reason": reason}
        name = "examples/conditions.yaml"
        return verdict(name, refund, args=args, conversation=conversation, **seen).kind

    assert said(40.5, "no longer needed") == "allow"
    assert said(40, "no longer needed") == "allow"
    assert said(50, "no longer needed") == "deny"
    assert said(40, "for no reason") == "deny"
    assert said(900, "for no reason", customer={"id": "ann", "tier": "gold"}) == "allow"
    urgent = {"priority": "urgent", "age": timedelta(minutes=30)}
    assert said(900, "for no reason", conversation=urgent) == "approve"


def test_whole_numbers_and_others_are_calculated_with_alike_and_texts_are_not() -> None:
    rules = "name: x\nversion: 1\nactions: {add: [{when: args.amount * 1.2 > 60.0, deny: true}]}"
    mixed = load_policy(rules, source="mixed")
    for amount, said in ((150.5, "deny"), (150, "deny"), (150.0, "deny"), (50, "approve")):
        assert mixed.verdict("add", PolicyInput(args={"amount": amount})).kind == said
    assert mixed.verdict("add", PolicyInput(args={"amount": "5.00"})).kind == "deny"
    mild = load_policy(rules.replace("deny: true", "allow: true"), source="mixed")
    assert mild.verdict("add", PolicyInput(args={"amount": 150})).kind == "allow"
    unsure = mild.verdict("add", PolicyInput(args={"amount": "150.00"}))
    assert unsure.approve is not None
    assert unsure.approve.roles == ("support",)
    text = mixed.model_validate(
        {
            "name": "x",
            "version": 1,
            "actions": {"add": [{"when": "double(args.amount) * 2 > 60", "deny": True}, "allow"]},
        }
    )
    assert text.verdict("add", PolicyInput(args={"amount": "5.00"})).kind == "allow"


def test_sums_decide_together_with_the_action_itself() -> None:
    def said(month: float, today: float, refund: float) -> str:
        windows = {"refunds_30d": month, "refunds_today": today}
        return verdict("examples/windows.yaml", refund, windows=windows).kind

    assert said(410.0, 410.0, 90) == "allow"
    assert said(411.0, 411.0, 90) == "approve"
    assert said(0.0, 49_990.0, 11) == "deny"
    windows = policy("examples/windows.yaml").windows
    assert {name: one.per for name, one in windows.items()} == {
        "refunds_30d": "customer",
        "refunds_today": "tenant",
    }


def test_large_refunds_need_more_people() -> None:
    page = "examples/people.yaml"
    assert needed(page, 100.0) is None
    assert needed(page, 1000.0) == (("refunds",), 1, False, False)
    assert needed(page, 1000.5) == (("refunds",), 2, True, False)
    assert needed(page, 5000.5) == (("refunds", "finance"), 2, True, True)


def test_what_may_be_repeated_is_as_the_page_says() -> None:
    shown = policy("examples/repeats.yaml")
    assert shown.repeat("cancel_pending_order").within.days == 7
    assert [shown.repeat(name).say for name in ("cancel_pending_order", "anything_else")] == [
        "ask",
        "ask",
    ]
    assert shown.repeat("return_delivered_order_items").say == "deny"
    assert shown.repeat("modify_user_address").say == "allow"
    assert shown.repeat("anything_else").within.total_seconds() == 24 * 3600


def test_working_time_goes_as_the_page_says() -> None:
    rule = verdict("examples/time.yaml", 1.0).approve
    assert rule is not None
    asked_at = datetime(2026, 12, 24, 17, tzinfo=BERLIN).astimezone(UTC)
    alarms, expires_at = policy("examples/time.yaml").schedule(
        rule, asked_at=asked_at, requirement=0
    )
    shown = [(one.kind, *one.roles, f"{one.at.astimezone(BERLIN):%A %H:%M}") for one in alarms]
    assert shown == [
        ("remind", "Monday 10:00"),
        ("escalate", "team-lead", "Monday 12:00"),
        ("escalate", "head-of-support", "Monday 17:00"),
    ]
    assert f"{expires_at.astimezone(BERLIN):%A %H:%M}" == "Tuesday 17:00"
    assert rule.on_expiry == "person"


def test_the_defaults_of_an_approval_are_those_of_the_page() -> None:
    rule = verdict("policies/default.yaml", 200.0, facts={"paid_amount": 200.0}).approve
    assert rule is not None
    assert (rule.quorum, rule.four_eyes, rule.other_team, rule.working_time) == (1, *[False] * 3)
    assert rule.expire_after.total_seconds() == 72 * 3600
    assert (rule.claim_for.total_seconds(), rule.on_expiry) == (15 * 60, "deny")
    documented = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.M))
    assert documented >= set(type(rule).model_fields)


def test_the_refusals_of_the_page_are_those_of_a_decision() -> None:
    table = PAGE.read_text().partition("### What is refused")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert all(issubclass(ERRORS_BY_CODE[code], Refused) for code in documented)
    raised = (Approvals.decide.__doc__ or "").partition("Raises:")[2]
    assert sorted(documented) == sorted(re.findall(r"\w+", raised))


async def test_what_an_identity_service_signs_as_shown_is_a_genuine_statement(
    programs: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    programs("new_key")
    assert (tmp_path / "signing-key.json").stat().st_mode & 0o077 == 0
    key = jwt.PyJWK.from_json((tmp_path / "signing-key.json").read_text())
    keys = await VerificationKeys.open(str(tmp_path / "reviewer-keys.json"))
    verifier = StatementVerifier(keys)
    edited = ProposedAction(name="add", arguments={"amount": 5, "note": "für Zoë"})
    accepting = Decision(id="d1", approval="ap_1", kind="accept", reviewer="ann", digest="0" * 64)
    for decision in (
        accepting,
        accepting.model_copy(update={"team": "red", "roles": ("refunds", "support")}),
        accepting.model_copy(update={"kind": "reject", "text": "Not twice."}),
        accepting.model_copy(update={"kind": "delegate", "to": "bob"}),
        accepting.model_copy(update={"kind": "edit", "actions": (edited,)}),
    ):
        said = decision.model_dump(mode="json")
        statement = programs("identity").sign(said, tenant="acme", key=key)
        signed = decision.model_copy(update={"statement": statement})
        await verifier.verify(signed, tenant="acme", at=datetime.now(UTC))
        with pytest.raises(InvalidStatement):
            await verifier.verify(signed, tenant="another", at=datetime.now(UTC))


def test_a_receiver_as_shown_takes_what_we_sign_once_and_nothing_else(
    programs: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "whsec_" + "c2VjcmV0" * 5
    monkeypatch.setitem(os.environ, "APPROVALS_SECRET", secret)
    receiver = programs("receiver")
    body = json.dumps({"type": "approval.requested", "data": {"approval": "ap_1"}})
    headers = signed_headers(
        body, delivery="dl_1", secrets=[SecretStr(secret)], at=datetime.now(UTC)
    )
    with pytest.raises(WebhookVerificationError):
        receiver.receive(body.replace("ap_1", "ap_2").encode(), headers)
    assert receiver.receive(body.encode(), headers)["data"] == {"approval": "ap_1"}
    assert receiver.receive(body.encode(), headers) is None


async def test_an_export_can_be_checked_as_shown(
    programs: Callable[[str], ModuleType], stack_settings: Settings, tenant: str
) -> None:
    check = programs("check_export").head
    async with await open_pool(require_database_url(stack_settings)) as pool:
        for amount in (5, 5.0, 5.25, "für Zoë"):
            async with pool.acquire() as connection, connection.transaction():
                await append_audit(
                    connection,
                    ConversationKey(tenant, "c1"),
                    kind="approval_requested",
                    subject="ap_1",
                    data={"amount": amount},
                )
        async with pool.acquire() as connection, connection.transaction():
            report = await verify_audit(connection, tenant)
            lines = [one.model_dump_json() for one in await read_audit(connection, tenant)]
    assert check(lines) == report.head
    assert check([]) == "0:"
    for broken in (
        [*lines[:1], lines[1].replace('"amount":5', '"amount":6'), *lines[2:]],
        [*lines[:1], *lines[2:]],
        lines[1:],
    ):
        with pytest.raises(ValueError, match="breaks at entry"):
            check(broken)


def test_the_search_attributes_of_the_page_exist() -> None:
    assert set(re.findall(r"\bHoldfast(?:Approval)\w+", PAGE.read_text())) <= set(SEARCH_ATTRIBUTES)


@pytest.mark.timeout(300)
async def test_the_commands_of_the_page_work_under_its_first_policy(
    tmp_path: Path, stack_settings: Settings, tenant: str
) -> None:
    write_files(PAGE, tmp_path)
    environment = {
        **environment_of(stack_settings, tenant),
        "HOLDFAST_PACKAGES": '["shop"]',
        "HOLDFAST_POLICY_DIR": "policies",
    }
    text = "Please cancel order #W4821103, I no longer need it"
    send = f'holdfast send mara-1 "{text}" --customer mara_lind_4821 --tenant {tenant}'
    pick = "python -c \"import json, sys; print(json.load(sys.stdin)['approvals'][0])\""
    commands = [
        _for_tenant(line, tenant)
        for block in blocks(PAGE, "bash")
        for line in block.text.splitlines()
    ]
    printed = await run(
        f"holdfast worker --seed {tenant}\nholdfast worker --log-level WARNING &\n"
        f"APPROVAL=$({send} --json | {pick})\n"
        + "\n".join(commands)
        + "\npython check_export.py < audit.jsonl\nkill -9 $!\n",
        tmp_path,
        environment,
    )
    assert_lines(
        [
            "a large one needs two: as expected",
            "  policy    shop 1: The refund is above 100 USD.",
            "  needs     1 of refunds",
            "  decision  comment by tom (She has called us about this one.)",
            "  decision  accept by ada",
        ],
        printed,
    )
    heads = re.findall(r"\b\d+:[0-9a-f]{64}$", printed, re.M)
    assert len(heads) == 2
    async with (
        await open_pool(require_database_url(stack_settings)) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        for head in heads:
            report = await verify_audit(connection, tenant, expected_head=head)
            assert report.problems == ()


def _for_tenant(line: str, tenant: str) -> str:
    line = line.replace(".venv/bin/holdfast", "holdfast")
    if "holdfast policy" in line:
        return line
    return f"{line} --tenant {tenant}"
