"""What the seven actions change, what they tell a reviewer, and what undoes them."""

import asyncio
from uuid import uuid4

import pytest

from holdfast import ActionRefused, Connection
from holdfast.store.pool import open_pool
from holdfast_shop.actions import ACTIONS
from holdfast_shop.demo_data import (
    CUSTOMER,
    CUSTOMER_CARD,
    CUSTOMER_GIFT_CARD,
    ORDER_TO_CANCEL,
    SMALL_ORDER,
)
from holdfast_shop.generate import seed
from tests.shop.acting import ACTION, context, execute, facts, own_records, variant
from tests.shop.calls import (
    BIG_TENT,
    CLOCK,
    EVERY_ACTION,
    TENT,
    Call,
    cancel,
    exchange,
    modify,
    move,
    readdress,
    repay,
    send_back,
    stock,
)


async def test_a_payment_moves_between_methods_once(connection: Connection) -> None:
    ctx = context(connection)
    await execute(ctx, *repay(SMALL_ORDER, CUSTOMER_CARD))
    profile = (await own_records(connection))[0]
    assert isinstance(profile, dict)
    methods = profile["payment_methods"]
    assert isinstance(methods, dict)
    assert methods[CUSTOMER_GIFT_CARD] == {
        "id": CUSTOMER_GIFT_CARD,
        "source": "gift_card",
        "balance": 108.9,
    }
    cancelling = await facts(ctx, *cancel(SMALL_ORDER))
    assert (cancelling["paid_amount"], cancelling["refund_amount"]) == (33.9, 101.7)
    with pytest.raises(
        ActionRefused, match=r"^There should be exactly one payment for a pending order$"
    ):
        await execute(ctx, *repay(SMALL_ORDER, CUSTOMER_GIFT_CARD))


async def test_several_replaced_items_each_get_their_own_price_and_options(
    connection: Connection,
) -> None:
    await stock(connection, available=True)
    digital = variant("Alarm Clock", display="digital", color="walnut")
    await execute(
        context(connection), *modify(item_ids=[CLOCK, TENT], new_item_ids=[digital, BIG_TENT])
    )
    rows = await connection.fetch(
        "select i.item_id, i.price = v.price and i.options = v.options as own "
        "from shop.order_items i join shop.variants v using (tenant, item_id) "
        "where tenant = 'demo' and order_id = $1 order by position",
        ORDER_TO_CANCEL,
    )
    assert [(row["item_id"], row["own"]) for row in rows] == [(BIG_TENT, True), (digital, True)]


@pytest.mark.parametrize("call", EVERY_ACTION)
async def test_facts_are_read_on_a_connection_that_cannot_write(
    connection: Connection, call: Call
) -> None:
    await stock(connection, available=True)
    await connection.execute("set transaction read only")
    known = await facts(context(connection), *call)
    assert known["customer"] == "Mara Lind"
    assert known["before"] != known["after"]


async def test_facts_tell_the_money_that_moves(connection: Connection) -> None:
    await stock(connection, available=True)
    ctx = context(connection)
    cancelling = await facts(ctx, *cancel())
    assert cancelling["refund_amount"] == cancelling["paid_amount"] == 222.9
    assert cancelling["items"] == ["Camping Tent", "Alarm Clock"]
    assert (
        cancelling["after"] == "cancelled (no longer needed); 222.90 USD goes back to the Visa "
        "card ending in 4417 within 5 to 7 business days"
    )
    assert (await facts(ctx, *send_back()))["refund_amount"] == 76.5
    assert (await facts(ctx, *modify()))["price_difference"] == 125.0
    assert (await facts(ctx, *exchange()))["price_difference"] == -2.5


@pytest.mark.parametrize("call", [readdress(), move(), send_back(), exchange()])
async def test_compensation_restores_exactly_what_was(connection: Connection, call: Call) -> None:
    await stock(connection, available=True)
    name, arguments = call
    action, ctx = ACTION[name], context(connection)
    assert action.compensate is not None
    before = await own_records(connection)
    result = await execute(ctx, name, arguments)
    assert await own_records(connection) != before
    await action.compensate(ctx, action.arguments.model_validate(arguments), result)
    assert await own_records(connection) == before


@pytest.mark.parametrize("call", [readdress(), move()])
async def test_compensation_leaves_an_address_that_was_changed_once_more(
    connection: Connection, call: Call
) -> None:
    name, arguments = call
    action, ctx = ACTION[name], context(connection)
    assert action.compensate is not None
    result = await execute(ctx, name, arguments)
    await execute(ctx, name, {**arguments, "address1": "9 Mill Road"})
    latest = await own_records(connection)
    await action.compensate(ctx, action.arguments.model_validate(arguments), result)
    assert await own_records(connection) == latest


async def test_of_two_cancellations_at_once_one_is_refused(shop_url: str) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    async with await open_pool(shop_url, max_size=2) as pool:

        async def attempt() -> object:
            async with pool.acquire() as connection, connection.transaction():
                return await execute(context(connection, tenant=tenant), *cancel(SMALL_ORDER))

        async with pool.acquire() as connection:
            await seed(connection, tenant)
        outcomes = await asyncio.gather(attempt(), attempt(), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, ActionRefused)]
        assert len(refused) == 1
        async with pool.acquire() as connection:
            balance = await connection.fetchval(
                "select balance from shop.payment_methods where tenant = $1 and user_id = $2 "
                "and payment_method_id = $3",
                tenant,
                CUSTOMER,
                CUSTOMER_GIFT_CARD,
            )
        assert str(balance) == "108.90"


def test_every_action_has_its_own_name_and_facts() -> None:
    assert len({action.name for action in ACTIONS}) == 7
    assert all(action.facts for action in ACTIONS)
