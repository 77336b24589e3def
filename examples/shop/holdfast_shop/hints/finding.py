"""How arguments of the shop's tools are found in a customer's words and in what the reads returned."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from holdfast import HintContext, Lookup, Say
from holdfast_shop import phrases
from holdfast_shop.phrases import listed, money

ORDER_ID = r"#?\bw(\d{7})\b"
ORDER_FORM = "#W{}"

_ADDRESS = re.compile(
    r"(?<![\w#])(?P<address1>\d{1,6}[a-z]?\s+[\w .'-]+?)\s*,\s*"
    r"(?:(?P<address2>(?:apt|apartment|suite|unit|floor|room)\b[^,]*?)\s*,\s*)?"
    r"(?P<city>[a-z][a-z .'-]*?)[\s,]+(?P<state>[a-z]{2})[\s,]+(?P<zip>\d{5})(?:-\d{4})?"
    r"(?:[\s,]+(?P<country>u\.?s\.?a?\b\.?|united states(?: of america)?|canada|mexico))?",
    re.IGNORECASE,
)
_ALL = re.compile(
    r"\b(everything|all of (it|them)|all (the )?items|both|whole order|entire order)\b"
)
_LATEST = re.compile(r"\b(last|latest|newest|most recent)\b[^.?!]*\border\b")
_NOUN = re.compile(
    r"\b(the|my|an?) (?!(order|items?|thing|product|one)\b)[\w -]+? (in|from|of|for|to|with)\b",
    re.IGNORECASE,
)
"""Something is named, which may or may not be the order's only item."""
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_METHODS = {
    "gift_card": r"\bgift ?cards?\b",
    "paypal": r"\bpaypal\b",
    "credit_card": r"\b(credit|debit|visa|mastercard|amex)\b",
}
_NAMED = 0.5
"""An item is meant when at least half of the words of its name were said."""

Fields = Mapping[str, Any]


def own_order() -> tuple[Lookup, ...]:
    """The order, where the customer gave no number: the only or the latest one, else a question."""

    def find(known: HintContext) -> JsonValue | Say:
        profile = _record(known.result("get_user_details"))
        ids = [str(order) for order in profile.get("orders", [])]
        if not ids:
            return Say("I found no orders in your account.")
        if len(ids) == 1 or _LATEST.search(known.words.lower()):
            return ids[-1]
        for position, ordinal in enumerate(_ORDINALS[: len(ids)]):
            if re.search(rf"\bthe {ordinal}\b", known.words.lower()):
                return ids[position]
        return Say(f"Which order do you mean: {listed(ids, 'or')}?")

    return (Lookup(needs=("get_user_details",), find=find),)


def address_part(name: str) -> tuple[Lookup, ...]:
    """A part of the postal address in the customer's words."""

    def find(known: HintContext) -> JsonValue | Say:
        match = _ADDRESS.search(known.words)
        if match is None:
            return None
        value = (match[name] or "").strip()
        match name:
            case "state":
                return value.upper()
            case "country":
                return value.title() if value.lower() in ("canada", "mexico") else "USA"
            case _:
                return value.title() if value == value.lower() else value

    return (Lookup(find=find),)


def items_to(verb: str) -> tuple[Lookup, ...]:
    """The ids of the order's items that the customer names."""

    def find(known: HintContext) -> JsonValue | Say:
        order = _order(known)
        items = [_record(item) for item in order.get("items", [])]
        sole = len(items) == 1 and not _NOUN.search(known.words)
        chosen = items if sole or _ALL.search(known.words.lower()) else _named(items, known)
        if not chosen or _ambiguous(chosen, known):
            names = listed([f"the {in_words(item)}" for item in chosen or items])
            return Say(
                f"Order {order.get('order_id')} contains {names}. Which would you like to {verb}?"
            )
        return [item["item_id"] for item in chosen]

    return (Lookup(needs=("get_order_details",), find=find),)


def product() -> tuple[Lookup, ...]:
    """The product of the order's item that is named, else the one that the shop sells by that name."""

    def of_order(known: HintContext) -> JsonValue | Say:
        items = [_record(item) for item in _order(known).get("items", [])]
        sole = len(items) == 1 and not _NOUN.search(known.words)
        named = items if sole else _named(items, known)
        return named[0]["product_id"] if named else None

    def by_name(known: HintContext) -> JsonValue | Say:
        types = _record(known.result("list_all_product_types"))
        best = max(types, key=known.says, default="")
        if not best or known.says(best) < _NAMED:
            return Say("Which product do you mean? I found none by that name in our shop.")
        return str(types[best])

    return (Lookup(find=of_order), Lookup(needs=("list_all_product_types",), find=by_name))


