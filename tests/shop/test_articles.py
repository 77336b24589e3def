"""Customers' questions, answered from the help centre without a language model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_asyncio import fixture as async_fixture

import holdfast_shop
from holdfast import Reply, TurnContext
from holdfast.activities.resources import PooledReads
from holdfast.contract.subgraph import TranscriptMessage
from holdfast.graphs.knowledge import knowledge
from holdfast.knowledge.articles import read_articles
from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain
from holdfast.store.knowledge import load_articles
from holdfast.store.pool import Pool, open_pool
from holdfast_shop.hints import hints
from tests.shop.acting import DEMO


@async_fixture
async def help_centre(shop_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(shop_url, max_size=2) as pool:
        async with pool.acquire() as connection:
            await load_articles(
                connection,
                DEMO,
                "shop",
                read_articles(Path(holdfast_shop.__file__).parent / "articles"),
            )
        yield pool


async def answer(pool: Pool, question: str) -> Reply:
    client = ModelClient(Chain(), offline_transport=OfflineTransport([hints]))
    context = TurnContext(
        tenant=DEMO,
        conversation="c-1",
        turn=1,
        customer="ann",
        model=standalone_model(client),
        reads=PooledReads(pool),
    )
    asked = TranscriptMessage(seq=1, turn=1, role="customer", text=question)
    state = await knowledge.compiled().ainvoke({"transcript": [asked]}, context=context)
    await client.aclose()
    reply: Reply = state["outcome"]
    return reply


@pytest.mark.parametrize(
    ("question", "article", "says"),
    [
        ("What does shipping cost?", "shipping", ("4.95 USD", "12.95 USD")),
        ("How long does shipping take?", "shipping", ("3 to 5 business days", "1 to 2")),
        ("Can I return opened items?", "returns", ("unused and in their original packaging",)),
        ("Who pays for the return?", "returns", ("free within the United States",)),
        ("Can I return something after 30 days?", "returns", ("not possible any more",)),
        ("How long will the refund take?", "refunds", ("immediately", "5 to 7 business days")),
        (
            "How long does a refund take, and where does the money go?",
            "refunds",
            ("5 to 7 business days", "the payment method that you paid with"),
        ),
        ("Can I cancel only one item of an order?", "cancelling-an-order", ("not possible",)),
        ("Do gift cards expire?", "gift-cards", ("do not expire",)),
        ("How do I change my password?", "account-and-privacy", ('under "Profile"',)),
    ],
)
async def test_a_question_is_answered_from_its_article(
    help_centre: Pool, question: str, article: str, says: tuple[str, ...]
) -> None:
    reply = await answer(help_centre, question)

    assert [citation.id for citation in reply.citations] == [article]
    for words in says:
        assert words in reply.text


async def test_an_answer_of_several_sentences_has_one_mark_and_nothing_else(
    help_centre: Pool,
) -> None:
    reply = await answer(help_centre, "What does shipping cost?")

    assert reply.text == (
        "Standard shipping costs 4.95 USD and is free for orders of 50 USD or more. "
        "Express shipping costs 12.95 USD. [1]"
    )
