"""The seven actions as reviewers read them: who and what, how much money, what changes to what."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from holdfast import ActionDescription, Change, Detail
from shop import phrases
from shop.arguments import Address, address_in_words
from shop.phrases import listed, money
from shop.records import Item, Order, Payment, PaymentMethod, refund_timing
from shop.swaps import Swap

CURRENCY = "USD"


def cancellation(order: Order, refunds: Sequence[Payment], *, reason: str) -> ActionDescription:
    """An order that is cancelled, and refunded entry by entry."""
    total = sum((refund.amount for refund in refunds), Decimal(0))
    targets = [_target(order, refund.method_id) for refund in refunds]
    back = f"{money(total)} goes back to {listed(targets)}" if refunds else "nothing was paid"
    return ActionDescription(
        title=f"Cancel order {_whose(order)}: {_count(order.items)}, {back}",
        details=(
            *_about(order),
            Detail(label="Reason", value=reason),
            *(_refund(order, refund) for refund in refunds),
            *_items(order.items),
        ),
        changes=(
            Change(what="Order status", before=order.status, after="cancelled"),
            *_balances(order, refunds),
        ),
        amount=total,
        currency=CURRENCY,
    )


def order_address(order: Order, address: Address) -> ActionDescription:
    """Where a pending order goes."""
    return ActionDescription(
        title=f"Ship order {_whose(order)} to {address.in_words()}",
        details=(*_about(order), *_items(order.items)),
        changes=(_moved("Shipping address", order.address, address),),
    )


def user_address(name: str, before: dict[str, str], address: Address) -> ActionDescription:
    """Where a customer's next orders go."""
    return ActionDescription(
        title=f"Change the default address of {name} to {address.in_words()}",
        details=(
            Detail(label="Customer", value=name),
            Detail(label="Orders placed before", value="keep their address"),
        ),
        changes=(_moved("Default address", before, address),),
    )


def payment_move(
    order: Order, paid: Payment, entries: Sequence[Payment], *, to: PaymentMethod
) -> ActionDescription:
    """A payment that another method takes over."""
    old = order.methods.get(paid.method_id)
    return ActionDescription(
        title=f"Pay order {_whose(order)}, {money(paid.amount)}, with {to.in_words()} "
        f"instead of {_target(order, paid.method_id)}",
        details=(
            *_about(order),
            Detail(
                label="Refund of the earlier payment",
                value=f"{money(paid.amount)}, {refund_timing(old)}",
            ),
            *_items(order.items),
        ),
        changes=(
            Change(
                what="Payment method",
                before=f"{old.name} ({old.id})" if old else paid.method_id,
                after=f"{to.name} ({to.id})",
            ),
            *_balances(order, entries),
        ),
        amount=paid.amount,
        currency=CURRENCY,
    )


def modification(
    order: Order, swap: Swap, settlement: Payment, *, status: str
) -> ActionDescription:
    """Items of a pending order that become other variants at once."""
    return _swapped(f"Replace {_named(swap.old)} in order", order, swap, status).model_copy(
        update={
            "changes": (
                *_swap_changes(order, swap, status),
                *_balances(order, [settlement]),
            )
        }
    )
