"""The seven actions as reviewers read them: who and what, how much money, what changes to what."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from holdfast import ActionDescription, Change, Detail
from holdfast_shop import phrases
from holdfast_shop.addresses import Profile
from holdfast_shop.arguments import (
    Address,
    CancelPendingOrder,
    ModifyPendingOrderPayment,
    ReturnItems,
    SwapItems,
    address_in_words,
)
from holdfast_shop.delivered import EXCHANGE_REQUESTED, RETURN_REQUESTED, ItemReturn
from holdfast_shop.pending import MODIFIED, Cancellation, MovedPayment
from holdfast_shop.phrases import listed, money
from holdfast_shop.records import Item, Order, Payment, refund_timing
from holdfast_shop.swaps import Swap

CURRENCY = "USD"
_GERMAN_SWAPS = {"Exchange": "umtauschen"}


def cancellation(arguments: CancelPendingOrder, plan: Cancellation) -> ActionDescription:
    """An order that is cancelled, and refunded entry by entry."""
    order, refunds = plan.order, plan.refunds
    targets = list(dict.fromkeys(_target(order, refund.method_id) for refund in refunds))
    back = f"{money(plan.amount)} goes back to {listed(targets)}" if refunds else "nothing was paid"
    return ActionDescription(
        title=f"Cancel order {_whose(order)}: {_count(order.items)}, {back}",
        customer_title={
            "en": f"Cancel order {order.order_id}",
            "de": f"Bestellung {order.order_id} stornieren",
        },
        details=(
            *_about(order),
            Detail(label="Reason", value=arguments.reason),
            *(_refund(order, refund) for refund in refunds),
            *_items(order.items),
        ),
        changes=(
            Change(what="Order status", before=order.status, after="cancelled"),
            *_balances(order, refunds),
        ),
        amount=plan.amount,
        currency=CURRENCY,
    )


def order_address(address: Address, order: Order) -> ActionDescription:
    """Where a pending order goes."""
    return ActionDescription(
        title=f"Ship order {_whose(order)} to {address.in_words()}",
        customer_title={
            "en": f"Ship order {order.order_id} to {address.in_words()}",
            "de": f"Bestellung {order.order_id} an {address.in_words()} senden",
        },
        details=(*_about(order), *_items(order.items)),
        changes=(_moved("Shipping address", order.address, address),),
    )


def user_address(address: Address, profile: Profile) -> ActionDescription:
    """Where a customer's next orders go."""
    return ActionDescription(
        title=f"Change the default address of {profile.name} to {address.in_words()}",
        customer_title={
            "en": f"Change your default address to {address.in_words()}",
            "de": f"Ihre Standardadresse ändern: {address.in_words()}",
        },
        details=(
            Detail(label="Customer", value=profile.name),
            Detail(label="Orders placed before", value="keep their address"),
        ),
        changes=(_moved("Default address", profile.address, address),),
    )


def moved_payment(arguments: ModifyPendingOrderPayment, plan: MovedPayment) -> ActionDescription:
    """A payment that another method takes over."""
    order, paid, old, to = plan.order, plan.paid, plan.before, plan.to
    return ActionDescription(
        title=f"Pay order {_whose(order)}, {money(paid.amount)}, with {to.in_words()} "
        f"instead of {_target(order, paid.method_id)}",
        customer_title={
            "en": f"Pay order {order.order_id} with {to.in_words()}",
            "de": f"Die Zahlungsart von Bestellung {order.order_id} ändern",
        },
        details=(
            *_about(order),
            Detail(
                label="Refund of the earlier payment",
                value=f"{money(paid.amount)} {refund_timing(old)}",
            ),
            *_items(order.items),
        ),
        changes=(
            Change(
                what="Payment method",
                before=f"{old.name} ({old.id})" if old else paid.method_id,
                after=f"{to.name} ({to.id})",
            ),
            *_balances(order, plan.entries),
        ),
        amount=paid.amount,
        currency=CURRENCY,
    )


def modified_items(arguments: SwapItems, swap: Swap) -> ActionDescription:
    """Items of a pending order that become other variants, paid at once."""
    return _swapped_items(swap, verb="Replace", after=MODIFIED, entries=[swap.settlement])


def exchanged_items(arguments: SwapItems, swap: Swap) -> ActionDescription:
    """Items of a delivered order that become other variants."""
    return _swapped_items(swap, verb="Exchange", after=EXCHANGE_REQUESTED)


