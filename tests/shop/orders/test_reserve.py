"""Without a language model, the shop's agent proposes what customers plainly ask for, and nothing else."""

import pytest

from holdfast_shop.demo_data import ORDER_TO_CANCEL, ORDER_TO_READDRESS, ORDER_TO_RETURN
from tests.llm.offline.indirect import GERMAN_INDIRECT, GIVES_THE_REASON, INDIRECT, TAKES_BACK
from tests.llm.offline.reserves import (
    ASKED,
    ASKED_AMONG_OTHER_WORDS,
    GERMAN_ASKED,
    GERMAN_RESERVED,
    RESERVED,
    Wording,
)
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
        said = wording.of(form)
        if action == "cancel_pending_order":
            said = f"{said}\n{REASON}"
        turn = await agent.ask(said)
        assert [one.name for one in turn.proposal.actions] == [action], said


@pytest.mark.parametrize("form", ASKED_AMONG_OTHER_WORDS)
async def test_a_request_among_other_words_is_proposed_once_it_is_confirmed(
    agent: OrdersAgent, form: str
) -> None:
    for action, wording in WORDINGS.items():
        said = f"{wording.of(form)}\n{REASON} Or so."
        question = (await agent.ask(said)).text
        assert question.startswith("Shall I "), said
        turn = await agent.ask(said, question, "Yes, please.")
        assert [one.name for one in turn.proposal.actions] == [action], said


@pytest.mark.parametrize(
    "said",
    [
        f"Please cancel the gift wrapping of order {ORDER_TO_CANCEL}, I no longer need it.",
        f"Please cancel only the alarm clock of order {ORDER_TO_CANCEL}, I no longer need it.",
        f"Bitte stornieren Sie nur den Wecker aus {ORDER_TO_CANCEL}, ich brauche sie nicht mehr.",
        f"Please cancel {ORDER_TO_CANCEL} in two weeks, I no longer need it",
        f"Will you cancel {ORDER_TO_CANCEL}? I no longer need it, but I am just asking",
        f"Würden Sie {ORDER_TO_CANCEL} stornieren? Ich brauche sie nicht mehr.",
        f"Please cancel {ORDER_TO_CANCEL}, haha, no longer needed, joke",
        f"Please send a copy of the invoice for {ORDER_TO_READDRESS} to 5 Oak Street, Portland, OR 97201",
        f"Please return my call about the mug in {ORDER_TO_RETURN}",
        f"I want to use my credit card for my next purchase. What is in {ORDER_TO_READDRESS}?",
        "I moved in with a friend for a week: 5 Oak Street, Portland, OR 97201. Please keep my address "
        "as it is.",
    ],
)
async def test_what_is_not_wholly_understood_is_asked_about(agent: OrdersAgent, said: str) -> None:
    question = (await agent.ask(said)).text
    assert question.startswith(("Shall I ", "Soll ich ")), question

    turn = await agent.ask(said, question, "no")
    assert turn.text.startswith(("I have not changed anything.", "Ich habe nichts geändert."))


async def test_of_two_requests_in_one_message_neither_is_dropped_without_a_word(
    agent: OrdersAgent,
) -> None:
    turn = await agent.ask(
        f"Please cancel {ORDER_TO_CANCEL}, I no longer need it, and send {ORDER_TO_READDRESS} to 5 Oak "
        "Street, Portland, OR 97201"
    )
    assert "please ask for each in a message of its own" in turn.text


@pytest.mark.parametrize(
    "answer",
    [
        "I ordered it by mistake, but I have grown fond of it",
        "hm, let me ask my wife if it was ordered by mistake",
        "I have to check whether it is no longer needed",
        "It might be no longer needed.",
    ],
)
async def test_a_doubtful_reason_proposes_nothing(agent: OrdersAgent, answer: str) -> None:
    turn = await agent.ask(f"Please cancel order {ORDER_TO_CANCEL}", WHY, answer)
    assert "__interrupt__" not in turn.state


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
    said = (
        f"Don't cancel order {ORDER_TO_READDRESS}. Please cancel order {ORDER_TO_CANCEL}, I ordered "
        "it by mistake."
    )
    turn = await agent.ask(said, (await agent.ask(said)).text, "yes")
    [action] = turn.proposal.actions
    assert action.arguments["order_id"] == ORDER_TO_CANCEL


WHY = "Why would you like to cancel it: is it no longer needed, or was it ordered by mistake?"


@pytest.mark.parametrize("form", [*INDIRECT, *GERMAN_INDIRECT])
async def test_what_only_speaks_of_a_cancellation_proposes_nothing(
    agent: OrdersAgent, form: str
) -> None:
    for reason in ("", f"\n{REASON}", f"\n{GERMAN_REASON}"):
        said = f"{form.format(object=f'order {ORDER_TO_CANCEL}')}{reason}"
        assert "__interrupt__" not in (await agent.ask(said)).state, said


async def test_a_refund_that_is_waited_for_is_no_request(agent: OrdersAgent) -> None:
    said = f"I am still waiting for the refund of my sweater from order {ORDER_TO_RETURN}"
    assert "__interrupt__" not in (await agent.ask(said)).state


@pytest.mark.parametrize("answer", TAKES_BACK)
async def test_an_answer_that_takes_the_request_back_proposes_nothing(
    agent: OrdersAgent, answer: str
) -> None:
    for asked in (
        f"Please cancel order {ORDER_TO_CANCEL}",
        f"Bitte stornieren Sie Bestellung {ORDER_TO_CANCEL}",
    ):
        assert (await agent.ask(asked)).text == WHY
        turn = await agent.ask(asked, WHY, answer)
        assert "__interrupt__" not in turn.state, answer


@pytest.mark.parametrize("answer", GIVES_THE_REASON)
async def test_an_answer_that_gives_the_reason_goes_on(agent: OrdersAgent, answer: str) -> None:
    turn = await agent.ask(f"Please cancel order {ORDER_TO_CANCEL}", WHY, answer)
    assert [one.name for one in turn.proposal.actions] == ["cancel_pending_order"], answer


async def test_an_answer_after_another_question_does_not_go_on(agent: OrdersAgent) -> None:
    turn = await agent.ask(
        f"Please cancel order {ORDER_TO_CANCEL}",
        WHY,
        "How long do I have to return something?",
        "You have 30 days. Is there anything else?",
        "It is no longer needed",
    )
    assert "__interrupt__" not in turn.state
