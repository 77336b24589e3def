"""What the shop's refusals say to a customer."""

_POOR = "That gift card does not hold enough for it."

REFUSALS = {
    "Order not found": "There is no order with that number in your account.",
    "Non-pending order cannot be cancelled": "Only an order that is still pending, with its items "
    "unchanged, can be cancelled. One that has been delivered can be returned.",
    "Non-pending order cannot be modified": "Only an order that is still pending can be changed, and "
    "its items only once.",
    "There should be exactly one payment for a pending order": "Something was paid or refunded for "
    "it since it was placed, so its payment cannot be moved any more.",
    "The new payment method should be different from the current one": "It is paid with that "
    "payment method already.",
    "Non-delivered order cannot be returned": "Only an order that has been delivered can be "
    "returned, and only once.",
    "Non-delivered order cannot be exchanged": "Items can be exchanged once their order has been "
    "delivered, and once for each order.",
    "Payment method should be the original payment method": "A refund can only go to the payment "
    "method that you paid with, or to a gift card in your account.",
    "New item ID not found or available": "The variant that you would like is not available.",
    "Insufficient gift card balance to pay for the order": _POOR,
    "Insufficient gift card balance to pay for the new item": _POOR,
    "Insufficient gift card balance to pay for the price difference": _POOR,
}
"""By the text of the error."""
