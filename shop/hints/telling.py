"""How what the shop's reads returned is told to a customer."""

from collections.abc import Mapping
from typing import Any

from holdfast import AnsweredCall, Known, ToolUse
from shop.hints.finding import in_words, listed, methods_in_words

_STATUS = {
    "pending": "It has not been sent yet, so it can still be changed or cancelled.",
    "processed": "It has been handed to the carrier and is on its way.",
    "delivered": "It has been delivered.",
    "cancelled": "It has been cancelled.",
    "return requested": "Its return is registered; an e-mail says how to send it back.",
    "exchange requested": "Its exchange is registered; an e-mail says how to send it back.",
}
_ORDERS_AT_ONCE = 8


def order(call: AnsweredCall, known: Known) -> str:
    """Status, items, tracking and address of an order."""
    record = _record(call.result)
    items = [f"{in_words(item)} for {item['price']:.2f} USD" for item in record.get("items", [])]
    status = str(record.get("status"))
    tracking = [
        number
        for fulfillment in record.get("fulfillments", [])
        for number in fulfillment.get("tracking_id", [])
    ]
    sentences = [
        f"Your order {record.get('order_id')} is {status}.",
        _STATUS.get(status, ""),
        f"It contains {listed(items, 'and')}." if items else "",
        f"Tracking number: {listed([str(number) for number in tracking], 'and')}."
        if tracking
        else "",
        f"It goes to {_address(record.get('address', {}))}." if status != "cancelled" else "",
    ]
    return " ".join(filter(None, sentences))


def details_of_orders(call: AnsweredCall, known: Known) -> list[ToolUse]:
    """The details of the latest orders, where the customer asks for their orders."""
    if not _about_orders(known):
        return []
    latest = _record(call.result).get("orders", [])[-_ORDERS_AT_ONCE:]
    return [ToolUse("get_order_details", {"order_id": order_id}) for order_id in latest]


def profile(call: AnsweredCall, known: Known) -> str:
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
        names = listed([str(item["name"]) for item in details.get("items", [])], "and")
        lines.append(f"- {order_id}: {details['status']}, {names}" if details else f"- {order_id}")
    return f"You have {len(ids)} order{'s' if len(ids) > 1 else ''}:\n" + "\n".join(lines)


def product(call: AnsweredCall, known: Known) -> str:
    """A product's available variants with prices."""
    record = _record(call.result)
    lines = [
        f"- {', '.join(f'{name} {value}' for name, value in variant['options'].items()) or 'standard'}: "
        f"{variant['price']:.2f} USD"
        for variant in record.get("variants", {}).values()
        if variant["available"]
    ]
    if not lines:
        return f"The {record.get('name')} is not available at the moment."
    return f"The {record.get('name')} is available in these variants:\n" + "\n".join(lines)


def product_types(call: AnsweredCall, known: Known) -> str:
    """What the shop sells."""
    return f"We sell: {listed(sorted(_record(call.result)), 'and')}."


def sum_of(call: AnsweredCall, known: Known) -> str:
    """The value of an expression."""
    return f"{call.arguments.get('expression')} = {call.result}"


def transferred(call: AnsweredCall, known: Known) -> str:
    """The farewell of a transfer."""
    return "I am handing you over to a colleague, who will answer you here. Please hold on."


def _about_orders(known: Known) -> bool:
    return "orders" in known.words.lower()


def _address(address: Mapping[str, Any]) -> str:
    street = [line for line in (address.get("address1"), address.get("address2")) if line]
    town = f"{address.get('state', '')} {address.get('zip', '')}".strip()
    return ", ".join([*street, *filter(None, (address.get("city"), town, address.get("country")))])


def _record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
