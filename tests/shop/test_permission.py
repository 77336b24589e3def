"""What the shop executes is what its policy allows at that moment, whatever runs beside or before it."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.activities.resources import Resources
from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.worker.assembly import open_resources
from tests.activities.desk import Asked, Desk
from tests.shop.ledger import (
    CARD,
    CHEAP,
    CUSTOMER,
    DEAR,
    GIFT,
    ORDERS,
    PAYPAL,
    Call,
    cancel,
    open_shop,
    pay_with,
    require_allowed,
    swap,
)

SMALL, LARGE = ORDERS
CONVERSATIONS = ("c1", "c2", "c3", "c4")


class Shops:
    """Opens a shop of its own for each try, on the same services."""

    def __init__(self, resources: Resources, stack: Settings) -> None:
        self._resources = resources
        self._stack = stack

    async def open(self, conversations: int = 2) -> Desk:
        tenant = f"t-{uuid4().hex[:12]}"
        async with self._resources.pool.acquire() as connection:
            await open_shop(connection, tenant)
        desk = Desk(self._resources, self._stack, tenant, CUSTOMER)
        for conversation in CONVERSATIONS[:conversations]:
            await desk.open(conversation)
        return desk


@pytest.fixture
async def shops(stack_settings: Settings) -> AsyncIterator[Shops]:
    async with open_resources(
        stack_settings, load_packages(["holdfast_shop:package"])
    ) as resources:
        yield Shops(resources, stack_settings)


async def run(desk: Desk, conversation: str, *calls: Call) -> tuple[Asked, list[str]]:
    """Propose, and execute where policy lets it run at once."""
    asked = await desk.propose(conversation, *calls)
    if asked.proposed.blocked or asked.proposed.approval is not None:
        return asked, [state for state, _ in await desk.states(asked)]
    return asked, await desk.execute(asked)


async def allowed(desk: Desk) -> None:
    async with desk.resources.pool.acquire() as connection:
        await require_allowed(connection, desk.tenant)


async def test_two_conversations_at_once_refund_no_more_than_was_paid(shops: Shops) -> None:
    for _ in range(50):
        desk = await shops.open()
        await asyncio.gather(
            run(desk, "c1", cancel(SMALL)), run(desk, "c2", pay_with(SMALL, PAYPAL))
        )
        await allowed(desk)


async def test_both_judged_before_either_runs_the_second_is_stale(shops: Shops) -> None:
    desk = await shops.open()
    cancelling = await desk.propose("c1", cancel(SMALL))
    moving = await desk.propose("c2", pay_with(SMALL, PAYPAL))
    assert await desk.execute(moving) == ["executed"]
    assert await desk.execute(cancelling) == ["stale"]
    ((state, reason),) = await desk.states(cancelling)
    assert state == "stale"
    assert reason is not None
    assert "has to cancel it by hand" in reason
    await allowed(desk)


async def test_an_action_is_judged_after_those_before_it_in_one_answer(shops: Shops) -> None:
    for _ in range(50):
        desk = await shops.open()
        asked, states = await run(desk, "c1", pay_with(SMALL, PAYPAL), cancel(SMALL))
        assert asked.proposed.blocked
        assert states == ["not_attempted", "denied"]
        await allowed(desk)


async def test_what_a_reviewer_saw_is_paid_or_nothing(shops: Shops) -> None:
    for _ in range(50):
        desk = await shops.open()
        asked = await desk.propose("c1", cancel(LARGE))
        approval = asked.proposed.approval
        assert approval is not None
        accepted, _ = await asyncio.gather(
            desk.accept(asked, reviewer="rita", roles=["refunds"]),
            run(desk, "c2", pay_with(LARGE, CARD)),
        )
        assert accepted == "accepted"
        assert await desk.execute(asked) == ["stale"]
        assert "refund_amount was 150" in str(await desk.states(asked))
        await allowed(desk)


async def test_a_reviewer_sees_what_all_actions_of_a_proposal_come_to(shops: Shops) -> None:
    desk = await shops.open()
    asked = await desk.propose(
        "c1", pay_with(SMALL, PAYPAL), cancel(LARGE), swap(SMALL, CHEAP, GIFT)
    )
    row = await desk.resources.pool.fetchrow(
        """
        select amount, (select array_agg(description ->> 'title' order by index)
                          from holdfast.actions where tenant = $1 and approval = approvals.id)
          from holdfast.approvals where tenant = $1
        """,
        desk.tenant,
    )
    assert row is not None
    amount, shown = row
    assert amount == Decimal("33.90") + Decimal("150.00") + Decimal("13.90")
    assert "13.90 USD goes back" in shown[2]
    assert await desk.accept(asked, reviewer="rita", roles=["refunds"]) == "accepted"
    assert await desk.execute(asked) == ["executed"] * 3
    await allowed(desk)


async def test_a_later_action_that_is_not_as_approved_any_more_is_stale_alone(shops: Shops) -> None:
    desk = await shops.open()
    asked = await desk.propose("c1", pay_with(SMALL, PAYPAL), cancel(LARGE))
    await desk.accept(asked, reviewer="rita", roles=["refunds"])
    await run(desk, "c2", pay_with(LARGE, CARD))
    assert await desk.execute(asked) == ["executed", "stale"]
    await allowed(desk)


calls = st.one_of(
    st.builds(cancel, st.sampled_from(tuple(ORDERS))),
    st.builds(pay_with, st.sampled_from(tuple(ORDERS)), st.sampled_from((CARD, PAYPAL, GIFT))),
    st.builds(
        swap,
        st.sampled_from(tuple(ORDERS)),
        st.sampled_from((CHEAP, DEAR)),
        st.sampled_from((CARD, PAYPAL, GIFT)),
    ),
)
proposals = st.lists(calls, min_size=1, max_size=3)
rounds = st.lists(
    st.lists(
        st.tuples(st.sampled_from(CONVERSATIONS), proposals),
        min_size=1,
        max_size=4,
        unique_by=lambda one: one[0],
    ),
    min_size=1,
    max_size=3,
)


@given(played=rounds, late=st.booleans())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_sequence_has_an_effect_that_the_rules_forbid(
    stack_settings: Settings, played: list[list[tuple[str, list[Call]]]], late: bool
) -> None:
    """Rounds of proposals from up to four conversations at once; what needs an approval gets it after
    the round, or, `late`, after all of them, when much may have changed."""
    asyncio.run(_play(stack_settings, played, late))


async def _play(stack: Settings, played: list[list[tuple[str, list[Call]]]], late: bool) -> None:
    async with open_resources(stack, load_packages(["holdfast_shop:package"])) as resources:
        desk = await Shops(resources, stack).open(4)
        waiting: list[Asked] = []

        async def approve() -> None:
            for asked in waiting:
                assert await desk.accept(asked, reviewer="rita", roles=["refunds"]) == "accepted"
            await asyncio.gather(*(desk.execute(asked) for asked in waiting))
            waiting.clear()

        for one_round in played:
            ended = await asyncio.gather(
                *(run(desk, conversation, *proposal) for conversation, proposal in one_round)
            )
            waiting += [asked for asked, _ in ended if asked.proposed.approval is not None]
            if not late:
                await approve()
        await approve()
        await allowed(desk)
