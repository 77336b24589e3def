"""The people and orders that the demonstration's story names; `shop.generate` makes them."""

CUSTOMER = "mara_lind_4821"
CUSTOMER_NAME = ("Mara", "Lind")
CUSTOMER_EMAIL = "mara.lind@example.com"
CUSTOMER_ZIP = "97214"
CUSTOMER_CARD = "credit_card_4821001"
CUSTOMER_GIFT_CARD = "gift_card_4821002"
"""Holds 75 US dollars."""

ORDER_ON_ITS_WAY = "#W4821101"
"""Processed, with a tracking id to ask about."""
TRACKING_ID = "482110155017"
ORDER_TO_READDRESS = "#W4821102"
"""Pending: its shipping address may change at once."""
ORDER_TO_CANCEL = "#W4821103"
"""Pending, above 100 US dollars: its cancellation needs an approval."""
ORDER_TO_RETURN = "#W4821104"
"""Delivered: a Merino Sweater and a Ceramic Mug to send back or exchange."""
SMALL_ORDER = "#W4821105"
"""Pending, below 100 US dollars: it can be cancelled without an approval."""

OTHER_CUSTOMER = "tomas_berg_3177"
OTHER_NAME = ("Tomas", "Berg")
OTHER_EMAIL = "tomas.berg@example.com"
OTHER_ZIP = "04101"
OTHER_PAYPAL = "paypal_3177001"
OTHER_ORDER = "#W3177101"
"""Pending, and not Mara Lind's."""
