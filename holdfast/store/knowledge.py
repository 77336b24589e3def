"""Help-centre articles of a tenant: recording them, and finding passages in them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.model import Frozen
from holdfast.store.pool import Connection
from holdfast.store.sql import statement

_NOBODY = ""
"""The package of documents that were loaded before it was known to whom they belong."""


SOUGHT_WORDS = 20
CANDIDATES = 600
"""Passages that are compared; of more that have the same common word, some are not looked at."""
RANKED = 40
"""Of these, those in which the distances of the words are worked out, which costs most."""

SEARCH = statement("search_knowledge")


class SearchGaveUp(Exception):
    """A search took longer than statements on its connection may."""


class Passage(Frozen):
    """A found piece of a document. `rank` is between 0 and 1, higher is better."""

    document: str
    title: str
    heading: str
    body: str
    rank: float


@dataclass(frozen=True)
class Section:
    """A piece of an article, under its heading: what is searched, and found."""

    heading: str
    body: str


@dataclass(frozen=True)
class Article:
    """A document as it was written, and its sections."""

    title: str
    text: str
    sections: tuple[Section, ...]


async def load_articles(
    connection: Connection, tenant: str, package: str, articles: Mapping[str, Article]
) -> int:
    """Make the tenant's documents of a package equal `articles`, by id; how many changed.

    What is as it was costs nothing. Documents of other packages stay; those of no package, which an
    earlier version has loaded, become the package's own where their ids are.

    Raises:
        ConfigurationError: a document of another package has the same id; nothing is changed then.
    """
    digests = {
        name: hashlib.sha256(one.text.encode()).hexdigest() for name, one in articles.items()
    }
    async with connection.transaction():
        rows = await connection.fetch(
            """
            select id, digest, package from holdfast.knowledge_documents
             where tenant = $1 and (package = $2 or id = any($3)) for update
            """,
            tenant,
            package,
            list(articles),
        )
        for row in rows:
            if row["package"] not in (package, _NOBODY):
                raise ConfigurationError(
                    f"package {package!r} has an article {row['id']!r}, and so has package "
                    f"{row['package']!r} in tenant {tenant!r}: rename one, or remove the documents of "
                    "the other package"
                )
        known = {row["id"]: row["digest"] for row in rows if row["package"] == package}
        gone = [name for name in known if name not in articles]
        changed = [name for name in articles if known.get(name) != digests[name]]
        await connection.execute(
            "delete from holdfast.knowledge_documents where tenant = $1 and id = any($2)",
            tenant,
            [*gone, *changed],
        )
        for name in changed:
            await _insert(connection, tenant, package, name, articles[name], digests[name])
        await _count_words(connection, tenant)
    return len(gone) + len(changed)


async def _insert(
    connection: Connection, tenant: str, package: str, document: str, article: Article, digest: str
) -> None:
    await connection.execute(
        """
        insert into holdfast.knowledge_documents (tenant, id, title, body, digest, package)
        values ($1, $2, $3, $4, $5, $6)
        """,
        tenant,
        document,
        article.title,
        article.text,
        digest,
        package,
    )
    await connection.executemany(
        """
        insert into holdfast.knowledge_chunks (tenant, document, ordinal, heading, body)
        values ($1, $2, $3, $4, $5)
        """,
        [
            (tenant, document, ordinal, section.heading, section.body)
            for ordinal, section in enumerate(article.sections)
        ],
    )


async def _count_words(connection: Connection, tenant: str) -> None:
    await connection.execute("delete from holdfast.knowledge_words where tenant = $1", tenant)
    await connection.execute(
        """
        insert into holdfast.knowledge_words (tenant, word, chunks)
        select $1, word, count(*)
          from holdfast.knowledge_chunks, unnest(tsvector_to_array(search)) as word
         where tenant = $1
         group by word
        """,
        tenant,
    )


async def search(
    connection: Connection, tenant: str, query: str, *, limit: int = 4
) -> list[Passage]:
    """The passages that match `query` best, best first.

    Any of the query's words counts, once, headings most; the rank shrinks with the share of the words
    that a passage lacks, so that one with all of them comes first. Asking for all words at once instead
    would let one that happens to contain "get" hide the passages about refunds.

    What it costs is bounded, whatever is asked: of the words that the tenant's articles have, the
    `SOUGHT_WORDS` rarest count, and passages are collected from the rarest on, up to `CANDIDATES`.

    Raises:
        SearchGaveUp: Postgres has cancelled it, since it took longer than this connection may.
    """
    try:
        rows = await connection.fetch(
            *SEARCH(
                tenant=tenant,
                query=query,
                most_words=SOUGHT_WORDS,
                candidates=CANDIDATES,
                ranked=RANKED,
                limit=limit,
            )
        )
    except asyncpg.QueryCanceledError as error:
        raise SearchGaveUp(f"a search of {len(query)} characters was given up: {error}") from error
    return [Passage.model_validate(dict(row)) for row in rows]
