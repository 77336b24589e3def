"""The customer's own records as actions see them: loaded, locked and changed; money as Decimal.

Every action begins here, with the owner check. Rows are locked in one order (the order, then the
payment methods by id), so that two actions of a customer wait for each other and cannot deadlock.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from holdfast import ActionContext, ActionRefused
from holdfast_shop import phrases

NOT_MODIFIABLE = "Non-pending order cannot be modified"


class NotYourOrder(ActionRefused):
    """The order exists and belongs to another customer."""


class NotYourProfile(ActionRefused):
    """The user exists and is another customer."""


@dataclass(frozen=True, kw_only=True)
class PaymentMethod:
    """`balance` is in US dollars, and None for anything but a gift card."""

    id: str
    source: str
    brand: str | None
    last_four: str | None
    balance: Decimal | None

    @property
    def name(self) -> str:
        """'Visa card ending in 4417', 'gift card', 'PayPal account'."""
        if self.source == "credit_card":
            return phrases.card(self.brand, self.last_four)
        return "gift card" if self.source == "gift_card" else "PayPal account"

    def in_words(self) -> str:
        return f"the {self.name}"


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item of an order, with the price that was paid for it in US dollars."""

    item_id: str
    product_id: str
    name: str
    price: Decimal
    options: dict[str, str]

    def in_words(self) -> str:
        """'T-Shirt (blue, size M)'."""
        return phrases.item(self.name, self.options)


@dataclass(frozen=True, kw_only=True)
class Payment:
    """An entry of an order's payment history; `amount` is in US dollars and not negative."""

    kind: Literal["payment", "refund"]
    amount: Decimal
    method_id: str


@dataclass(frozen=True, kw_only=True)
class Order:
    order_id: str
    customer_name: str
    status: str
    address: dict[str, str]
    items: tuple[Item, ...]
    payments: tuple[Payment, ...]
    methods: dict[str, PaymentMethod]
    """The payment methods of the order's owner, by id."""

    @property
    def paid(self) -> Decimal:
        """What was paid and not refunded yet, in US dollars."""
        return sum(
            (p.amount if p.kind == "payment" else -p.amount for p in self.payments), Decimal(0)
        )

    def require_modifiable(self) -> None:
        """
        Raises:
            ActionRefused: "Non-pending order cannot be modified".
        """
        if "pending" not in self.status:
            raise ActionRefused(NOT_MODIFIABLE)

    def method(self, method_id: str) -> PaymentMethod:
        """The owner's payment method of this id.

        Raises:
            ActionRefused: "Payment method not found".
        """
        if method_id not in self.methods:
            raise ActionRefused("Payment method not found")
        return self.methods[method_id]

    def chosen(self, item_ids: Sequence[str], *, missing: str) -> tuple[Item, ...]:
        """The order's items of these ids, one for each.

        Raises:
            ActionRefused: `missing`, when an id occurs more often than in the order.
        """
        if Counter(item_ids) - Counter(item.item_id for item in self.items):
            raise ActionRefused(missing)
        first = {item.item_id: item for item in reversed(self.items)}
        return tuple(first[item_id] for item_id in item_ids)


def refund_timing(method: PaymentMethod | None) -> str:
    """When a refund to `method` arrives."""
    if method is not None and method.source == "gift_card":
        return "immediately"
    return "within 5 to 7 business days"


async def own_order(ctx: ActionContext, order_id: str) -> Order:
    """The order, which must be the conversation's customer's own; its rows are locked for an action that
    runs.

    Raises:
        ActionRefused: "Order not found".
        NotYourOrder: it belongs to another customer.
    """
    connection, lock = ctx.transaction, "" if ctx.read_only else " for update"
    row = await connection.fetchrow(
        "select user_id, status, o.address, first_name || ' ' || last_name as customer_name "
        "from shop.orders o join shop.users using (tenant, user_id) "
        "where tenant = $1 and order_id = $2" + (lock and f"{lock} of o"),
        ctx.tenant,
        order_id,
    )
    if row is None:
        raise ActionRefused("Order not found")
    if row["user_id"] != ctx.customer:
        raise NotYourOrder(f"Order {order_id} belongs to another customer")
    methods = await connection.fetch(
        "select payment_method_id as id, source, brand, last_four, balance "
        "from shop.payment_methods where tenant = $1 and user_id = $2 order by payment_method_id"
        + lock,
        ctx.tenant,
        ctx.customer,
    )
    items = await connection.fetch(
        "select item_id, product_id, name, price, options "
        "from shop.order_items where tenant = $1 and order_id = $2 order by position",
        ctx.tenant,
        order_id,
    )
    payments = await connection.fetch(
        "select transaction_type as kind, amount, payment_method_id as method_id "
        "from shop.payments where tenant = $1 and order_id = $2 order by position",
        ctx.tenant,
        order_id,
    )
    return Order(
        order_id=order_id,
        customer_name=row["customer_name"],
        status=row["status"],
        address=row["address"],
        items=tuple(Item(**item) for item in items),
        payments=tuple(Payment(**payment) for payment in payments),
        methods={method["id"]: PaymentMethod(**method) for method in methods},
    )


async def settle(ctx: ActionContext, order: Order, payments: Sequence[Payment]) -> None:
    """Append to the payment history and move the balances of the gift cards concerned."""
    connection = ctx.transaction
    await connection.executemany(
        "insert into shop.payments "
        "(tenant, order_id, position, transaction_type, amount, payment_method_id) "
        "values ($1, $2, $3, $4, $5, $6)",
        [
            (ctx.tenant, order.order_id, position, payment.kind, payment.amount, payment.method_id)
            for position, payment in enumerate(payments, start=len(order.payments) + 1)
        ],
    )
    await connection.executemany(
        "update shop.payment_methods set balance = balance + $4 "
        "where tenant = $1 and user_id = $2 and payment_method_id = $3 and source = 'gift_card'",
        [
            (
                ctx.tenant,
                ctx.customer,
                payment.method_id,
                payment.amount if payment.kind == "refund" else -payment.amount,
            )
            for payment in payments
        ],
    )
