"""A small shop for tests, and a model of its rules that knows nothing of the shop's code.

The model plays what was executed, in the order of the commits, and says at each effect whether the rules
allowed it at that moment: refund no more than was paid, ask the refunds team above 100 US dollars, and
then pay exactly what they saw. What it ends with is compared with the shop's tables. The tests use it,
and so does `bench.chaos`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from holdfast import Connection
from holdfast_shop.dataset import Dataset, load_dataset

CUSTOMER = "ann_1"
CARD, PAYPAL, GIFT = "credit_card_1", "paypal_1", "gift_card_1"
ORDERS = {"#W0000001": ("33.90", CARD), "#W0000002": ("150.00", PAYPAL)}
BALANCE = Decimal(200)
CHEAP, DEAR = "1000000001", "1000000002"
PRICES = {CHEAP: Decimal("20.00"), DEAR: Decimal("160.00")}

Call = tuple[str, dict[str, Any]]


def cancel(order: str) -> Call:
    return "cancel_pending_order", {"order_id": order, "reason": "no longer needed"}


def pay_with(order: str, method: str) -> Call:
    return "modify_pending_order_payment", {"order_id": order, "payment_method_id": method}


def swap(order: str, new: str, method: str) -> Call:
    old = item_of(order)
    return "modify_pending_order_items", {
        "order_id": order,
        "item_ids": [old],
        "new_item_ids": [new],
        "payment_method_id": method,
    }


def item_of(order: str) -> str:
    """The item that the order has at first."""
    return f"2{order[-9:].removeprefix('#W').zfill(9)}"


async def open_shop(connection: Connection, tenant: str) -> None:
    """A customer with two pending orders."""
    address = dict.fromkeys(("address1", "address2", "city", "country", "state", "zip"), "x")
    variants = {
        item: {"item_id": item, "options": {"size": item}, "available": True, "price": float(price)}
        for item, price in [
            *PRICES.items(),
            *((item_of(order), Decimal(paid)) for order, (paid, _) in ORDERS.items()),
        ]
    }
    data: Dataset = {
        "products": {"9": {"name": "Thing", "product_id": "9", "variants": variants}},
        "users": {
            CUSTOMER: {
                "user_id": CUSTOMER,
                "name": {"first_name": "Ann", "last_name": "One"},
                "email": "ann@example.com",
                "address": address,
                "payment_methods": {
                    CARD: {"id": CARD, "source": "credit_card", "brand": "visa", "last_four": "1"},
                    PAYPAL: {"id": PAYPAL, "source": "paypal"},
                    GIFT: {"id": GIFT, "source": "gift_card", "balance": float(BALANCE)},
                },
                "orders": list(ORDERS),
            }
        },
        "orders": {
            order: {
                "order_id": order,
                "user_id": CUSTOMER,
                "address": address,
                "status": "pending",
                "fulfillments": [],
                "items": [
                    {
                        "name": "Thing",
                        "product_id": "9",
                        "item_id": item_of(order),
                        "price": float(paid),
                        "options": {},
                    }
                ],
                "payment_history": [
                    {"transaction_type": "payment", "amount": float(paid), "payment_method_id": by}
                ],
            }
            for order, (paid, by) in ORDERS.items()
        },
    }
    await load_dataset(connection, tenant, data)


@dataclass
class _Order:
    paid: Decimal
    method: str
    price: Decimal
    status: str = "pending"
    entries: list[tuple[str, Decimal, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entries = [("payment", self.paid, self.method)]


@dataclass(frozen=True)
class Effect:
    """An execution: what was done, in which conversation, and the amount that the refunds team saw and
    accepted, where it did."""

    conversation: str
    name: str
    arguments: dict[str, Any]
    approved: Decimal | None


class Witness:
    """Plays the effects of one customer, and remembers those that the rules forbid."""

    def __init__(self) -> None:
        self.orders = {
            order: _Order(Decimal(paid), method, Decimal(paid))
            for order, (paid, method) in ORDERS.items()
        }
        self.balance = BALANCE
        self.forbidden: list[str] = []

    def play(self, effects: Sequence[Effect]) -> "Witness":
        for effect in effects:
            getattr(self, f"_{effect.name}")(self.orders[effect.arguments["order_id"]], effect)
        return self

    def _require(self, holds: bool, effect: Effect, why: str) -> None:
        if not holds:
            self.forbidden.append(
                f"{effect.name} {effect.arguments} in {effect.conversation}: {why}"
            )

    def _settle(self, order: _Order, kind: str, amount: Decimal, method: str) -> None:
        order.entries.append((kind, amount, method))
        if method == GIFT:
            self.balance += amount if kind == "refund" else -amount

    def _cancel_pending_order(self, order: _Order, effect: Effect) -> None:
        paid = sum(amount if kind == "payment" else -amount for kind, amount, _ in order.entries)
        back = sum((amount for _, amount, _ in order.entries), Decimal(0))
        self._require(order.status == "pending", effect, f"the order is {order.status}")
        self._require(back <= paid, effect, f"{back} goes back, {paid} was paid")
        self._require(back <= 100 or back == effect.approved, effect, f"{back} without approval")
        for _, amount, method in list(order.entries):
            self._settle(order, "refund", amount, method)
        order.status = "cancelled"

    def _modify_pending_order_payment(self, order: _Order, effect: Effect) -> None:
        to = effect.arguments["payment_method_id"]
        _, amount, method = order.entries[0]
        self._require(order.status == "pending", effect, f"the order is {order.status}")
        self._require(len(order.entries) == 1, effect, "it was moved before")
        self._require(method != to, effect, "it is the same method")
        self._require(to != GIFT or self.balance >= amount, effect, "the gift card is too poor")
        self._settle(order, "payment", amount, to)
        self._settle(order, "refund", amount, method)

    def _modify_pending_order_items(self, order: _Order, effect: Effect) -> None:
        (new,) = effect.arguments["new_item_ids"]
        method = effect.arguments["payment_method_id"]
        difference = PRICES[new] - order.price
        self._require(order.status == "pending", effect, f"the order is {order.status}")
        self._require(
            method != GIFT or difference <= self.balance, effect, "the gift card is too poor"
        )
        self._require(
            difference >= -100 or -difference == effect.approved, effect, "much without approval"
        )
        self._settle(order, "payment" if difference > 0 else "refund", abs(difference), method)
        order.price, order.status = PRICES[new], "pending (item modified)"


_EFFECTS = """
    select action.conversation, action.name, action.arguments,
           case when exists (
               select from holdfast.decisions as decision
                where decision.tenant = action.tenant and decision.approval = action.approval
                  and decision.kind = 'accept' and decision.refusal is null
                  and decision.roles ? 'refunds'
           ) then (action.description ->> 'amount')::numeric end as approved
      from holdfast.audit as entry
      join holdfast.actions as action on action.tenant = entry.tenant and action.id = entry.subject
     where entry.tenant = $1 and entry.kind = 'action_executed' order by entry.seq
