"""The demonstration's data: invented people, the catalogue, and orders in every state.

The people and orders of the story in `shop.demo_data` are the same for every seed of the random
numbers; the rest is drawn around them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast import Connection
from holdfast_shop import demo_data as story
from holdfast_shop.arguments import CANCEL_REASONS
from holdfast_shop.catalogue import CATALOGUE
from holdfast_shop.dataset import Dataset, load_dataset
from holdfast_shop.people import CITIES, FIRST_NAMES, LAST_NAMES, STREETS

SEED = 4821
USERS = 30
ORDERS = 60

STATUSES = (
    "pending",
    "delivered",
    "processed",
    "delivered",
    "pending",
    "cancelled",
    "delivered",
    "pending",
    "return requested",
    "pending (item modified)",
    "exchange requested",
)
BRANDS = ("visa", "mastercard")

Record = dict[str, Any]


@dataclass
class _Data:
    """A data set that grows; `taken` keeps generated ids apart."""

    rng: random.Random
    products: dict[str, Record] = field(default_factory=dict)
    users: dict[str, Record] = field(default_factory=dict)
    orders: dict[str, Record] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def digits(self, count: int) -> str:
        """An unused number of `count` digits, the first not a zero."""
        while True:
            number = str(self.rng.randrange(10 ** (count - 1), 10**count))
            if number not in self.taken:
                self.taken.add(number)
                return number


def generate(seed: int = SEED) -> Dataset:
    """A data set for `load_dataset`: 30 users, 15 products, 60 orders; equal for equal seeds."""
    data = _Data(rng=random.Random(seed))
    _stock(data)
    _tell_story(data)
    while len(data.users) < USERS:
        _add_drawn_user(data)
    customers = [user for user in data.users if user != story.CUSTOMER]
    for number in range(ORDERS - len(data.orders)):
        _add_drawn_order(data, customers[number % len(customers)], STATUSES[number % len(STATUSES)])
    return {"products": data.products, "users": data.users, "orders": data.orders}


async def seed(connection: Connection, tenant: str) -> None:
    """Fill `tenant` with the demonstration's data, unless it has customers already."""
    async with connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock(hashtext('shop.seed'), hashtext($1))", tenant
        )
        if not await connection.fetchval(
            "select exists (select from shop.users where tenant = $1)", tenant
        ):
            await load_dataset(connection, tenant, generate())


def _stock(data: _Data) -> None:
    for entry in CATALOGUE:
        product_id = data.digits(10)
        variants = {}
        for options, cents in entry.variants():
            item_id = data.digits(10)
            variants[item_id] = {
                "item_id": item_id,
                "options": options,
                "available": data.rng.random() < 0.85,
                "price": cents / 100,
            }
        data.products[product_id] = {
            "name": entry.name,
            "product_id": product_id,
            "variants": variants,
        }


def _tell_story(data: _Data) -> None:
    mara = _add_user(
        data,
        story.CUSTOMER,
        story.CUSTOMER_NAME,
        story.CUSTOMER_EMAIL,
        _address("12 Harbor Street", "Suite 4", ("Portland", "OR", story.CUSTOMER_ZIP)),
        _card(story.CUSTOMER_CARD, "visa", "4417"),
        _gift_card(story.CUSTOMER_GIFT_CARD, 7500),
    )
    lamp = _item(data, "Reading Lamp", stand="table", shade="brass")
    mug = _item(data, "Ceramic Mug", glaze="blue", volume="400ml")
    jacket = _item(data, "Rain Jacket", color="moss", size="M")
    tent = _item(data, "Camping Tent", persons="2", season="3")
    sweater = _item(data, "Merino Sweater", color="rust", size="M")
    big_tent = _item(data, "Camping Tent", persons="4", season="4")
    bag = _item(data, "Sleeping Bag", comfort="-10C", zip="left")
    clock = _item(data, "Alarm Clock", display="analog", color="walnut")
    chess = _item(data, "Chess Set", board="solid", pieces="boxwood")

    card = story.CUSTOMER_CARD
    shipped = _add_order(data, mara, story.ORDER_ON_ITS_WAY, "processed", [lamp, mug], card)
    shipped["fulfillments"][0]["tracking_id"] = [story.TRACKING_ID]
    _add_order(data, mara, story.ORDER_TO_READDRESS, "pending", [jacket], card)
    _add_order(data, mara, story.ORDER_TO_CANCEL, "pending", [tent, clock], card)
    _add_order(data, mara, story.ORDER_TO_RETURN, "delivered", [sweater, mug], card)
    trip = [big_tent, big_tent, bag, bag, bag, bag]
    _add_order(data, mara, story.LARGE_ORDER, "pending", trip, card)
    _add_order(data, mara, story.SMALL_ORDER, "pending", [clock], story.CUSTOMER_GIFT_CARD)

    tomas = _add_user(
        data,
        story.OTHER_CUSTOMER,
        story.OTHER_NAME,
        story.OTHER_EMAIL,
        _address("7 Mill Road", "", ("Portland", "ME", story.OTHER_ZIP)),
        {"source": "paypal", "id": story.OTHER_PAYPAL},
    )
    _add_order(data, tomas, story.OTHER_ORDER, "pending", [chess], story.OTHER_PAYPAL)


