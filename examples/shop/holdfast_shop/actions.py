"""What the shop's agents may propose: seven changes to a customer's own orders and profile."""

from typing import Any

from holdfast import Action
from holdfast_shop import addresses, delivered, descriptions, pending
from holdfast_shop.arguments import (
    CancelPendingOrder,
    ModifyPendingOrderAddress,
    ModifyPendingOrderPayment,
    ModifyUserAddress,
    ReturnItems,
    SwapItems,
)

_ORDER_FACTS = ("customer", "order_id", "items", "before", "after")

# Money that went back to a card cannot be fetched again, so what refunds has no way back.
ACTIONS: tuple[Action[Any], ...] = (
    Action(
        name="cancel_pending_order",
        description="Cancel a pending order and refund it to the payment method it was paid with: "
        "at once to a gift card, else within 5 to 7 business days.",
        arguments=CancelPendingOrder,
        execute=pending.CANCELLATION.execute(pending.cancel),
        facts=pending.CANCELLATION.facts(pending.cancel_facts),
        fact_names=(*_ORDER_FACTS, "refund_amount", "paid_amount"),
        describe=pending.CANCELLATION.describe(descriptions.cancellation),
    ),
    Action(
        name="modify_pending_order_address",
        description="Change the shipping address of a pending order.",
        arguments=ModifyPendingOrderAddress,
        execute=addresses.ORDER_ADDRESS.execute(addresses.change_order_address),
        facts=addresses.ORDER_ADDRESS.facts(addresses.order_address_facts),
        fact_names=_ORDER_FACTS,
        describe=addresses.ORDER_ADDRESS.describe(descriptions.order_address),
        compensate=addresses.restore_order_address,
    ),
    Action(
        name="modify_pending_order_items",
        description="Replace items of a pending order by other variants of the same products. "
        "Possible once; afterwards the order can neither be modified again nor cancelled. "
        "The payment method pays the price difference or gets it back.",
        arguments=SwapItems,
        execute=pending.ITEM_SWAP.execute(pending.modify_items),
        facts=pending.ITEM_SWAP.facts(pending.modify_items_facts),
        fact_names=(*_ORDER_FACTS, "price_difference", "payment_method"),
        describe=pending.ITEM_SWAP.describe(descriptions.modified_items),
    ),
    Action(
        name="modify_pending_order_payment",
        description="Move the payment of a pending order to another of the customer's payment "
        "methods; a gift card must hold the whole amount.",
        arguments=ModifyPendingOrderPayment,
        execute=pending.MOVED_PAYMENT.execute(pending.change_payment),
        facts=pending.MOVED_PAYMENT.facts(pending.change_payment_facts),
        fact_names=(*_ORDER_FACTS, "amount"),
        describe=pending.MOVED_PAYMENT.describe(descriptions.moved_payment),
    ),
    Action(
        name="modify_user_address",
        description="Change the default address in the customer's profile; orders keep theirs.",
        arguments=ModifyUserAddress,
        execute=addresses.USER_ADDRESS.execute(addresses.change_user_address),
        facts=addresses.USER_ADDRESS.facts(addresses.user_address_facts),
        fact_names=("customer", "before", "after"),
        describe=addresses.USER_ADDRESS.describe(descriptions.user_address),
        compensate=addresses.restore_user_address,
    ),
    Action(
        name="return_delivered_order_items",
        description="Request the return of items of a delivered order. The refund goes to the "
        "original payment method or to a gift card of the customer's.",
        arguments=ReturnItems,
        execute=delivered.ITEM_RETURN.execute(delivered.request_return),
        facts=delivered.ITEM_RETURN.facts(delivered.request_return_facts),
        fact_names=(*_ORDER_FACTS, "refund_amount", "payment_method"),
        describe=delivered.ITEM_RETURN.describe(descriptions.returned_items),
        compensate=delivered.withdraw_return,
    ),
    Action(
        name="exchange_delivered_order_items",
        description="Request the exchange of items of a delivered order for other variants of the "
        "same products. Possible once for an order. The payment method pays the price difference "
        "or gets it back.",
        arguments=SwapItems,
        execute=delivered.EXCHANGE.execute(delivered.request_exchange),
        facts=delivered.EXCHANGE.facts(delivered.request_exchange_facts),
        fact_names=(*_ORDER_FACTS, "price_difference", "payment_method"),
        describe=delivered.EXCHANGE.describe(descriptions.exchanged_items),
        compensate=delivered.withdraw_exchange,
    ),
)