def new_items(verb: str) -> tuple[Lookup, ...]:
    """For each chosen item the variant that has the options the customer names."""

    def find(known: HintContext) -> JsonValue | Say:
        by_id = {item["item_id"]: item for item in _order(known).get("items", [])}
        found: list[JsonValue] = []
        for item_id in _strings(known.arguments.get("item_ids")):
            item = by_id[item_id]
            result = known.result("get_product_details", product_id=item["product_id"])
            if result is None:
                return Say(f"Let us {verb} one product at a time. Which one shall we begin with?")
            variant = _wanted(item, _record(result), known)
            if isinstance(variant, Say):
                return variant
            found.append(variant)
        return found

    return (Lookup(needs=("get_order_details", "get_product_details"), find=find),)


def named_method(otherwise_original: bool) -> tuple[Lookup, ...]:
    """The payment method that the customer names, else the one the order was paid with."""

    def find(known: HintContext) -> JsonValue | Say:
        methods = _record(_record(known.result("get_user_details")).get("payment_methods"))
        for source, expression in _METHODS.items():
            if re.search(expression, known.words, re.IGNORECASE):
                own = [name for name, method in methods.items() if method["source"] == source]
                if len(own) == 1:
                    return own[0]
                if not own:
                    return Say(
                        f"I found no {source.replace('_', ' ')} in your account. You have "
                        f"{methods_in_words(methods)}. Which one shall I use?"
                    )
        payments = _order(known).get("payment_history", [])
        if otherwise_original and payments:
            return str(payments[0]["payment_method_id"])
        return Say(f"You have {methods_in_words(methods)}. Which one shall I use?")

    return (Lookup(needs=("get_order_details", "get_user_details"), find=find),)


def in_their_words(prefix: str) -> tuple[Lookup, ...]:
    """What the customer wrote, for a person to read."""

    def find(known: HintContext) -> JsonValue | Say:
        return f"{prefix}{' '.join(known.words.split())}"[:2_000]

    return (Lookup(find=find),)


def in_words(item: Fields) -> str:
    """A record of an item with its options: 'T-Shirt (blue, size M)'."""
    return phrases.item(item["name"], item.get("options", {}))


def methods_in_words(methods: Mapping[str, Any]) -> str:
    """'a gift card with 75.00 USD and a PayPal account'."""
    return listed([_method_in_words(method) for method in methods.values()]) or "none"


def _method_in_words(method: Fields) -> str:
    match method["source"]:
        case "gift_card":
            return f"a gift card with {money(method.get('balance', 0))}"
        case "credit_card":
            return f"a {phrases.card(method.get('brand'), method.get('last_four'))}"
        case _:
            return "a PayPal account"


def _wanted(item: Fields, product: Fields, known: HintContext) -> str | Say:
    """The only available variant with the named options, the others as they are if possible."""
    variants = [
        variant
        for variant in product.get("variants", {}).values()
        if variant["available"] and variant["item_id"] != item["item_id"]
    ]
    old: dict[str, str] = item.get("options", {})
    changes = {
        option: value
        for variant in variants
        for option, value in variant["options"].items()
        if value != old.get(option) and known.says(f"{value}") == 1
    }
    fitting = [v for v in variants if changes and changes.items() <= v["options"].items()]
    closest = [v for v in fitting if v["options"] == {**old, **changes}] or fitting
    if len(closest) == 1:
        return str(closest[0]["item_id"])
    name = product.get("name", item["name"])
    offered = [in_words({"name": name, **v}) for v in closest or variants]
    if not offered:
        return Say(f"I am sorry, no other variant of the {name} is available at the moment.")
    return Say(f"These are available: {listed(offered)}. Which one would you like?")


def _named(items: Sequence[Fields], known: HintContext) -> list[Fields]:
    named = [item for item in items if known.says(item["name"]) >= _NAMED]
    exact = [item for item in named if known.says(item["name"]) == 1]
    return list(exact or named)


def _ambiguous(items: Sequence[Fields], known: HintContext) -> bool:
    """Whether one name that was said stands for several different items."""
    if _ALL.search(known.words.lower()):
        return False
    ids_by_name: dict[str, set[str]] = {}
    for item in items:
        ids_by_name.setdefault(item["name"], set()).add(item["item_id"])
    return any(len(ids) > 1 for ids in ids_by_name.values())


def _order(known: HintContext) -> dict[str, Any]:
    order_id = known.arguments.get("order_id")
    same = {} if order_id is None else {"order_id": order_id}
    return _record(known.result("get_order_details", **same))


def _record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _strings(value: JsonValue) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
