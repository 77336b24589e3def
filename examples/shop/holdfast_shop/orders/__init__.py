"""The orders agent: looks up a customer's orders and proposes changes to them."""

from holdfast import Escalation, Exchange, tool_agent
from holdfast_shop.actions import ACTIONS
from holdfast_shop.orders.prompt import system_prompt
from holdfast_shop.orders.wording import explain
from holdfast_shop.reads import READS, TRANSFER


def _conclude(exchange: Exchange, text: str) -> Escalation | None:
    """After a transfer to a person, the model's words are its farewell."""
    for call in exchange.calls:
        if call.name == TRANSFER.name:
            summary = call.arguments.get("summary") or "The customer needs a person."
            return Escalation(reason=str(summary), text=text)
    return None


orders = tool_agent(
    name="orders",
    description="Orders, products and account details: where an order is, cancelling it, changing "
    "its address, items or payment, returning or exchanging items, and which products the shop sells.",
    prompt=system_prompt,
    reads=READS,
    actions=ACTIONS,
    explain=explain,
    conclude=_conclude,
)