"""

_PAYMENTS = """
    select transaction_type, amount, payment_method_id from shop.payments
     where tenant = $1 and order_id = $2 order by position
"""

_STATUS = "select status from shop.orders where tenant = $1 and order_id = $2"

_BALANCE = "select balance from shop.payment_methods where tenant = $1 and payment_method_id = $2"


async def effects_of(connection: Connection, tenant: str) -> list[Effect]:
    """What was executed, in the order of the commits: the audit log of a tenant has one writer."""
    return [Effect(**row) for row in await connection.fetch(_EFFECTS, tenant)]


async def forbidden_in(connection: Connection, tenant: str) -> tuple[list[str], int]:
    """What happened in a shop that its rules forbid, and how many effects were looked at.

    Changes of the shop's tables that none of the effects explains are forbidden as well, and so is
    money that went back without having been paid, whatever the records say.
    """
    effects = await effects_of(connection, tenant)
    witness = Witness().play(effects)
    found = witness.forbidden
    for order_id, order in witness.orders.items():
        entries = [tuple(row) for row in await connection.fetch(_PAYMENTS, tenant, order_id)]
        status = await connection.fetchval(_STATUS, tenant, order_id)
        kept = Decimal(0)
        for kind, amount, _ in entries:
            kept += amount if kind == "payment" else -amount
            if kept < 0:
                found.append(f"order {order_id}: {-kept} more went back than was paid")
        if (status, entries) != (order.status, order.entries):
            found.append(
                f"order {order_id} is {status} with {entries}, and its effects make it "
                f"{order.status} with {order.entries}"
            )
    balance = await connection.fetchval(_BALANCE, tenant, GIFT)
    if balance != witness.balance:
        found.append(f"the gift card has {balance}, and its effects leave {witness.balance}")
    return found, len(effects)


async def require_allowed(connection: Connection, tenant: str) -> None:
    """Check that every effect was allowed when it happened, and that the tables show no other."""
    forbidden, _ = await forbidden_in(connection, tenant)
    assert forbidden == []
