"""The demonstration's story, and natural variations of it, without a language model."""

import pytest

from holdfast import Escalation, Handoff
from holdfast_shop.demo_data import (
    CUSTOMER_CARD,
    CUSTOMER_GIFT_CARD,
    ORDER_ON_ITS_WAY,
    ORDER_TO_CANCEL,
    ORDER_TO_READDRESS,
    ORDER_TO_RETURN,
    OTHER_ORDER,
    SMALL_ORDER,
    TRACKING_ID,
)
from tests.shop.acting import items
from tests.shop.orders.conftest import OrdersAgent

BARE = ORDER_ON_ITS_WAY.removeprefix("#").lower()


@pytest.mark.parametrize(
    "text",
    [
        f"Where is my order {ORDER_ON_ITS_WAY}?",
        f"where's {BARE}",
        f"Can you track {BARE} please",
    ],
)
async def test_the_state_of_an_order_is_told(agent: OrdersAgent, text: str) -> None:
    turn = await agent.ask(text)

    assert turn.called == ["get_order_details"]
    for told in (ORDER_ON_ITS_WAY, "on its way", "Reading Lamp (brass shade", TRACKING_ID):
        assert told in turn.text


@pytest.mark.parametrize(
    "text",
    [
        f"When will order {ORDER_ON_ITS_WAY} arrive?",
        f"hi, order {BARE}: how long does it take?",
    ],
)
async def test_who_asks_when_an_order_arrives_learns_that_no_date_is_known(
    agent: OrdersAgent, text: str
) -> None:
    turn = await agent.ask(text)

    for told in ("on its way", TRACKING_ID, "I do not know the day"):
        assert told in turn.text


@pytest.mark.parametrize("text", ["What are my orders?", "show me all orders"])
async def test_a_customers_orders_are_listed_with_their_states(
    agent: OrdersAgent, text: str
) -> None:
    turn = await agent.ask(text)

    assert f"{ORDER_ON_ITS_WAY}: on its way" in turn.text
    assert f"{ORDER_TO_RETURN}: delivered" in turn.text


async def test_a_missing_order_number_is_asked_for_with_the_choices(agent: OrdersAgent) -> None:
    turn = await agent.ask("I would like to cancel an order")

    assert turn.called == ["get_user_details"]
    assert turn.text.startswith("Which order do you mean")
    assert SMALL_ORDER in turn.text


async def test_the_answer_to_a_question_goes_on_with_the_request(agent: OrdersAgent) -> None:
    question = f"Which order do you mean: {ORDER_TO_CANCEL} or {SMALL_ORDER}?"
    why = "Why would you like to cancel it: is it no longer needed, or was it ordered by mistake?"

    asked = await agent.ask("cancel an order", question, SMALL_ORDER)
    answered = await agent.ask("cancel an order", question, SMALL_ORDER, why, "by mistake, sorry")

    assert asked.text == why
    assert answered.proposal.actions[0].arguments == {
        "order_id": SMALL_ORDER,
        "reason": "ordered by mistake",
    }
    assert "cancel an order" in answered.proposal.reason


@pytest.mark.parametrize(
    "text",
    [
        f"Please send my order {ORDER_TO_READDRESS} to 12 Oak Street, Springfield, IL 62704, USA instead",
        f"could you ship {ORDER_TO_READDRESS[1:].lower()} to 12 oak street, springfield il 62704",
        f"New address for order {ORDER_TO_READDRESS}: 12 Oak Street, Springfield, IL 62704",
    ],
)
async def test_a_new_address_is_proposed(agent: OrdersAgent, text: str) -> None:
    turn = await agent.ask(text)

    (action,) = turn.proposal.actions
    assert action.name == "modify_pending_order_address"
    assert action.arguments == {
        "order_id": ORDER_TO_READDRESS,
        "address1": "12 Oak Street",
        "address2": "",
        "city": "Springfield",
        "state": "IL",
        "country": "USA",
        "zip": "62704",
    }