def _add_drawn_user(data: _Data) -> None:
    rng = data.rng
    name = (rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES))
    number = data.digits(4)
    slug = "_".join(name).lower()
    methods = [
        _card(f"credit_card_{data.digits(7)}", rng.choice(BRANDS), data.digits(4)),
        {"source": "paypal", "id": f"paypal_{data.digits(7)}"},
        _gift_card(f"gift_card_{data.digits(7)}", rng.randrange(500, 15000)),
    ]
    _add_user(
        data,
        f"{slug}_{number}",
        name,
        f"{slug.replace('_', '.')}{number}@example.com",
        _address(
            f"{rng.randrange(1, 200)} {rng.choice(STREETS)}",
            rng.choice(["", f"Suite {rng.randrange(1, 60)}"]),
            rng.choice(CITIES),
        ),
        *rng.sample(methods, rng.randrange(1, len(methods) + 1)),
    )


def _add_drawn_order(data: _Data, user_id: str, status: str) -> None:
    rng = data.rng
    user = data.users[user_id]
    items = [
        _as_item(product, rng.choice(list(product["variants"].values())))
        for product in rng.sample(list(data.products.values()), rng.randrange(1, 4))
    ]
    method = rng.choice(list(user["payment_methods"]))
    order = _add_order(data, user, f"#W{data.digits(7)}", status, items, method)
    chosen = items[0]
    if status == "cancelled":
        order["cancel_reason"] = rng.choice(CANCEL_REASONS)
        _settle(order, -_total(items), method)
    elif status == "return requested":
        order |= {"return_items": [chosen["item_id"]], "return_payment_method_id": method}
    elif status == "exchange requested":
        new = _other_variant(data, chosen)
        order |= {
            "exchange_items": [chosen["item_id"]],
            "exchange_new_items": [new["item_id"]],
            "exchange_payment_method_id": method,
            "exchange_price_difference": (_cents(new) - _cents(chosen)) / 100,
        }
    elif status == "pending (item modified)":
        new = _other_variant(data, chosen)
        order["items"][0] = new
        _settle(order, _cents(new) - _cents(chosen), method)


def _add_user(
    data: _Data,
    user_id: str,
    name: tuple[str, str],
    email: str,
    address: Record,
    *methods: Record,
) -> Record:
    data.users[user_id] = {
        "user_id": user_id,
        "name": {"first_name": name[0], "last_name": name[1]},
        "address": address,
        "email": email,
        "payment_methods": {method["id"]: method for method in methods},
        "orders": [],
    }
    return data.users[user_id]


def _add_order(
    data: _Data, user: Record, order_id: str, status: str, items: Sequence[Record], method: str
) -> Record:
    sent = status not in ("pending", "pending (item modified)", "cancelled")
    parcel = {
        "tracking_id": [data.digits(12)],
        "item_ids": [item["item_id"] for item in items],
    }
    order: Record = {
        "order_id": order_id,
        "user_id": user["user_id"],
        "address": dict(user["address"]),
        "items": list(items),
        "status": status,
        "fulfillments": [parcel] if sent else [],
        "payment_history": [],
    }
    _settle(order, _total(items), method)
    data.orders[order_id] = order
    user["orders"].append(order_id)
    return order


def _settle(order: Record, cents: int, method: str) -> None:
    order["payment_history"].append(
        {
            "transaction_type": "payment" if cents > 0 else "refund",
            "amount": abs(cents) / 100,
            "payment_method_id": method,
        }
    )


def _item(data: _Data, name: str, **options: str) -> Record:
    product = next(product for product in data.products.values() if product["name"] == name)
    variants: list[Record] = list(product["variants"].values())
    return _as_item(product, next(v for v in variants if v["options"] == options))


def _other_variant(data: _Data, item: Record) -> Record:
    product = data.products[item["product_id"]]
    others = [v for v in product["variants"].values() if v["item_id"] != item["item_id"]]
    return _as_item(product, data.rng.choice(others))


def _as_item(product: Record, variant: Record) -> Record:
    return {
        "name": product["name"],
        "product_id": product["product_id"],
        "item_id": variant["item_id"],
        "price": variant["price"],
        "options": variant["options"],
    }


def _total(items: Sequence[Record]) -> int:
    return sum(_cents(item) for item in items)


def _cents(item: Record) -> int:
    price: float = item["price"]
    return round(price * 100)


def _address(address1: str, address2: str, place: tuple[str, str, str]) -> Record:
    city, state, code = place
    return {
        "address1": address1,
        "address2": address2,
        "city": city,
        "country": "USA",
        "state": state,
        "zip": code,
    }


def _card(method_id: str, brand: str, last_four: str) -> Record:
    return {"source": "credit_card", "id": method_id, "brand": brand, "last_four": last_four}


def _gift_card(method_id: str, cents: int) -> Record:
    return {"source": "gift_card", "id": method_id, "balance": cents / 100}
