"""What `make chaos` counts as forbidden: effects that the shop's rules don't allow at their moment."""

from pathlib import Path

import pytest

from bench.chaos import shopping
from bench.chaos.oracle.shops import judge_tenants
from bench.chaos.oracle.verdict import Verdict
from holdfast.activities.resources import Resources
from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.testing import is_triage
from holdfast.worker.assembly import open_resources
from tests.activities.desk import Desk
from tests.shop.ledger import (
    CHEAP,
    CUSTOMER,
    GIFT,
    ORDERS,
    PAYPAL,
    Call,
    cancel,
    open_shop,
    pay_with,
    swap,
)

SMALL, LARGE = ORDERS


@pytest.fixture
def lawless(stack_settings: Settings, tmp_path: Path, tenant: str) -> Settings:
    """Settings under which this tenant's policy allows everything, whatever the shop's rules are."""
    (tmp_path / f"{tenant}.yaml").write_text("name: lawless\nversion: 1\ndefault: allow\n")
    return stack_settings.model_copy(update={"policy_dir": tmp_path})


async def judged(
    resources: Resources, settings: Settings, tenant: str, *proposals: Call
) -> Verdict:
    """What the oracle says once each of these was proposed and executed."""
    desk = Desk(resources, settings, tenant, CUSTOMER)
    async with resources.pool.acquire() as connection:
        await open_shop(connection, tenant)
    await desk.open("c1")
    for call in proposals:
        assert await desk.execute(await desk.propose("c1", call)) == ["executed"]
    return await judge(resources, tenant)


async def judge(resources: Resources, tenant: str) -> Verdict:
    verdict = Verdict()
    async with resources.pool.acquire() as connection:
        await judge_tenants(connection, [tenant], verdict)
    return verdict


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ([pay_with(SMALL, PAYPAL), cancel(SMALL)], "101.70 goes back, 33.90 was paid"),
        ([cancel(LARGE)], "150.00 without approval"),
        ([swap(LARGE, CHEAP, GIFT)], "much without approval"),
    ],
)
async def test_an_effect_that_the_rules_forbid_is_found(
    lawless: Settings, tenant: str, calls: list[Call], why: str
) -> None:
    async with open_resources(lawless, load_packages(["holdfast_shop:package"])) as resources:
        verdict = await judged(resources, lawless, tenant, *calls)
    assert verdict.count("forbidden") == len(verdict.problems) > 0
    assert any(f"in c1: {why}" in what for _, what in verdict.problems)
    assert verdict.checked["effects judged by the rules of their moment"] == len(calls)


@pytest.mark.parametrize(
    "change",
    [
        "update shop.payment_methods set balance = balance + 1 where tenant = $1 and balance > 0",
        "update shop.orders set status = 'cancelled' where tenant = $1",
        "insert into shop.payments select tenant, order_id, 9, 'refund', amount, payment_method_id"
        " from shop.payments where tenant = $1 and position = 1",
    ],
)
async def test_a_change_that_no_effect_explains_is_found(
    stack_settings: Settings, tenant: str, change: str
) -> None:
    async with open_resources(
        stack_settings, load_packages(["holdfast_shop:package"])
    ) as resources:
        verdict = await judged(resources, stack_settings, tenant, cancel(SMALL))
        assert verdict.problems == []
        await resources.pool.execute(change, tenant)
        verdict = await judge(resources, tenant)
    assert verdict.count("forbidden") == len(verdict.problems) > 0


def test_shoppers_have_several_conversations_about_the_same_orders_and_answers_of_several_calls() -> (
    None
):
    plans = list(shopping.shopper_plans(1, 20))
    tenants = [plan.tenant for plan in plans]
    assert {tenants.count(tenant) for tenant in tenants} == {2, 3, 4}
    said = [message.text for plan in plans for message in plan.messages().values()]
    assert len(set(said)) == len(said)
    errands = [shopping.errand(text) for text in said]
    assert {len(calls) for answers in errands if answers for calls in answers} == {1, 2, 3}


def test_the_model_makes_the_calls_of_an_errand_in_order() -> None:
    calls = [[cancel(SMALL), pay_with(LARGE, PAYPAL)], [cancel(LARGE)]]
    asked = [{"role": "user", "content": "…"}, {"role": "tool", "content": "of an earlier turn"}]
    request = {"messages": [*asked, {"role": "user", "content": "…"}]}
    assert not is_triage(request)
    named = []
    for told in (0, 2, 3):
        messages = [*request["messages"], *[{"role": "tool", "content": "{}"}] * told]
        reply = shopping.answer_to(calls, {"messages": messages})
        message = reply.body["choices"][0]["message"]
        named.append([call["function"]["name"] for call in message.get("tool_calls") or []])
    assert named == [[name for name, _ in step] for step in calls] + [[]]
