"""The seven actions as reviewers read them, on the demonstration's data."""

from dataclasses import replace
from decimal import Decimal

import pytest

from holdfast import ActionDescription, ActionRefused, Change, Connection, Detail
from holdfast_shop.demo_data import (
    CUSTOMER_CARD,
    CUSTOMER_GIFT_CARD,
    ORDER_ON_ITS_WAY,
    ORDER_TO_CANCEL,
    ORDER_TO_READDRESS,
    ORDER_TO_RETURN,
    OTHER_CUSTOMER,
    OTHER_ORDER,
    SMALL_ORDER,
)
from holdfast_shop.records import NotYourOrder, NotYourProfile, own_order
from tests.shop.acting import ACTION, context, execute
from tests.shop.calls import (
    BIG_TENT,
    CLOCK,
    EVERY_ACTION,
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

HOME = "12 Harbor Street, Suite 4, Portland, OR 97214, USA"
BOISE = "5 Orchard Lane, Boise, ID 83702, USA"
VISA = "the Visa card ending in 4417"
GIFT_CARD_BALANCE = f"Balance of the gift card ({CUSTOMER_GIFT_CARD})"


async def described(connection: Connection, call: Call) -> ActionDescription:
    name, arguments = call
    action = ACTION[name]
    assert action.describe is not None
    looking = replace(context(connection), read_only=True)
    return await action.describe(looking, action.arguments.model_validate(arguments))


def status(before: str, after: str) -> Change:
    return Change(what="Order status", before=before, after=after)


@pytest.mark.parametrize(
    ("call", "title", "changes", "amount"),
    [
        (
            cancel(),
            f"Cancel order {ORDER_TO_CANCEL} of Mara Lind: 2 items, 222.90 USD goes back to {VISA}",
            [status("pending", "cancelled")],
            "222.90",
        ),
        (
            cancel(SMALL_ORDER),
            f"Cancel order {SMALL_ORDER} of Mara Lind: 1 item, "
            "33.90 USD goes back to the gift card",
            [
                status("pending", "cancelled"),
                Change(what=GIFT_CARD_BALANCE, before="75.00 USD", after="108.90 USD"),
            ],
            "33.90",
        ),
        (
            readdress(),
            f"Ship order {ORDER_TO_READDRESS} of Mara Lind to {BOISE}",
            [Change(what="Shipping address", before=HOME, after=BOISE)],
            None,
        ),
        (
            move(),
            f"Change the default address of Mara Lind to {BOISE}",
            [Change(what="Default address", before=HOME, after=BOISE)],
            None,
        ),
        (
            repay(SMALL_ORDER, CUSTOMER_CARD),
            f"Pay order {SMALL_ORDER} of Mara Lind, 33.90 USD, with {VISA} "
            "instead of the gift card",
            [
                Change(
                    what="Payment method",
                    before=f"gift card ({CUSTOMER_GIFT_CARD})",
                    after=f"Visa card ending in 4417 ({CUSTOMER_CARD})",
                ),
                Change(what=GIFT_CARD_BALANCE, before="75.00 USD", after="108.90 USD"),
            ],
            "33.90",
        ),
        (
            modify(),
            f"Replace 1 item of order {ORDER_TO_CANCEL} of Mara Lind: "
            f"125.00 USD more, paid with {VISA}",
            [
                status("pending", "pending (item modified)"),
                Change(
                    what="Camping Tent",
                    before="2 persons, 3 season, for 189.00 USD",
                    after="4 persons, 4 season, for 314.00 USD",
                ),
            ],
            "125.00",
        ),
        (
            send_back(item_ids=[SWEATER, MUG]),
            f"Take back 2 items of order {ORDER_TO_RETURN} of Mara Lind: "
            f"94.00 USD goes back to {VISA}",
            [status("delivered", "return requested")],
            "94.00",
        ),
        (
            exchange(),
            f"Exchange 1 item of order {ORDER_TO_RETURN} of Mara Lind: "
            f"2.50 USD goes back to {VISA}",
            [
                status("delivered", "exchange requested"),
                Change(
                    what="Merino Sweater",
                    before="rust, size M, for 76.50 USD",
                    after="grey, size M, for 74.00 USD",
                ),
            ],
            "2.50",
        ),
    ],
)
async def test_a_reviewer_reads_whose_what_how_much_and_what_changes(
    connection: Connection, call: Call, title: str, changes: list[Change], amount: str | None
) -> None:
    await stock(connection, available=True)
    await connection.execute("set transaction read only")
    description = await described(connection, call)
    assert description.title == title
    assert list(description.changes) == changes
    assert description.amount == (None if amount is None else Decimal(amount))
    assert description.currency == (None if amount is None else "USD")
    assert Detail(label="Customer", value="Mara Lind") in description.details


async def test_a_reviewer_reads_the_items_the_reason_and_when_the_money_arrives(
    connection: Connection,
) -> None:
    assert (await described(connection, cancel())).details == (
        Detail(label="Customer", value="Mara Lind"),
        Detail(label="Order", value=ORDER_TO_CANCEL),
        Detail(label="Reason", value="no longer needed"),
        Detail(
            label="Refund",
            value=f"222.90 USD to {VISA} ({CUSTOMER_CARD}), within 5 to 7 business days",
        ),
        Detail(label="Item", value="Camping Tent (2 persons, 3 season), 189.00 USD"),
        Detail(label="Item", value="Alarm Clock (walnut, analog display), 33.90 USD"),
    )


async def test_equal_items_share_a_line(connection: Connection) -> None:
    await connection.execute(
        "insert into shop.order_items "
        "(tenant, order_id, position, item_id, product_id, name, price, options) "
        "select tenant, order_id, 10, item_id, product_id, name, price, options "
        "from shop.order_items where tenant = 'demo' and order_id = $1 and item_id = $2",
        ORDER_TO_RETURN,
        MUG,
    )
    description = await described(connection, send_back(item_ids=[MUG, SWEATER, MUG]))
    mugs, sweater = description.details[-2:]
    assert (mugs.label, sweater.label) == ("2 items", "Item")
    assert mugs.value == "Ceramic Mug (blue glaze, 400ml volume), 17.50 USD each"
    assert "Take back 3 items" in description.title


async def test_every_entry_of_a_payment_that_was_moved_is_in_the_refund(
    connection: Connection,
) -> None:
    await execute(context(connection), *repay(SMALL_ORDER, CUSTOMER_CARD))
    description = await described(connection, cancel(SMALL_ORDER))
    assert description.title.endswith(f"101.70 USD goes back to the gift card and {VISA}")
    assert description.amount == Decimal("101.70")
    assert sum(detail.label == "Refund" for detail in description.details) == 3


async def test_a_swap_at_the_same_price_moves_no_money(connection: Connection) -> None:
    await stock(connection, available=True)
    await connection.execute(
        "update shop.variants set price = 189.00 where tenant = 'demo' and item_id = $1", BIG_TENT
    )
    description = await described(connection, modify(payment_method_id=CUSTOMER_GIFT_CARD))
    assert description.title.endswith("of Mara Lind: the price stays the same")
    assert description.amount == 0
    assert [change.what for change in description.changes] == ["Order status", "Camping Tent"]


@pytest.mark.parametrize(
    "call",
    [
        cancel(SMALL_ORDER),
        repay(SMALL_ORDER, CUSTOMER_CARD),
        modify(item_ids=[TENT], payment_method_id=CUSTOMER_GIFT_CARD),
        exchange(payment_method_id=CUSTOMER_GIFT_CARD),
        send_back(payment_method_id=CUSTOMER_GIFT_CARD),
    ],
)
async def test_the_balance_and_status_afterwards_are_the_described_ones(
    connection: Connection, call: Call
) -> None:
    await stock(connection, available=True)
    await connection.execute(
        "update shop.variants set price = 200.00 where tenant = 'demo' and item_id = $1", BIG_TENT
    )
    ctx = context(connection)
    name, arguments = call
    changes = {change.what: change for change in (await described(connection, call)).changes}
    before = await own_order(ctx, arguments["order_id"])
    await execute(ctx, name, arguments)
    after = await own_order(ctx, arguments["order_id"])

    def shown(what: str, now: str) -> tuple[str | None, str | None]:
        change = changes.get(what, Change(what=what, before=now, after=now))
        return change.before, change.after

    assert shown("Order status", before.status) == (before.status, after.status)
    old = f"{before.methods[CUSTOMER_GIFT_CARD].balance} USD"
    new = f"{after.methods[CUSTOMER_GIFT_CARD].balance} USD"
    assert shown(GIFT_CARD_BALANCE, old) == (old, new)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        *((build(NO_ORDER), "Order not found") for build in ON_ORDERS),
        (move("nobody_here_1"), "User not found"),
        (cancel(ORDER_ON_ITS_WAY), "Non-pending order cannot be cancelled"),
        (readdress(ORDER_ON_ITS_WAY), "Non-pending order cannot be modified"),
        (repay(method="paypal_0"), "Payment method not found"),
        (modify(new_item_ids=[CLOCK]), "Variant not found"),
        (send_back(ORDER_ON_ITS_WAY), "Non-delivered order cannot be returned"),
        (exchange(ORDER_ON_ITS_WAY), "Non-delivered order cannot be exchanged"),
    ],
)
async def test_what_could_not_succeed_is_refused_instead_of_described(
    connection: Connection, call: Call, error: str
) -> None:
    with pytest.raises(ActionRefused, match=f"^{error}$"):
        await described(connection, call)


async def test_nobody_reads_of_another_customers_records(connection: Connection) -> None:
    with pytest.raises(NotYourOrder):
        await described(connection, cancel(OTHER_ORDER))
    with pytest.raises(NotYourProfile):
        await described(connection, move(OTHER_CUSTOMER))


def test_every_action_describes_itself_and_is_tested() -> None:
    assert all(action.describe for action in ACTION.values())
    assert {name for name, _ in EVERY_ACTION} == set(ACTION)