def _swapped_items(
    swap: Swap, *, verb: str, after: str, entries: Sequence[Payment] = ()
) -> ActionDescription:
    """`entries` are the payments that this makes at once."""
    order = swap.order
    return ActionDescription(
        title=f"{verb} {_count(swap.pairs)} of order {_whose(order)}: {_difference(swap)}",
        customer_title={
            "en": f"{verb} {_count(swap.pairs)} of order {order.order_id}",
            "de": f"{_german_count(swap.pairs)} aus Bestellung {order.order_id} "
            f"{_GERMAN_SWAPS.get(verb, 'ändern')}",
        },
        details=(
            *_about(order),
            Detail(label="Price difference", value=f"{swap.difference:+.2f} {CURRENCY}"),
            Detail(label="Payment method", value=f"{swap.method.name} ({swap.method.id})"),
        ),
        changes=(
            Change(what="Order status", before=order.status, after=after),
            *(
                Change(
                    what=old.name,
                    before=_variant(old.options, old.price),
                    after=_variant(new.options, new.price),
                )
                for old, new in swap.pairs
            ),
            *_balances(order, entries),
        ),
        amount=abs(swap.difference),
        currency=CURRENCY,
    )


def returned_items(arguments: ReturnItems, plan: ItemReturn) -> ActionDescription:
    """Items that come back; their money follows when they have arrived."""
    order, items, worth, to = plan.order, plan.items, plan.worth, plan.method
    return ActionDescription(
        title=f"Take back {_count(items)} of order {_whose(order)}: "
        f"{money(worth)} goes back to {to.in_words()}",
        customer_title={
            "en": f"Return {_count(items)} of order {order.order_id}",
            "de": f"{_german_count(items)} aus Bestellung {order.order_id} zurückgeben",
        },
        details=(
            *_about(order),
            Detail(
                label="Refund, once the parcel has arrived",
                value=f"{money(worth)} to {to.in_words()} ({to.id}), {refund_timing(to)}",
            ),
            *_items(items),
        ),
        changes=(Change(what="Order status", before=order.status, after=RETURN_REQUESTED),),
        amount=worth,
        currency=CURRENCY,
    )


def _whose(order: Order) -> str:
    return f"{order.order_id} of {order.customer_name}"


def _count(things: Sequence[object]) -> str:
    return "1 item" if len(things) == 1 else f"{len(things)} items"


def _german_count(things: Sequence[object]) -> str:
    return f"{len(things)} Artikel"


def _about(order: Order) -> tuple[Detail, ...]:
    return (
        Detail(label="Customer", value=order.customer_name),
        Detail(label="Order", value=order.order_id),
    )


def _items(items: Sequence[Item]) -> list[Detail]:
    """A line for each; equal ones share theirs."""
    counted = Counter((item.in_words(), item.price) for item in items)
    return [
        Detail(label="Item", value=f"{words}, {money(price)}")
        if count == 1
        else Detail(label=f"{count} items", value=f"{words}, {money(price)} each")
        for (words, price), count in counted.items()
    ]


def _variant(options: dict[str, str], price: Decimal) -> str:
    """'blue, size M, for 19.90 USD'."""
    return f"{phrases.variant(options)}, for {money(price)}" if options else money(price)


def _difference(swap: Swap) -> str:
    if swap.difference > 0:
        return f"{money(swap.difference)} more, paid with {swap.method.in_words()}"
    if swap.difference < 0:
        return f"{money(-swap.difference)} goes back to {swap.method.in_words()}"
    return "the price stays the same"


def _refund(order: Order, refund: Payment) -> Detail:
    timing = refund_timing(order.methods.get(refund.method_id))
    target = f"{_target(order, refund.method_id)} ({refund.method_id})"
    return Detail(label="Refund", value=f"{money(refund.amount)} to {target}, {timing}")


def _target(order: Order, method_id: str) -> str:
    """A payment method in words; one that the customer has no more has only its id."""
    method = order.methods.get(method_id)
    return method.in_words() if method else method_id


def _moved(what: str, before: dict[str, str], address: Address) -> Change:
    return Change(what=what, before=address_in_words(before), after=address.in_words())


def _balances(order: Order, entries: Sequence[Payment]) -> list[Change]:
    """What the entries, which take effect at once, make of the gift cards' balances."""
    added: dict[str, Decimal] = {}
    for entry in entries:
        signed = entry.amount if entry.kind == "refund" else -entry.amount
        added[entry.method_id] = added.get(entry.method_id, Decimal(0)) + signed
    return [
        Change(
            what=f"Balance of the gift card ({method.id})",
            before=money(method.balance),
            after=money(method.balance + added[method.id]),
        )
        for method in order.methods.values()
        if method.balance is not None and added.get(method.id)
    ]