@pytest.mark.parametrize(
    "text",
    [
        f"Please cancel order {ORDER_TO_CANCEL}, I no longer need it",
        f"i don't need {ORDER_TO_CANCEL[1:].lower()} anymore, cancel it please",
    ],
)
async def test_a_cancellation_is_looked_up_and_proposed(agent: OrdersAgent, text: str) -> None:
    turn = await agent.ask(text)

    (action,) = turn.proposal.actions
    assert action.name == "cancel_pending_order"
    assert action.arguments == {"order_id": ORDER_TO_CANCEL, "reason": "no longer needed"}
    assert turn.called == ["get_order_details", "cancel_pending_order"]
    assert f"cancel order {ORDER_TO_CANCEL}" in turn.proposal.holding_message
    assert turn.proposal.evidence == (
        f"Order {ORDER_TO_CANCEL} is pending and contains Camping Tent (189.00 USD) and "
        "Alarm Clock (33.90 USD).",
    )


async def test_two_orders_are_cancelled_in_one_proposal(agent: OrdersAgent) -> None:
    turn = await agent.ask(f"Cancel {ORDER_TO_CANCEL} and {SMALL_ORDER}, ordered by mistake")

    assert [action.arguments["order_id"] for action in turn.proposal.actions] == [
        ORDER_TO_CANCEL,
        SMALL_ORDER,
    ]


async def test_a_return_names_the_item_and_the_original_payment(agent: OrdersAgent) -> None:
    turn = await agent.ask(f"I want to return the Merino Sweater from order {ORDER_TO_RETURN}")

    (action,) = turn.proposal.actions
    assert action.name == "return_delivered_order_items"
    assert action.arguments == {
        "order_id": ORDER_TO_RETURN,
        "item_ids": items(ORDER_TO_RETURN)[:1],
        "payment_method_id": CUSTOMER_CARD,
    }
    wanted = f"arrange the return of the Merino Sweater from order {ORDER_TO_RETURN}"
    assert wanted in turn.proposal.holding_message
    assert wanted in turn.proposal.reason


async def test_a_refund_goes_to_the_method_that_is_named(agent: OrdersAgent) -> None:
    turn = await agent.ask(
        f"I'd like to send back the mug of {ORDER_TO_RETURN}, refund to my gift card please"
    )

    (action,) = turn.proposal.actions
    assert action.arguments["item_ids"] == items(ORDER_TO_RETURN)[1:]
    assert action.arguments["payment_method_id"] == CUSTOMER_GIFT_CARD


async def test_an_item_that_the_order_does_not_have_is_asked_about(agent: OrdersAgent) -> None:
    turn = await agent.ask(f"Change the sweater in order {ORDER_TO_READDRESS} to size L")

    assert "Rain Jacket" in turn.text
    assert turn.text.endswith("Which would you like to change?")


async def test_an_executed_action_is_told(agent: OrdersAgent) -> None:
    turn = await agent.ask(f"Please cancel order {ORDER_TO_CANCEL}, I no longer need it")
    message = f"Order {ORDER_TO_CANCEL} is cancelled."

    await turn.decided("executed", result={"message": message})

    assert turn.text == f"Done. {message}"


async def test_a_rejection_is_told_with_the_reviewers_reason(agent: OrdersAgent) -> None:
    turn = await agent.ask(f"Please cancel order {ORDER_TO_CANCEL}, I no longer need it")

    await turn.decided("rejected", error="It is already being packed")

    assert "colleague" in turn.text
    assert turn.text.endswith("Their reason: “It is already being packed.”")


async def test_a_refusal_is_told_in_a_customers_words(agent: OrdersAgent) -> None:
    turn = await agent.ask(f"Please cancel order {ORDER_ON_ITS_WAY}, I no longer need it")

    await turn.decided("refused", error="Non-pending order cannot be cancelled")

    assert f"could not cancel order {ORDER_ON_ITS_WAY}. Only an order that is still" in turn.text


async def test_another_customers_order_is_not_found(agent: OrdersAgent) -> None:
    turn = await agent.ask(f"cancel {OTHER_ORDER}, I no longer need it")

    assert "no order with that number in your account" in turn.text
    assert "cancel_pending_order" not in turn.called


async def test_a_customer_who_insists_on_a_person_gets_one(agent: OrdersAgent) -> None:
    turn = await agent.ask("I want to talk to a human about this")

    assert isinstance(turn.outcome, Escalation)
    assert turn.called == ["transfer_to_human_agents"]
    assert "talk to a human" in turn.outcome.reason


async def test_a_general_question_is_handed_over(agent: OrdersAgent) -> None:
    turn = await agent.ask("How long do I have to return something?")

    assert isinstance(turn.outcome, Handoff)
    assert turn.outcome.to == "knowledge"
