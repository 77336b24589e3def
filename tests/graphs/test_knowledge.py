"""The knowledge agent over the offline model and articles in Postgres."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from pytest_asyncio import fixture as async_fixture

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.outcomes import Reply
from holdfast.graphs.knowledge import knowledge
from holdfast.knowledge.articles import read_articles, split
from holdfast.store.knowledge import load_articles, search
from holdfast.store.pool import Connection, Pool, open_pool
from tests.graphs.asking import Asker


class PoolReads:
    """Connections of a pool, as they are: that of the platform begins with statements of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        return self._pool.acquire()


RETURNS = """# Returns

## How long you have

You can return items within 30 days of delivery. Keep the packaging.

## Who pays

The return label is free.
"""
BREAD = split("# Bread\n\nBaked at four.\n")
SHIPPING = """# Shipping

Standard shipping takes 3 days.

## Abroad

We ship to Canada for 20 USD.
"""


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    (tmp_path / "returns.md").write_text(RETURNS)
    (tmp_path / "delivery").mkdir()
    (tmp_path / "delivery" / "shipping.md").write_text(SHIPPING)
    return tmp_path


@async_fixture
async def loaded(pool: Pool, tenant: str, articles: Path) -> str:
    async with pool.acquire() as connection:
        assert await load_articles(connection, tenant, "help", read_articles(articles)) == 2
    return tenant


async def found(pool: Pool, tenant: str, query: str) -> list[str]:
    async with pool.acquire() as connection:
        return [passage.document for passage in await search(connection, tenant, query)]


async def test_loading_again_changes_only_what_changed(
    pool: Pool, loaded: str, articles: Path
) -> None:
    async with pool.acquire() as connection:
        assert await load_articles(connection, loaded, "help", read_articles(articles)) == 0
        (articles / "returns.md").write_text(RETURNS.replace("30 days", "60 days"))
        assert await load_articles(connection, loaded, "help", read_articles(articles)) == 1
        passages = await search(connection, loaded, "How long can I return?")

    assert "60 days" in passages[0].body


async def test_a_document_whose_file_is_gone_is_removed(
    pool: Pool, loaded: str, articles: Path
) -> None:
    (articles / "delivery" / "shipping.md").unlink()
    async with pool.acquire() as connection:
        await load_articles(connection, loaded, "help", read_articles(articles))

    assert await found(pool, loaded, "shipping to Canada") == []


async def test_each_package_has_articles_of_its_own(
    pool: Pool, loaded: str, articles: Path
) -> None:
    (articles / "returns.md").unlink()
    async with pool.acquire() as connection:
        await load_articles(connection, loaded, "bakery", {"bread": BREAD})
        assert await load_articles(connection, loaded, "help", read_articles(articles)) == 1
        assert await load_articles(connection, loaded, "ferry", {}) == 0

    assert await found(pool, loaded, "bread") == ["bread"]
    assert await found(pool, loaded, "shipping") == ["delivery/shipping"] * 2
    assert await found(pool, loaded, "returns") == []


async def test_an_id_that_another_package_has_is_refused_and_nothing_is_changed(
    pool: Pool, loaded: str
) -> None:
    theirs = {"bread": BREAD, "returns": split("# Returns\n\nNever bread.\n")}
    async with pool.acquire() as connection:
        with pytest.raises(
            ConfigurationError, match=r"'bakery' .* 'returns', and so has .* 'help'"
        ):
            await load_articles(connection, loaded, "bakery", theirs)

    assert await found(pool, loaded, "bread") == []
    assert await found(pool, loaded, "How long can I return?") == ["returns"] * 2


async def test_documents_of_no_package_become_those_of_the_first_with_their_ids(
    pool: Pool, loaded: str, articles: Path
) -> None:
    owners = "select id, package from holdfast.knowledge_documents where tenant = $1"
    async with pool.acquire() as connection:
        await connection.execute(
            "update holdfast.knowledge_documents set package = '' where tenant = $1", loaded
        )
        await load_articles(connection, loaded, "bakery", {"bread": BREAD})
        assert await load_articles(connection, loaded, "help", read_articles(articles)) == 2
        owned = {row["id"]: row["package"] for row in await connection.fetch(owners, loaded)}

    assert owned == {"bread": "bakery", "returns": "help", "delivery/shipping": "help"}


async def test_a_tenant_finds_only_its_own_articles(pool: Pool, loaded: str) -> None:
    assert await found(pool, loaded, "shipping") == ["delivery/shipping"] * 2
    assert await found(pool, "somebody-else", "shipping") == []


async def test_the_passage_with_more_of_the_words_comes_first(pool: Pool, loaded: str) -> None:
    async with pool.acquire() as connection:
        passages = await search(connection, loaded, "do you have shipping to Canada, please")

    assert passages[0].heading == "Shipping: Abroad"
    assert all(0 < passage.rank <= 1 for passage in passages)
    assert await found(pool, loaded, "the and ?") == []


async def test_an_answer_cites_the_article_that_it_comes_from(informed: Asker, loaded: str) -> None:
    reply = await informed.ask(knowledge, "How long do I have to return something?", tenant=loaded)

    assert isinstance(reply, Reply)
    assert "30 days" in reply.text
    assert "[1]" in reply.text
    assert [(one.id, one.title) for one in reply.citations] == [("returns", "Returns")]
    assert "30 days" in reply.citations[0].quote


async def test_a_short_follow_up_is_searched_for_with_the_question_before(
    informed: Asker, loaded: str
) -> None:
    reply = await informed.ask(
        knowledge,
        "How much is shipping abroad?",
        "20 USD to Canada. [1]",
        "And Canada?",
        tenant=loaded,
    )

    assert isinstance(reply, Reply)
    assert [one.id for one in reply.citations] == ["delivery/shipping"]


async def test_without_evidence_there_is_no_answer(informed: Asker, loaded: str) -> None:
    reply = await informed.ask(knowledge, "Who won the chess championship?", tenant=loaded)

    assert isinstance(reply, Reply)
    assert reply.citations == ()
    assert "found nothing" in reply.text


async def test_a_search_that_gives_up_does_not_fail_the_turn_and_says_so(
    asker: Asker, database_url: str, loaded: str
) -> None:
    words = " ".join(f"word{number}" for number in range(2_000))
    bounded = open_pool(database_url, read_only=True, max_size=1, statement_seconds=0.001)
    async with await bounded as pool:
        reply = await asker.reading(PoolReads(pool)).ask(knowledge, words, tenant=loaded)

    assert isinstance(reply, Reply)
    assert "could not search" in reply.text
    assert "found nothing" not in reply.text
