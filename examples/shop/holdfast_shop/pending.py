"""What can be done to an order before it is processed, besides changing its address.

Each action has a plan: execution makes it from locked rows, facts and the description from what they
see on a read-only connection, so that a reviewer is never asked to approve what would be refused.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from pydantic import JsonValue

from holdfast import ActionContext, ActionRefused, Plan
from holdfast_shop.arguments import (
    CANCEL_REASONS,
    CancelPendingOrder,
    ModifyPendingOrderPayment,
    SwapItems,
)
from holdfast_shop.phrases import listed, money
from holdfast_shop.records import (
    NOT_MODIFIABLE,
    Item,
    Order,
    Payment,
    PaymentMethod,
    own_order,
    refund_timing,
    settle,
)
from holdfast_shop.swaps import Refusals, Swap, plan_swap

MODIFIED = "pending (item modified)"

_REFUSALS = Refusals(
    missing="ID not found",
    uneven="The number of items to be exchanged should match",
    same="The new item id should be different from the old item id",
    poor="Insufficient gift card balance to pay for the new item",
)


@dataclass(frozen=True, kw_only=True)
class Cancellation:
    """An order that can be cancelled, and what goes back for each of its payments."""

    order: Order
    refunds: tuple[Payment, ...]

    @property
    def amount(self) -> Decimal:
        """What goes back altogether, in US dollars."""
        return sum((refund.amount for refund in self.refunds), Decimal(0))

    def in_words(self) -> str:
        parts = []
        for refund in self.refunds:
            method = self.order.methods.get(refund.method_id)
            to = method.in_words() if method else refund.method_id
            parts.append(f"{money(refund.amount)} goes back to {to} {refund_timing(method)}")
        return "; ".join(parts)


async def _cancellation(ctx: ActionContext, arguments: CancelPendingOrder) -> Cancellation:
    order = await own_order(ctx, arguments.order_id)
    if order.status != "pending":
        raise ActionRefused("Non-pending order cannot be cancelled")
    if arguments.reason not in CANCEL_REASONS:
        raise ActionRefused("Invalid reason")
    refunds = tuple(replace(payment, kind="refund") for payment in order.payments)
    return Cancellation(order=order, refunds=refunds)


CANCELLATION = Plan(_cancellation)


async def cancel(
    ctx: ActionContext, arguments: CancelPendingOrder, plan: Cancellation
) -> JsonValue:
    await settle(ctx, plan.order, plan.refunds)
    await ctx.transaction.execute(
        "update shop.orders set status = 'cancelled', cancel_reason = $3 "
        "where tenant = $1 and order_id = $2",
        ctx.tenant,
        arguments.order_id,
        arguments.reason,
    )
    return {
        "order_id": arguments.order_id,
        "status": "cancelled",
        "refund_amount": float(plan.amount),
        "message": f"Order {arguments.order_id} is cancelled. {plan.in_words()}.",
    }


def cancel_facts(arguments: CancelPendingOrder, plan: Cancellation) -> dict[str, JsonValue]:
    return {
        "customer": plan.order.customer_name,
        "order_id": plan.order.order_id,
        "refund_amount": float(plan.amount),
        "paid_amount": float(plan.order.paid),
        "items": [item.name for item in plan.order.items],
        "before": plan.order.status,
        "after": f"cancelled ({arguments.reason}); {plan.in_words()}",
    }


async def _item_swap(ctx: ActionContext, arguments: SwapItems) -> Swap:
    order = await own_order(ctx, arguments.order_id)
    if order.status != "pending":
        raise ActionRefused(NOT_MODIFIABLE)
    return await plan_swap(ctx, order, arguments, _REFUSALS)


ITEM_SWAP = Plan(_item_swap)


async def modify_items(ctx: ActionContext, arguments: SwapItems, swap: Swap) -> JsonValue:
    await settle(ctx, swap.order, [swap.settlement])
    await _replace_items(ctx, swap)
    await ctx.transaction.execute(
        "update shop.orders set status = $3 where tenant = $1 and order_id = $2",
        ctx.tenant,
        arguments.order_id,
        MODIFIED,
    )
    return {
        "order_id": arguments.order_id,
        "status": MODIFIED,
        "price_difference": float(swap.difference),
        "message": f"Order {arguments.order_id} now has {listed(swap.new_in_words())}. "
        f"{swap.settlement_in_words()}",
    }


async def _replace_items(ctx: ActionContext, swap: Swap) -> None:
    items: list[Item] = list(swap.order.items)
    for old, new in swap.pairs:
        index = [item.item_id for item in items].index(old.item_id)
        items[index] = replace(
            items[index], item_id=new.item_id, price=new.price, options=new.options
        )
    await ctx.transaction.executemany(
        "update shop.order_items set item_id = $4, price = $5, options = $6 "
        "where tenant = $1 and order_id = $2 and position = $3",
        [
            (ctx.tenant, swap.order.order_id, position, item.item_id, item.price, item.options)
            for position, item in enumerate(items, start=1)
        ],
    )


def modify_items_facts(arguments: SwapItems, swap: Swap) -> dict[str, JsonValue]:
    return swap.facts(after=MODIFIED)


@dataclass(frozen=True, kw_only=True)
class MovedPayment:
    """The payment there is, and the two entries that move it to the other method."""

    order: Order
    paid: Payment
    to: PaymentMethod

    @property
    def entries(self) -> tuple[Payment, Payment]:
        return replace(self.paid, method_id=self.to.id), replace(self.paid, kind="refund")

    @property
    def before(self) -> PaymentMethod | None:
        """The earlier method, where the customer still has it."""
        return self.order.methods.get(self.paid.method_id)


async def _moved_payment(ctx: ActionContext, arguments: ModifyPendingOrderPayment) -> MovedPayment:
    order = await own_order(ctx, arguments.order_id)
    order.require_modifiable()
    method = order.method(arguments.payment_method_id)
    if len(order.payments) != 1 or order.payments[0].kind != "payment":
        raise ActionRefused("There should be exactly one payment for a pending order")
    paid = order.payments[0]
    if paid.method_id == method.id:
        raise ActionRefused("The new payment method should be different from the current one")
    if method.balance is not None and method.balance < paid.amount:
        raise ActionRefused("Insufficient gift card balance to pay for the order")
    return MovedPayment(order=order, paid=paid, to=method)


MOVED_PAYMENT = Plan(_moved_payment)


async def change_payment(
    ctx: ActionContext, arguments: ModifyPendingOrderPayment, plan: MovedPayment
) -> JsonValue:
    await settle(ctx, plan.order, plan.entries)
    return {
        "order_id": plan.order.order_id,
        "status": plan.order.status,
        "amount": float(plan.paid.amount),
        "message": f"Order {plan.order.order_id} is paid with {plan.to.in_words()}: "
        f"{money(plan.paid.amount)}. The earlier payment is refunded {refund_timing(plan.before)}.",
    }


def change_payment_facts(
    arguments: ModifyPendingOrderPayment, plan: MovedPayment
) -> dict[str, JsonValue]:
    before = plan.before.in_words() if plan.before else plan.paid.method_id
    return {
        "customer": plan.order.customer_name,
        "order_id": plan.order.order_id,
        "amount": float(plan.paid.amount),
        "items": [item.name for item in plan.order.items],
        "before": f"paid with {before}",
        "after": f"paid with {plan.to.in_words()}",
    }
