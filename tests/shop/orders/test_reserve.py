"""Without a language model, the shop's agent proposes what customers plainly ask for, and nothing else."""

import pytest

from holdfast_shop.demo_data import ORDER_TO_CANCEL, ORDER_TO_READDRESS, ORDER_TO_RETURN
from tests.llm.offline.reserves import ASKED, GERMAN_ASKED, GERMAN_RESERVED, RESERVED, Wording
from tests.shop.orders.conftest import OrdersAgent

WORDINGS = {
    "cancel_pending_order": Wording(
        "cancel", "cancelled", "cancelling", f"order {ORDER_TO_CANCEL}"
    ),
    "return_delivered_order_items": Wording(
        "return", "returned", "returning", f"the Merino Sweater from order {ORDER_TO_RETURN}"
    ),
    "modify_pending_order_address": Wording(
        "send",
        "sent",
        "sending",
        f"order {ORDER_TO_READDRESS} to 48 Orchard Lane, Portland, OR 97214",
    ),
}
REASON = "I ordered it by mistake."
"""Without it, a cancellation would be asked about for another reason than the words before."""

GERMAN_REASON = "Ich habe sie aus Versehen bestellt."


@pytest.mark.parametrize("form", RESERVED)
async def test_what_is_said_with_a_reserve_proposes_nothing(agent: OrdersAgent, form: str) -> None:
    for wording in WORDINGS.values():
        said = f"{wording.of(form)}\n{REASON}"
        turn = await agent.ask(said)
        assert "__interrupt__" not in turn.state, said
        assert turn.outcome is not None


@pytest.mark.parametrize("form", ASKED)
async def test_a_plain_request_is_proposed(agent: OrdersAgent, form: str) -> None:
    for action, wording in WORDINGS.items():
        if "{verbed}" in form and wording.verb == "send":
            continue  # nobody says so
        said = f"{wording.of(form)}\n{REASON}"
        turn = await agent.ask(said)
        assert [one.name for one in turn.proposal.actions] == [action], said


@pytest.mark.parametrize("form", GERMAN_RESERVED)
async def test_what_is_said_with_a_reserve_in_german_proposes_nothing(
    agent: OrdersAgent, form: str
) -> None:
    said = f"{form.format(object=f'Bestellung {ORDER_TO_CANCEL}')}\n{GERMAN_REASON}"
    assert "__interrupt__" not in (await agent.ask(said)).state, said


@pytest.mark.parametrize("form", GERMAN_ASKED)
async def test_a_plain_request_in_german_is_proposed(agent: OrdersAgent, form: str) -> None:
    said = f"{form.format(object=f'Bestellung {ORDER_TO_CANCEL}')}\n{GERMAN_REASON}"
    turn = await agent.ask(said)
    assert [one.name for one in turn.proposal.actions] == ["cancel_pending_order"], said


@pytest.mark.parametrize(
    "said",
    [
        f"Did you cancel order {ORDER_TO_CANCEL}?",
        f"Please don't cancel order {ORDER_TO_CANCEL}, just tell me where it is",
    ],
)
async def test_what_a_customer_fears_is_answered_by_how_things_are(
    agent: OrdersAgent, said: str
) -> None:
    turn = await agent.ask(said)
    assert turn.called == ["get_order_details"]
    assert f"Your order {ORDER_TO_CANCEL} is pending" in turn.text


async def test_of_two_orders_only_the_one_that_is_meant_is_cancelled(agent: OrdersAgent) -> None:
    turn = await agent.ask(
        f"Don't cancel order {ORDER_TO_READDRESS}. Please cancel order {ORDER_TO_CANCEL}, I ordered "
        "it by mistake."
    )
    [action] = turn.proposal.actions
    assert action.arguments["order_id"] == ORDER_TO_CANCEL
