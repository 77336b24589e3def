"""How what the shop's reads returned is told to a customer."""

import re
from collections.abc import Mapping
from typing import Any

from holdfast import AnsweredCall, HintContext, ToolUse
from holdfast_shop.hints.finding import in_words, methods_in_words
from holdfast_shop.phrases import listed, money, variant

_STATES = {
    "pending": "is pending: we have not packed it yet, so it can still be changed or cancelled",
    "pending (item modified)": "is pending, with its items changed: we have not packed it yet",
    "processed": "is packed and on its way to you",
    "delivered": "has been delivered",
    "cancelled": "has been cancelled",
    "return requested": "is to be returned: an e-mail says how to send the items back",
    "exchange requested": "is to be exchanged: an e-mail says how to send the old items back",
}
_SHORT_STATES = {"processed": "on its way"}
_COMING = ("pending", "pending (item modified)", "processed")
_WHEN = re.compile(r"\bwhen\b|\bhow (long|soon)\b|\barriv", re.IGNORECASE)
_NO_DATE = (
    "I do not know the day when it will arrive; ask me how long shipping takes, and I will tell you "
    "what is usual."
)
_ORDERS_AT_ONCE = 8


def order(call: AnsweredCall, known: HintContext) -> str:
    """Where an order is, what it contains and where it goes; on "when", that there is no date."""
    record = _record(call.result)
    status = str(record.get("status"))
    numbers = [
        str(number)
        for parcel in record.get("fulfillments", [])
        for number in parcel.get("tracking_id", [])
    ]
    sentences = [f"Your order {record.get('order_id')} {_STATES.get(status, f'is {status}')}."]
    if numbers and status == "processed":
        several = "s are" if len(numbers) > 1 else " is"
        sentences.append(f"The carrier's tracking number{several} {listed(numbers)}.")
    if status in _COMING and _WHEN.search(known.words):
        return " ".join([*sentences, _NO_DATE])
    items = [f"the {in_words(item)} for {money(item['price'])}" for item in record["items"]]
    sentences.append(f"It contains {listed(items)}.")
    if status in _COMING:
        sentences.append(f"It goes to {_address(record['address'])}.")
    return " ".join(sentences)


def details_of_orders(call: AnsweredCall, known: HintContext) -> list[ToolUse]:
    """The details of the latest orders, where the customer asks for their orders."""
    if not _about_orders(known):
        return []
    latest = _record(call.result).get("orders", [])[-_ORDERS_AT_ONCE:]
    return [ToolUse("get_order_details", {"order_id": order_id}) for order_id in latest]


def profile(call: AnsweredCall, known: HintContext) -> str:
    """The customer's orders, or their profile."""
    record = _record(call.result)
    ids = record.get("orders", [])
    if not _about_orders(known):
        name = record.get("name", {})
        return (
            f"Your account is in the name of {name.get('first_name')} {name.get('last_name')}, with "
            f"the e-mail address {record.get('email')}. Your address is "
            f"{_address(record.get('address', {}))}. You pay with "
            f"{methods_in_words(record.get('payment_methods', {}))}."
        )
    if not ids:
        return "I found no orders in your account."
    lines = []
    for order_id in ids:
        details = _record(known.result("get_order_details", order_id=order_id))
        names = listed([str(item["name"]) for item in details.get("items", [])])
        state = _SHORT_STATES.get(details.get("status", ""), details.get("status"))
        lines.append(f"- {order_id}: {state}, {names}" if details else f"- {order_id}")
    return f"You have {len(ids)} order{'s' if len(ids) > 1 else ''}:\n" + "\n".join(lines)


def product(call: AnsweredCall, known: HintContext) -> str:
    """A product's available variants with prices."""
    record = _record(call.result)
    lines = [
        f"- {variant(one['options']) or 'standard'}: {money(one['price'])}"
        for one in record.get("variants", {}).values()
        if one["available"]
    ]
    if not lines:
        return f"The {record.get('name')} is not available at the moment."
    return f"The {record.get('name')} is available in these variants:\n" + "\n".join(sorted(lines))


def product_types(call: AnsweredCall, known: HintContext) -> str:
    """What the shop sells."""
    return f"We sell: {listed(sorted(_record(call.result)))}."


def sum_of(call: AnsweredCall, known: HintContext) -> str:
    """The value of an expression."""
    return f"{call.arguments.get('expression')} = {call.result}"


def transferred(call: AnsweredCall, known: HintContext) -> str:
    """The farewell of a transfer."""
    return "I am handing you over to a colleague, who will answer you here. Please hold on."


def _about_orders(known: HintContext) -> bool:
    return "orders" in known.words.lower()


def _address(address: Mapping[str, Any]) -> str:
    street = [line for line in (address.get("address1"), address.get("address2")) if line]
    town = f"{address.get('state', '')} {address.get('zip', '')}".strip()
    return ", ".join([*street, *filter(None, (address.get("city"), town, address.get("country")))])


def _record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
