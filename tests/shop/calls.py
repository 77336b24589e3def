"""Calls of the seven actions on the demonstration's data, each of which succeeds as it is."""

from typing import Any

from holdfast import Connection
from holdfast_shop.demo_data import (
    CUSTOMER,
    CUSTOMER_CARD,
    ORDER_TO_CANCEL,
    ORDER_TO_READDRESS,
    ORDER_TO_RETURN,
    OTHER_PAYPAL,
    SMALL_ORDER,
)
from tests.shop.acting import DEMO, items, variant

Call = tuple[str, dict[str, Any]]

ADDRESS = {
    "address1": "5 Orchard Lane",
    "address2": "",
    "city": "Boise",
    "state": "ID",
    "country": "USA",
    "zip": "83702",
}
TENT, CLOCK = items(ORDER_TO_CANCEL)
BIG_TENT = variant("Camping Tent", persons="4", season="4")
SWEATER, MUG = items(ORDER_TO_RETURN)
OTHER_SWEATER = variant("Merino Sweater", color="grey", size="M")
NO_ORDER = "#W0000000"


def cancel(order_id: str = ORDER_TO_CANCEL, **changed: Any) -> Call:
    return "cancel_pending_order", {
        "order_id": order_id,
        "reason": "no longer needed",
        **changed,
    }


def readdress(order_id: str = ORDER_TO_READDRESS) -> Call:
    return "modify_pending_order_address", {"order_id": order_id, **ADDRESS}


def move(user_id: str = CUSTOMER) -> Call:
    return "modify_user_address", {"user_id": user_id, **ADDRESS}


def repay(order_id: str = ORDER_TO_CANCEL, method: str = OTHER_PAYPAL) -> Call:
    return "modify_pending_order_payment", {"order_id": order_id, "payment_method_id": method}


def modify(order_id: str = ORDER_TO_CANCEL, **changed: Any) -> Call:
    return "modify_pending_order_items", {
        "order_id": order_id,
        "item_ids": [TENT],
        "new_item_ids": [BIG_TENT],
        "payment_method_id": CUSTOMER_CARD,
        **changed,
    }


def send_back(order_id: str = ORDER_TO_RETURN, **changed: Any) -> Call:
    return "return_delivered_order_items", {
        "order_id": order_id,
        "item_ids": [SWEATER],
        "payment_method_id": CUSTOMER_CARD,
        **changed,
    }


def exchange(order_id: str = ORDER_TO_RETURN, **changed: Any) -> Call:
    return "exchange_delivered_order_items", {
        "order_id": order_id,
        "item_ids": [SWEATER],
        "new_item_ids": [OTHER_SWEATER],
        "payment_method_id": CUSTOMER_CARD,
        **changed,
    }


EVERY_ACTION = [
    cancel(),
    readdress(),
    move(),
    repay(SMALL_ORDER, CUSTOMER_CARD),
    modify(),
    send_back(),
    exchange(),
]
ON_ORDERS = [cancel, readdress, repay, modify, send_back, exchange]


async def stock(connection: Connection, *, available: bool) -> None:
    """Whether everything can be had does not depend on the random numbers, but on the test."""
    await connection.execute(
        "update shop.variants set available = $1 where tenant = $2", available, DEMO
    )
