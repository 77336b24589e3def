"""The general agent over the offline model."""

from holdfast.domain.outcomes import Handoff, Reply
from holdfast.graphs.general import general
from tests.graphs.asking import Asker


async def text_of(asker: Asker, *texts: str) -> str:
    reply = await asker.ask(general, *texts)
    assert isinstance(reply, Reply)
    return reply.text


async def test_a_greeting_is_answered_with_what_the_agents_can_do(asker: Asker) -> None:
    text = await text_of(asker, "Hello")

    assert text == (
        "Hello! I can help you with orders, parcels and payments, and with general questions about "
        "rules and how things work. What can I do for you?"
    )


async def test_thanks_are_welcome(asker: Asker) -> None:
    assert "welcome" in await text_of(asker, "Thank you!")


async def test_the_offline_model_says_that_it_is_one(asker: Asker) -> None:
    assert "offline model" in await text_of(asker, "Who are you?")


async def test_what_is_out_of_scope_is_declined_with_an_offer(asker: Asker) -> None:
    text = await text_of(asker, "Tell me a joke")

    assert "cannot help with that" in text
    assert "I can help you with orders, parcels and payments" in text


async def test_a_message_of_another_agent_is_handed_over(asker: Asker) -> None:
    handoff = await asker.ask(general, "Where is my order #12?")

    assert isinstance(handoff, Handoff)
    assert handoff.to == "orders"
    assert "#12" in handoff.note


async def test_a_message_that_was_handed_over_is_not_handed_back(asker: Asker) -> None:
    assert isinstance(
        await asker.ask(general, "Where is my order #12?", note="No such order"), Reply
    )
