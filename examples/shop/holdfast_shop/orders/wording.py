"""How a proposed change is put into words, for the customer who waits and for the reviewer."""

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast import AnsweredCall, Exchange, ProposedAction, Rationale, TranscriptMessage
from holdfast_shop.phrases import listed, money

ActivityCalls = Sequence[AnsweredCall]
"""What was called in the turn."""

_DOING = {
    "cancel_pending_order": "cancel order {order_id}",
    "modify_pending_order_address": "change the shipping address of order {order_id}",
    "modify_pending_order_items": "change {items} in order {order_id}",
    "modify_pending_order_payment": "change the payment of order {order_id}",
    "modify_user_address": "change the default address",
    "return_delivered_order_items": "arrange the return of {items} from order {order_id}",
    "exchange_delivered_order_items": "arrange the exchange of {items} from order {order_id}",
}
_ITEMS = "the items"

GERMAN = {
    "cancel_pending_order": "Bestellung {order_id} stornieren",
    "modify_pending_order_address": "die Lieferadresse von Bestellung {order_id} ändern",
    "modify_pending_order_items": "die Artikel in Bestellung {order_id} ändern",
    "modify_pending_order_payment": "die Zahlungsart von Bestellung {order_id} ändern",
    "modify_user_address": "Ihre Standardadresse ändern",
    "return_delivered_order_items": "die Rückgabe aus Bestellung {order_id} veranlassen",
    "exchange_delivered_order_items": "den Umtausch aus Bestellung {order_id} veranlassen",
}
"""What each action does, in German."""

DOING = {name: doing.replace("{items}", _ITEMS) for name, doing in _DOING.items()}
"""What each action does, as an infinitive with arguments in braces."""


def explain(exchange: Exchange, actions: Sequence[ProposedAction]) -> Rationale:
    """Why the agent proposes this, and what the customer is told meanwhile."""
    words = " ".join(_asked(exchange.transcript).split())[:500]
    return Rationale(
        reason=f"The customer asks us to {_doing(actions, exchange.calls)}: “{words}”",
        evidence=_evidence(exchange.calls),
        holding_message=holding_message(actions, exchange.calls, exchange.context.language),
    )


def holding_message(
    actions: Sequence[ProposedAction], calls: ActivityCalls, language: str = "en"
) -> str:
    """What the customer is told while a colleague decides: in German, else in English."""
    if language == "de":
        doing = [GERMAN[one.name].format_map({"order_id": "", **one.arguments}) for one in actions]
        return (
            f"Bevor ich {listed(list(dict.fromkeys(doing)), 'und')} kann, muss jemand aus unserem Team "
            "zustimmen. Ich habe darum gebeten und sage Ihnen hier Bescheid, sobald entschieden ist. Bis "
            "dahin können Sie mich alles andere fragen."
        )
    return (
        f"Before I can {_doing(actions, calls)}, a colleague has to agree. I have asked for that "
        "and will tell you here as soon as it is decided. Meanwhile you can ask me anything else."
    )


def _asked(transcript: Sequence[TranscriptMessage]) -> str:
    """The customer's request: the latest message, and those that it answers a question about."""
    said: list[str] = []
    for message in reversed(transcript):
        if message.role == "customer":
            said.insert(0, message.text)
        elif "?" not in message.text:
            break
    return " … ".join(said)


def _evidence(calls: ActivityCalls) -> tuple[str, ...]:
    """What the agent looked up before, a sentence for each order."""
    found: dict[str, None] = {}
    for order in _orders(calls):
        items = [f"{item['name']} ({money(item['price'])})" for item in order["items"]]
        contents = listed(items) or "no items"
        found[f"Order {order['order_id']} is {order['status']} and contains {contents}."] = None
    return tuple(found)


def _doing(actions: Sequence[ProposedAction], calls: ActivityCalls) -> str:
    names = {item["item_id"]: item["name"] for order in _orders(calls) for item in order["items"]}
    return listed(list(dict.fromkeys(_one(action, names) for action in actions)))


def _one(action: ProposedAction, names: dict[str, str]) -> str:
    """'arrange the return of the Ceramic Mug from order #W1234567'; unknown items stay unnamed."""
    ids = action.arguments.get("item_ids")
    chosen = ids if isinstance(ids, list) else []
    known = [f"the {names[str(one)]}" for one in chosen if str(one) in names]
    items = listed(known) if len(known) == len(chosen) else _ITEMS
    return _DOING[action.name].format_map({"order_id": "", **action.arguments, "items": items})


def _orders(calls: ActivityCalls) -> Iterator[dict[str, Any]]:
    for call in calls:
        if call.name == "get_order_details" and isinstance(call.result, dict) and not call.error:
            yield call.result
