"""The orders agent: looks up a customer's orders and proposes changes to them."""

from holdfast import Subgraph
from holdfast_shop.orders.graph import build

orders = Subgraph(
    name="orders",
    description="Orders, products and account details: where an order is, cancelling it, changing "
    "its address, items or payment, returning or exchanging items, and which products the shop sells.",
    graph=build,
)
