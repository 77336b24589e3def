"""What can be done to an order after its delivery: send items back, or exchange them.

Both are requests: no money moves and the items stay in the order until the parcel has arrived.
"""

from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from holdfast import ActionContext, ActionRefused, Plan
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


@dataclass(frozen=True, kw_only=True)
class ItemReturn:
    """Items that can be sent back, and the method that their refund goes to."""

    order: Order
    items: tuple[Item, ...]
    method: PaymentMethod

    @property
    def worth(self) -> Decimal:
        """What was paid for the items, in US dollars."""
        return sum((item.price for item in self.items), Decimal(0))


async def _item_return(ctx: ActionContext, arguments: ReturnItems) -> ItemReturn:
    order = await own_order(ctx, arguments.order_id)
    if order.status != "delivered":
        raise ActionRefused("Non-delivered order cannot be returned")
    method = order.method(arguments.payment_method_id)
    original = order.payments[0].method_id if order.payments else None
    if method.source != "gift_card" and method.id != original:
        raise ActionRefused("Payment method should be the original payment method")
    items = order.chosen(arguments.item_ids, missing="Some item not found")
    return ItemReturn(order=order, items=items, method=method)


ITEM_RETURN = Plan(_item_return)


async def request_return(ctx: ActionContext, arguments: ReturnItems, plan: ItemReturn) -> JsonValue:
    await ctx.transaction.execute(
        "update shop.orders set status = $3, return_items = $4, return_payment_method_id = $5 "
        "where tenant = $1 and order_id = $2",
        ctx.tenant,
        arguments.order_id,
        RETURN_REQUESTED,
        sorted(arguments.item_ids),
        plan.method.id,
    )
    return {
        "order_id": arguments.order_id,
        "status": RETURN_REQUESTED,
        "refund_amount": float(plan.worth),
        "message": f"The return of {listed([f'the {item.name}' for item in plan.items])} is registered; "
        "you get an e-mail that says how to send everything back. Once it has arrived, "
        f"{money(plan.worth)} goes back to {plan.method.in_words()} {refund_timing(plan.method)}.",
    }


def request_return_facts(arguments: ReturnItems, plan: ItemReturn) -> dict[str, JsonValue]:
    return {
        "customer": plan.order.customer_name,
        "order_id": plan.order.order_id,
        "refund_amount": float(plan.worth),
        "items": [item.name for item in plan.items],
        "payment_method": plan.method.in_words(),
        "before": f"{plan.order.status}; " + "; ".join(item.in_words() for item in plan.items),
        "after": f"{RETURN_REQUESTED}; {money(plan.worth)} to {plan.method.in_words()}",
    }


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


async def _exchange(ctx: ActionContext, arguments: SwapItems) -> Swap:
    order = await own_order(ctx, arguments.order_id)
    if order.status != "delivered":
        raise ActionRefused("Non-delivered order cannot be exchanged")
    return await plan_swap(ctx, order, arguments, _REFUSALS)


EXCHANGE = Plan(_exchange)


async def request_exchange(ctx: ActionContext, arguments: SwapItems, swap: Swap) -> JsonValue:
    await ctx.transaction.execute(
        "update shop.orders set status = $3, exchange_items = $4, exchange_new_items = $5, "
        "exchange_payment_method_id = $6, exchange_price_difference = $7 "
        "where tenant = $1 and order_id = $2",
        ctx.tenant,
        arguments.order_id,
        EXCHANGE_REQUESTED,
        sorted(arguments.item_ids),
        sorted(arguments.new_item_ids),
        swap.method.id,
        swap.difference,
    )
    return {
        "order_id": arguments.order_id,
        "status": EXCHANGE_REQUESTED,
        "price_difference": float(swap.difference),
        "message": f"The exchange for {listed(swap.new_in_words())} is registered; you get an e-mail "
        f"that says how to send the old items back. {swap.settlement_in_words()}",
    }


def request_exchange_facts(arguments: SwapItems, swap: Swap) -> dict[str, JsonValue]:
    return swap.facts(after=EXCHANGE_REQUESTED)


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
