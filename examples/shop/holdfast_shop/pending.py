"""What can be done to an order before it is processed, besides changing its address.

Each action has its checks in one function, which execution runs on locked rows, facts and the
description on a read-only connection, so that a reviewer is never asked to approve what would be
refused.
"""

from dataclasses import replace

from pydantic import JsonValue

from holdfast import ActionContext, ActionDescription, ActionRefused
from holdfast_shop import descriptions
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


def _check_cancel(order: Order, arguments: CancelPendingOrder) -> tuple[Payment, ...]:
    if order.status != "pending":
        raise ActionRefused("Non-pending order cannot be cancelled")
    if arguments.reason not in CANCEL_REASONS:
        raise ActionRefused("Invalid reason")
    return tuple(replace(payment, kind="refund") for payment in order.payments)


def _refunds_in_words(order: Order, refunds: tuple[Payment, ...]) -> str:
    parts = []
    for refund in refunds:
        method = order.methods.get(refund.method_id)
        to = method.in_words() if method else refund.method_id
        parts.append(f"{money(refund.amount)} goes back to {to} {refund_timing(method)}")
    return "; ".join(parts)


async def cancel(ctx: ActionContext, arguments: CancelPendingOrder) -> JsonValue:
    order = await own_order(ctx, arguments.order_id, lock=True)
    refunds = _check_cancel(order, arguments)
    await settle(ctx, order, refunds)
    await ctx.transaction.execute(
        "update shop.orders set status = 'cancelled', cancel_reason = $3 "
        "where tenant = $1 and order_id = $2",
        ctx.tenant,
        order.order_id,
        arguments.reason,
    )
    return {
        "order_id": order.order_id,
        "status": "cancelled",
        "refund_amount": float(sum(refund.amount for refund in refunds)),
        "message": f"Order {order.order_id} is cancelled. {_refunds_in_words(order, refunds)}.",
    }


async def cancel_facts(ctx: ActionContext, arguments: CancelPendingOrder) -> dict[str, JsonValue]:
    order = await own_order(ctx, arguments.order_id, lock=False)
    refunds = _check_cancel(order, arguments)
    return {
        "customer": order.customer_name,
        "order_id": order.order_id,
        "refund_amount": float(sum(refund.amount for refund in refunds)),
        "paid_amount": float(order.paid),
        "items": [item.name for item in order.items],
        "before": order.status,
        "after": f"cancelled ({arguments.reason}); {_refunds_in_words(order, refunds)}",
    }


async def describe_cancel(ctx: ActionContext, arguments: CancelPendingOrder) -> ActionDescription:
    order = await own_order(ctx, arguments.order_id, lock=False)
    refunds = _check_cancel(order, arguments)
    return descriptions.cancellation(order, refunds, reason=arguments.reason)


async def _check_items(ctx: ActionContext, order: Order, arguments: SwapItems) -> Swap:
    if order.status != "pending":
        raise ActionRefused(NOT_MODIFIABLE)
    return await plan_swap(ctx, order, arguments, _REFUSALS)


async def modify_items(ctx: ActionContext, arguments: SwapItems) -> JsonValue:
    order = await own_order(ctx, arguments.order_id, lock=True)
    swap = await _check_items(ctx, order, arguments)
    await settle(ctx, order, [_settlement(swap)])
    await _replace_items(ctx, order, swap)
    await ctx.transaction.execute(
        "update shop.orders set status = $3 where tenant = $1 and order_id = $2",
        ctx.tenant,
        order.order_id,
        MODIFIED,
    )
    return {
        "order_id": order.order_id,
        "status": MODIFIED,
        "price_difference": float(swap.difference),
        "message": f"Order {order.order_id} now has {listed(swap.new_in_words())}. "
        f"{swap.settlement_in_words()}",
    }


def _settlement(swap: Swap) -> Payment:
    return Payment(
        kind="payment" if swap.difference > 0 else "refund",
        amount=abs(swap.difference),
        method_id=swap.method.id,
    )


async def _replace_items(ctx: ActionContext, order: Order, swap: Swap) -> None:
    items: list[Item] = list(order.items)
    for old, new in swap.pairs:
        index = [item.item_id for item in items].index(old.item_id)
        items[index] = replace(
            items[index], item_id=new.item_id, price=new.price, options=new.options
        )
    await ctx.transaction.executemany(
        "update shop.order_items set item_id = $4, price = $5, options = $6 "
        "where tenant = $1 and order_id = $2 and position = $3",
        [
            (ctx.tenant, order.order_id, position, item.item_id, item.price, item.options)
            for position, item in enumerate(items, start=1)
        ],
    )


async def modify_items_facts(ctx: ActionContext, arguments: SwapItems) -> dict[str, JsonValue]:
    order = await own_order(ctx, arguments.order_id, lock=False)
    swap = await _check_items(ctx, order, arguments)
    return swap.facts(order, after=MODIFIED)


async def describe_modify_items(ctx: ActionContext, arguments: SwapItems) -> ActionDescription:
    order = await own_order(ctx, arguments.order_id, lock=False)
    swap = await _check_items(ctx, order, arguments)
    return descriptions.swapped_items(
        order, swap, verb="Replace", after=MODIFIED, entries=[_settlement(swap)]
    )


def _check_payment(
    order: Order, arguments: ModifyPendingOrderPayment
) -> tuple[Payment, tuple[Payment, Payment]]:
    """The payment there is, and the two entries that move it to the other method."""
    order.require_modifiable()
    method = order.method(arguments.payment_method_id)
    if len(order.payments) != 1 or order.payments[0].kind != "payment":
        raise ActionRefused("There should be exactly one payment for a pending order")
    paid = order.payments[0]
    if paid.method_id == method.id:
        raise ActionRefused("The new payment method should be different from the current one")
    if method.balance is not None and method.balance < paid.amount:
        raise ActionRefused("Insufficient gift card balance to pay for the order")
    return paid, (replace(paid, method_id=method.id), replace(paid, kind="refund"))


async def change_payment(ctx: ActionContext, arguments: ModifyPendingOrderPayment) -> JsonValue:
    order = await own_order(ctx, arguments.order_id, lock=True)
    paid, entries = _check_payment(order, arguments)
    await settle(ctx, order, entries)
    new, old = order.methods[arguments.payment_method_id], order.methods.get(paid.method_id)
    return {
        "order_id": order.order_id,
        "status": order.status,
        "amount": float(paid.amount),
        "message": f"Order {order.order_id} is paid with {new.in_words()}: {money(paid.amount)}. "
        f"The earlier payment is refunded {refund_timing(old)}.",
    }


async def change_payment_facts(
    ctx: ActionContext, arguments: ModifyPendingOrderPayment
) -> dict[str, JsonValue]:
    order = await own_order(ctx, arguments.order_id, lock=False)
    paid, _ = _check_payment(order, arguments)
    old = order.methods.get(paid.method_id)
    return {
        "customer": order.customer_name,
        "order_id": order.order_id,
        "amount": float(paid.amount),
        "items": [item.name for item in order.items],
        "before": f"paid with {old.in_words() if old else paid.method_id}",
        "after": f"paid with {order.methods[arguments.payment_method_id].in_words()}",
    }


async def describe_change_payment(
    ctx: ActionContext, arguments: ModifyPendingOrderPayment
) -> ActionDescription:
    order = await own_order(ctx, arguments.order_id, lock=False)
    paid, entries = _check_payment(order, arguments)
    new = order.methods[arguments.payment_method_id]
    return descriptions.moved_payment(order, paid, entries, to=new)
