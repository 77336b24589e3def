"""What the seven actions refuse: the exact words, whose records, which arguments."""

from typing import Any

import pytest
from pydantic import ValidationError

from holdfast import ActionRefused, Connection
from holdfast_shop.demo_data import (
    CUSTOMER,
    CUSTOMER_CARD,
    CUSTOMER_GIFT_CARD,
    ORDER_ON_ITS_WAY,
    OTHER_CUSTOMER,
    OTHER_ORDER,
    OTHER_PAYPAL,
)
from holdfast_shop.records import NotYourOrder, NotYourProfile
from tests.shop.acting import ACTION, context, execute, facts, own_records, variant
from tests.shop.calls import (
    CLOCK,
    MUG,
    NO_ORDER,
    ON_ORDERS,
    SWEATER,
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

REFUSALS = [
    *((build(NO_ORDER), "Order not found") for build in ON_ORDERS),
    (move("nobody_here_1"), "User not found"),
    (cancel(ORDER_ON_ITS_WAY), "Non-pending order cannot be cancelled"),
    (cancel(ORDER_ON_ITS_WAY, reason="why not"), "Non-pending order cannot be cancelled"),
    (cancel(reason="why not"), "Invalid reason"),
    (readdress(ORDER_ON_ITS_WAY), "Non-pending order cannot be modified"),
    (repay(ORDER_ON_ITS_WAY), "Non-pending order cannot be modified"),
    (repay(), "Payment method not found"),
    (
        repay(method=CUSTOMER_CARD),
        "The new payment method should be different from the current one",
    ),
    (
        repay(method=CUSTOMER_GIFT_CARD),
        "Insufficient gift card balance to pay for the order",
    ),
    (modify(ORDER_ON_ITS_WAY), "Non-pending order cannot be modified"),
    (modify(item_ids=[TENT, TENT]), "ID not found"),
    (modify(item_ids=["0", "1"]), "ID not found"),
    (
        modify(item_ids=[TENT, CLOCK]),
        "The number of items to be exchanged should match",
    ),
    (
        modify(new_item_ids=[TENT]),
        "The new item id should be different from the old item id",
    ),
    (modify(new_item_ids=[CLOCK]), "Variant not found"),
    (modify(new_item_ids=["0"]), "Variant not found"),
    (modify(payment_method_id=OTHER_PAYPAL), "Payment method not found"),
    (
        modify(payment_method_id=CUSTOMER_GIFT_CARD),
        "Insufficient gift card balance to pay for the new item",
    ),
    (send_back(ORDER_ON_ITS_WAY), "Non-delivered order cannot be returned"),
    (send_back(payment_method_id=OTHER_PAYPAL), "Payment method not found"),
    (send_back(item_ids=[SWEATER, SWEATER]), "Some item not found"),
    (exchange(ORDER_ON_ITS_WAY), "Non-delivered order cannot be exchanged"),
    (exchange(item_ids=[SWEATER, SWEATER]), "Number of ID not found."),
    (
        exchange(item_ids=[SWEATER, MUG]),
        "The number of items to be exchanged should match.",
    ),
    (exchange(new_item_ids=[MUG]), "Variant not found"),
    (exchange(payment_method_id=OTHER_PAYPAL), "Payment method not found"),
]


@pytest.mark.parametrize(("call", "message"), REFUSALS)
async def test_a_refusal_says_why_in_facts_and_in_execution_and_changes_nothing(
    connection: Connection, call: Call, message: str
) -> None:
    await stock(connection, available=True)
    before = await own_records(connection)
    for way in (facts, execute):
        with pytest.raises(ActionRefused) as refusal:
            await way(context(connection), *call)
        assert str(refusal.value) == message
    assert await own_records(connection) == before


@pytest.mark.parametrize("call", [modify(), exchange()])
async def test_an_item_that_is_not_available_is_refused(connection: Connection, call: Call) -> None:
    await stock(connection, available=False)
    with pytest.raises(ActionRefused, match=r"^New item ID not found or available$"):
        await execute(context(connection), *call)


async def test_a_return_is_refunded_to_the_original_method_or_a_gift_card(
    connection: Connection,
) -> None:
    await connection.execute(
        "insert into shop.payment_methods (tenant, user_id, payment_method_id, source) "
        "values ('demo', $1, 'paypal_1', 'paypal')",
        CUSTOMER,
    )
    with pytest.raises(
        ActionRefused, match=r"^Payment method should be the original payment method$"
    ):
        await execute(context(connection), *send_back(payment_method_id="paypal_1"))
    await execute(context(connection), *send_back(payment_method_id=CUSTOMER_GIFT_CARD))


async def test_an_exchange_needs_a_gift_card_that_holds_the_difference(
    connection: Connection,
) -> None:
    await stock(connection, available=True)
    await connection.execute("update shop.payment_methods set balance = 0 where balance > 0")
    dearer = variant("Merino Sweater", color="rust", size="XL")
    with pytest.raises(
        ActionRefused, match=r"^Insufficient gift card balance to pay for the price difference$"
    ):
        await execute(
            context(connection),
            *exchange(new_item_ids=[dearer], payment_method_id=CUSTOMER_GIFT_CARD),
        )


@pytest.mark.parametrize("build", ON_ORDERS)
async def test_another_customers_order_is_refused_before_anything_else_is_checked(
    connection: Connection, build: Any
) -> None:
    for way in (facts, execute):
        with pytest.raises(NotYourOrder, match=f"^Order {OTHER_ORDER} belongs to another customer"):
            await way(context(connection), *build(OTHER_ORDER))


async def test_another_customers_profile_is_refused(connection: Connection) -> None:
    with pytest.raises(NotYourProfile, match=f"^The profile {OTHER_CUSTOMER} belongs to another"):
        await execute(context(connection), *move(OTHER_CUSTOMER))


async def test_another_tenants_order_does_not_exist(connection: Connection) -> None:
    with pytest.raises(ActionRefused, match=r"^Order not found$"):
        await execute(context(connection, tenant="elsewhere"), *cancel())


@pytest.mark.parametrize(
    "changed", [{"reason": "x\x00"}, {"unknown": "1"}, {"order_id": None}, {"order_id": "9" * 201}]
)
def test_arguments_that_cannot_be_meant_are_refused(changed: dict[str, Any]) -> None:
    name, arguments = cancel(**changed)
    with pytest.raises(ValidationError):
        ACTION[name].arguments.model_validate(arguments)
