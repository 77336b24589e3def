"""How a proposed change is put into words, for the customer who waits and for the reviewer."""

from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from holdfast import ProposedAction

DOING = {
    "cancel_pending_order": "cancel order {order_id}",
    "modify_pending_order_address": "change the shipping address of order {order_id}",
    "modify_pending_order_items": "change the items of order {order_id}",
    "modify_pending_order_payment": "change the payment of order {order_id}",
    "modify_user_address": "change the address in your profile",
    "return_delivered_order_items": "register the return for order {order_id}",
    "exchange_delivered_order_items": "register the exchange for order {order_id}",
}
"""What each action does, as an infinitive with arguments in braces."""


def doing(action: ProposedAction) -> str:
    """'cancel order #W1234567'."""
    named = {"order_id": "", **action.arguments}
    return DOING[action.name].format_map(named).strip()


def holding_message(actions: Sequence[ProposedAction]) -> str:
    """What the customer is told while a colleague decides."""
    wanted = " and ".join(dict.fromkeys(doing(action) for action in actions))
    return (
        f"I have asked a colleague to confirm that I may {wanted}. I will tell you here as soon as "
        "it is decided; meanwhile you can ask me anything else."
    )


def proposal_reason(actions: Sequence[ProposedAction], asked: str) -> str:
    """Why the agent proposes this, for the reviewer."""
    wanted = " and ".join(dict.fromkeys(doing(action) for action in actions))
    return f"The customer asks to {wanted}: “{' '.join(asked.split())[:500]}”"


def evidence_from(results: Iterable[tuple[str, JsonValue]]) -> tuple[str, ...]:
    """What the agent looked up before, a sentence for each order; `results` are reads by name."""
    found: dict[str, None] = {}
    for name, result in results:
        if name == "get_order_details" and isinstance(result, dict) and "order_id" in result:
            found[_order(result)] = None
    return tuple(found)


def _order(order: dict[str, JsonValue]) -> str:
    items = order.get("items")
    entries = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    listed = ", ".join(f"{item.get('name')} ({item.get('price')} USD)" for item in entries)
    return (
        f"Order {order['order_id']} is {order.get('status')} and contains {listed or 'no items'}."
    )
