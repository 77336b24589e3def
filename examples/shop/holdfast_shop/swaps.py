"""Swapping items for other variants of the same product.

What modifying a pending order and exchanging a delivered one have in common; they check in the same
order and differ in what they say.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import JsonValue

from holdfast import ActionContext, ActionRefused
from holdfast_shop import phrases
from holdfast_shop.arguments import SwapItems
from holdfast_shop.phrases import money
from holdfast_shop.records import Item, Order, Payment, PaymentMethod


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """What is said where; `same` is None where a variant may be swapped for itself."""

    missing: str
    uneven: str
    same: str | None
    poor: str


@dataclass(frozen=True, kw_only=True)
class Variant:
    item_id: str
    product_id: str
    available: bool
    price: Decimal
    options: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Swap:
    """The pairs of old and new, in the order asked for. `difference` is the new prices minus what
    was paid for the old, in US dollars: above zero the customer pays."""

    order: Order
    pairs: tuple[tuple[Item, Variant], ...]
    difference: Decimal
    method: PaymentMethod

    def facts(self, *, after: str) -> dict[str, JsonValue]:
        """What a policy and a reviewer need to know of the swap."""
        return {
            "customer": self.order.customer_name,
            "order_id": self.order.order_id,
            "price_difference": float(self.difference),
            "items": [old.name for old, _ in self.pairs],
            "payment_method": self.method.in_words(),
            "before": f"{self.order.status}; " + "; ".join(old.in_words() for old, _ in self.pairs),
            "after": f"{after}; "
            + "; ".join(phrases.item(old.name, new.options) for old, new in self.pairs),
        }

    @property
    def settlement(self) -> Payment:
        """The payment or refund of the difference."""
        kind: Literal["payment", "refund"] = "payment" if self.difference > 0 else "refund"
        return Payment(kind=kind, amount=abs(self.difference), method_id=self.method.id)

    def new_in_words(self) -> list[str]:
        return [f"the {phrases.item(old.name, new.options)}" for old, new in self.pairs]

    def settlement_in_words(self) -> str:
        """Who pays the difference, as a whole sentence."""
        if self.difference > 0:
            return (
                f"The difference of {money(self.difference)} is paid with {self.method.in_words()}."
            )
        if self.difference < 0:
            return f"The difference of {money(-self.difference)} goes back to {self.method.in_words()}."
        return "The price is the same."


async def plan_swap(
    ctx: ActionContext, order: Order, arguments: SwapItems, refusals: Refusals
) -> Swap:
    """Check the swap and compute its price difference.

    Raises:
        ActionRefused: the first check that fails.
    """
    old = order.chosen(arguments.item_ids, missing=refusals.missing)
    if len(arguments.new_item_ids) != len(old):
        raise ActionRefused(refusals.uneven)
    variants = await _variants(ctx, arguments.new_item_ids)
    pairs: list[tuple[Item, Variant]] = []
    for item, new_item_id in zip(old, arguments.new_item_ids, strict=True):
        if refusals.same is not None and item.item_id == new_item_id:
            raise ActionRefused(refusals.same)
        variant = variants.get(new_item_id)
        if variant is None or variant.product_id != item.product_id:
            raise ActionRefused("Variant not found")
        if not variant.available:
            raise ActionRefused("New item ID not found or available")
        pairs.append((item, variant))
    difference = sum((new.price - item.price for item, new in pairs), Decimal(0))
    method = order.method(arguments.payment_method_id)
    if method.balance is not None and method.balance < difference:
        raise ActionRefused(refusals.poor)
    return Swap(order=order, pairs=tuple(pairs), difference=difference, method=method)


async def _variants(ctx: ActionContext, item_ids: list[str]) -> dict[str, Variant]:
    rows = await ctx.transaction.fetch(
        "select item_id, product_id, available, price, options "
        "from shop.variants where tenant = $1 and item_id = any($2)",
        ctx.tenant,
        item_ids,
    )
    return {row["item_id"]: Variant(**row) for row in rows}
