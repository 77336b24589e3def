"""Searching the help centre: what it costs has a bound, whatever is asked."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.knowledge.articles import read_articles
from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.knowledge import (
    CANDIDATES,
    RANKED,
    SEARCH,
    SOUGHT_WORDS,
    SearchGaveUp,
    load_articles,
    search,
)
from holdfast.store.pool import Connection, open_pool

CHUNKS = 3_000
COMMON = [f"common{n:02d}" for n in range(60)]
"""Every passage has each of these."""


@pytest.fixture
async def connection(stack_settings: Settings) -> AsyncIterator[Connection]:
    async with (
        await open_pool(require_migration_url(stack_settings), max_size=1) as pool,
        pool.acquire() as opened,
    ):
        yield opened


@pytest.fixture
async def large(connection: Connection, tenant: str, tmp_path: Path) -> str:
    """A help centre of many passages that are much alike."""
    section = f"\n\n## More\n\n{' '.join(COMMON)}"
    for number in range(CHUNKS // 100):
        sections = "".join(f"{section} serial{number}n{one}" for one in range(100))
        (tmp_path / f"a{number}.md").write_text(f"# Article {number}{sections}\n")
    await load_articles(connection, tenant, "help", read_articles(tmp_path))
    return tenant


async def plan(connection: Connection, tenant: str, query: str) -> dict[str, Any]:
    """The parts of the search's plan, by their names."""
    search_text, *values = SEARCH(
        tenant=tenant,
        query=query,
        most_words=SOUGHT_WORDS,
        candidates=CANDIDATES,
        ranked=RANKED,
        limit=4,
    )
    explained = await connection.fetchval(f"explain (analyze, format json) {search_text}", *values)
    ((whole),) = json.loads(explained) if isinstance(explained, str) else explained
    return {
        node["Subplan Name"]: node for node in nodes(whole["Plan"]) if "Subplan Name" in node
    } | {node["Index Name"]: node for node in nodes(whole["Plan"]) if "Index Name" in node}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(" ".join(COMMON * 30)[:16_000], id="common words, again and again"),
        pytest.param(f"{COMMON[0]} " * 1_700, id="one word, again and again"),
        pytest.param(
            " ".join(f"serial{a}n{b}" for a in range(30) for b in range(60))[:16_000],
            id="rare words, all different",
        ),
    ],
)
async def test_a_message_of_16000_characters_is_a_bounded_search(
    connection: Connection, large: str, message: str
) -> None:
    found = await plan(connection, large, message)

    assert found["CTE known"]["Actual Rows"] <= SOUGHT_WORDS
    assert found["CTE found"]["Actual Rows"] <= CANDIDATES
    assert "knowledge_chunks_words" in found
    assert len(await search(connection, large, message)) == 4


async def test_a_rare_word_is_found_among_many_common_ones(
    connection: Connection, large: str
) -> None:
    passages = await search(connection, large, " ".join([*COMMON * 20, "serial17n42"]))

    assert "serial17n42" in passages[0].body


async def test_a_word_counts_once_however_often_it_is_said(
    connection: Connection, tenant: str, tmp_path: Path
) -> None:
    (tmp_path / "returns.md").write_text("# Returns\n\nReturn it within 30 days.\n")
    (tmp_path / "shipping.md").write_text("# Shipping\n\nWe ship to Canada.\n")
    await load_articles(connection, tenant, "help", read_articles(tmp_path))

    once = await search(connection, tenant, "return to Canada")
    often = await search(connection, tenant, "return return return return to Canada")
    assert once == often
    assert len(once) == 2


async def test_words_are_counted_again_when_articles_change(
    connection: Connection, tenant: str, tmp_path: Path
) -> None:
    async def counted() -> dict[str, int]:
        rows = await connection.fetch(
            "select word, chunks from holdfast.knowledge_words where tenant = $1", tenant
        )
        return {row["word"]: row["chunks"] for row in rows}

    article = tmp_path / "a.md"
    article.write_text("# Parcels\n\nParcels fly.\n")
    await load_articles(connection, tenant, "help", read_articles(tmp_path))
    assert await counted() == {"parcel": 1, "fli": 1}
    article.write_text("# Parcels\n\nParcels swim.\n\n## More\n\nDaily.\n")
    await load_articles(connection, tenant, "help", read_articles(tmp_path))
    assert await counted() == {"parcel": 2, "swim": 1, "daili": 1}
    await load_articles(connection, tenant, "help", {})
    assert await counted() == {}


async def test_a_paragraph_of_any_length_becomes_passages_of_some_length(
    connection: Connection, tenant: str, tmp_path: Path
) -> None:
    (tmp_path / "long.md").write_text(f"# Long\n\n{'many words ' * 20_000}{'x' * 4_000}\n")
    await load_articles(connection, tenant, "help", read_articles(tmp_path))

    longest = "select max(length(body)) from holdfast.knowledge_chunks where tenant = $1"
    assert await connection.fetchval(longest, tenant) <= 1_500


@pytest.mark.parametrize("query", ["it's \\ 'quoted' & | ! <-> :* (", "a'b\\c http://x.y/z?q='1'"])
async def test_what_queries_are_written_with_is_only_text(
    connection: Connection, tenant: str, tmp_path: Path, query: str
) -> None:
    (tmp_path / "odd.md").write_text(f"# Odd\n\nAn {query} article, quoted.\n")
    await load_articles(connection, tenant, "help", read_articles(tmp_path))

    assert [one.document for one in await search(connection, tenant, query)] == ["odd"]


async def test_a_search_that_takes_too_long_gives_up(
    connection: Connection, large: str, tenant: str
) -> None:
    await connection.execute("set statement_timeout = '1ms'")
    with pytest.raises(SearchGaveUp, match="statement timeout"):
        await search(connection, large, " ".join(COMMON * 30)[:16_000])
    await connection.execute("reset statement_timeout")
