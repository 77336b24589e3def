"""What can be done to an order after its delivery: send items back, or exchange them.

Both are requests: no money moves and the items stay in the order until the parcel has arrived.
"""

from decimal import Decimal

from pydantic import JsonValue

from holdfast import ActionContext, ActionDescription, ActionRefused
from holdfast_shop import descriptions
from holdfast_shop.arguments import ReturnItems, SwapItems
from holdfast_shop.phrases import listed, money
from holdfast_shop.records import Item, Order, PaymentMethod, own_order, refund_timing
from holdfast_shop.swaps import Refusals, Swap, plan_swap

RETURN_REQUESTED = "return requested"
EXCHANGE_REQUESTED = "exchange requested"

_REFUSALS = Refusals(
    missing="Number of ID not found.",
    uneven="The number of items to be exchanged should match.",
    same=None,
    poor="Insufficient gift card balance to pay for the price difference",
)


def _check_return(order: Order, arguments: ReturnItems) -> tuple[tuple[Item, ...], PaymentMethod]:
    if order.status != "delivered":
        raise ActionRefused("Non-delivered order cannot be returned")
    method = order.method(arguments.payment_method_id)
    original = order.payments[0].method_id if order.payments else None
    if method.source != "gift_card" and method.id != original:
        raise ActionRefused("Payment method should be the original payment method")
    return order.chosen(arguments.item_ids, missing="Some item not found"), method


def _worth(items: tuple[Item, ...]) -> Decimal:
    return sum((item.price for item in items), Decimal(0))


async def request_return(ctx: ActionContext, arguments: ReturnItems) -> JsonValue:
    order = await own_order(ctx, arguments.order_id, lock=True)
    items, method = _check_return(order, arguments)
    await ctx.transaction.execute(
        "update shop.orders set status = $3, return_items = $4, return_payment_method_id = $5 "
        "where tenant = $1 and order_id = $2",
        ctx.tenant,
        order.order_id,
        RETURN_REQUESTED,
        sorted(arguments.item_ids),
        method.id,
    )
    return {
        "order_id": order.order_id,
        "status": RETURN_REQUESTED,
        "refund_amount": float(_worth(items)),
        "message": f"The return of {listed([f'the {item.name}' for item in items])} is registered; "
        "you get an e-mail that says how to send everything back. Once it has arrived, "
        f"{money(_worth(items))} goes back to {method.in_words()} {refund_timing(method)}.",
    }


async def request_return_facts(ctx: ActionContext, arguments: ReturnItems) -> dict[str, JsonValue]:
    order = await own_order(ctx, arguments.order_id, lock=False)
    items, method = _check_return(order, arguments)
    return {
        "customer": order.customer_name,
        "order_id": order.order_id,
        "refund_amount": float(_worth(items)),
        "items": [item.name for item in items],
        "payment_method": method.in_words(),
        "before": f"{order.status}; " + "; ".join(item.in_words() for item in items),
        "after": f"{RETURN_REQUESTED}; {money(_worth(items))} to {method.in_words()}",
    }


async def describe_return(ctx: ActionContext, arguments: ReturnItems) -> ActionDescription:
    order = await own_order(ctx, arguments.order_id, lock=False)
    items, method = _check_return(order, arguments)
    return descriptions.returned_items(
        order, items, _worth(items), to=method, after=RETURN_REQUESTED
    )


async def withdraw_return(ctx: ActionContext, arguments: ReturnItems, result: JsonValue) -> None:
    """Undo `request_return`: nothing else changes an order whose return is requested."""
    await ctx.transaction.execute(
        "update shop.orders "
        "set status = 'delivered', return_items = null, return_payment_method_id = null "
        "where tenant = $1 and order_id = $2 and status = $3",
        ctx.tenant,
        arguments.order_id,
        RETURN_REQUESTED,
    )


async def _check_exchange(ctx: ActionContext, order: Order, arguments: SwapItems) -> Swap:
    if order.status != "delivered":
        raise ActionRefused("Non-delivered order cannot be exchanged")
    return await plan_swap(ctx, order, arguments, _REFUSALS)


async def request_exchange(ctx: ActionContext, arguments: SwapItems) -> JsonValue:
    order = await own_order(ctx, arguments.order_id, lock=True)
    swap = await _check_exchange(ctx, order, arguments)
    await ctx.transaction.execute(
        "update shop.orders set status = $3, exchange_items = $4, exchange_new_items = $5, "
        "exchange_payment_method_id = $6, exchange_price_difference = $7 "
        "where tenant = $1 and order_id = $2",
        ctx.tenant,
        order.order_id,
        EXCHANGE_REQUESTED,
        sorted(arguments.item_ids),
        sorted(arguments.new_item_ids),
        swap.method.id,
        swap.difference,
    )
    return {
        "order_id": order.order_id,
        "status": EXCHANGE_REQUESTED,
        "price_difference": float(swap.difference),
        "message": f"The exchange for {listed(swap.new_in_words())} is registered; you get an e-mail "
        f"that says how to send the old items back. {swap.settlement_in_words()}",
    }


async def request_exchange_facts(ctx: ActionContext, arguments: SwapItems) -> dict[str, JsonValue]:
    order = await own_order(ctx, arguments.order_id, lock=False)
    swap = await _check_exchange(ctx, order, arguments)
    return swap.facts(order, after=EXCHANGE_REQUESTED)


async def describe_exchange(ctx: ActionContext, arguments: SwapItems) -> ActionDescription:
    order = await own_order(ctx, arguments.order_id, lock=False)
    swap = await _check_exchange(ctx, order, arguments)
    return descriptions.swapped_items(order, swap, verb="Exchange", after=EXCHANGE_REQUESTED)


async def withdraw_exchange(ctx: ActionContext, arguments: SwapItems, result: JsonValue) -> None:
    """Undo `request_exchange`: nothing else changes an order whose exchange is requested."""
    await ctx.transaction.execute(
        "update shop.orders set status = 'delivered', exchange_items = null, "
        "exchange_new_items = null, exchange_payment_method_id = null, "
        "exchange_price_difference = null "
        "where tenant = $1 and order_id = $2 and status = $3",
        ctx.tenant,
        arguments.order_id,
        EXCHANGE_REQUESTED,
    )
