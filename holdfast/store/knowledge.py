"""Help-centre articles of a tenant: loading them from Markdown, and finding passages in them."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.model import Frozen
from holdfast.store.pool import Connection
from holdfast.store.sql import statement

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
_LONGEST_CHUNK = 1_500
"""Characters; a longer section is split between its paragraphs, a longer paragraph between words."""
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
class _Chunk:
    heading: str
    body: str


def read_articles(folder: Path) -> dict[str, str]:
    """The texts of the Markdown files under `folder`, by the id of the document that each becomes: its
    path in the folder without the suffix.

    Raises:
        ConfigurationError: the folder is missing or has no article, or one cannot be read or stored, or
            has no heading or no text.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"the folder of articles {folder} does not exist")
    texts = {
        path.relative_to(folder).with_suffix("").as_posix(): _text(path)
        for path in sorted(folder.rglob("*.md"))
    }
    if not texts:
        raise ConfigurationError(f"the folder of articles {folder} has no Markdown files (*.md)")
    return texts


def _text(path: Path) -> str:
    try:
        str(path).encode()
        text = path.read_text(encoding="utf-8")
        if "\0" in text:
            raise ValueError("it has a NUL character")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the article {str(path)!r} cannot be read: {error}") from error
    title, chunks = _split(text)
    if not title or not chunks:
        raise ConfigurationError(f"the article {str(path)!r} needs a heading and text below it")
    return text


async def load_articles(
    connection: Connection, tenant: str, package: str, texts: Mapping[str, str]
) -> int:
    """Make the tenant's documents of a package equal `texts`, by id; how many changed.

    What is as it was costs nothing. Documents of other packages stay; those of no package, which an
    earlier version has loaded, become the package's own where their ids are.

    Raises:
        ConfigurationError: a document of another package has the same id; nothing is changed then.
    """
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    async with connection.transaction():
        rows = await connection.fetch(
            """
            select id, digest, package from holdfast.knowledge_documents
             where tenant = $1 and (package = $2 or id = any($3)) for update
            """,
            tenant,
            package,
            list(texts),
        )
        for row in rows:
            if row["package"] not in (package, _NOBODY):
                raise ConfigurationError(
                    f"package {package!r} has an article {row['id']!r}, and so has package "
                    f"{row['package']!r} in tenant {tenant!r}: rename one, or remove the documents of "
                    "the other package"
                )
        known = {row["id"]: row["digest"] for row in rows if row["package"] == package}
        gone = [name for name in known if name not in texts]
        changed = [name for name in texts if known.get(name) != digests[name]]
        await connection.execute(
            "delete from holdfast.knowledge_documents where tenant = $1 and id = any($2)",
            tenant,
            [*gone, *changed],
        )
        for name in changed:
            await _insert(connection, tenant, package, name, texts[name], digests[name])
        await _count_words(connection, tenant)
    return len(gone) + len(changed)


async def _insert(
    connection: Connection, tenant: str, package: str, document: str, text: str, digest: str
) -> None:
    title, chunks = _split(text)
    await connection.execute(
        """
        insert into holdfast.knowledge_documents (tenant, id, title, body, digest, package)
        values ($1, $2, $3, $4, $5, $6)
        """,
        tenant,
        document,
        title,
        text,
        digest,
        package,
    )
    await connection.executemany(
        """
        insert into holdfast.knowledge_chunks (tenant, document, ordinal, heading, body)
        values ($1, $2, $3, $4, $5)
        """,
        [
            (tenant, document, ordinal, chunk.heading, chunk.body)
            for ordinal, chunk in enumerate(chunks)
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


def _split(text: str) -> tuple[str, list[_Chunk]]:
    """The title, and the sections with text of their own."""
    _, *pieces = _HEADING.split(text)
    title = pieces[1] if pieces else ""
    chunks = [
        _Chunk(_in_full(title, heading), body)
        for heading, section in zip(pieces[1::3], pieces[2::3], strict=True)
        for body in _bodies(section)
    ]
    return title, chunks


def _in_full(title: str, heading: str) -> str:
    """A heading with the article's title, so that the title's words find every section."""
    return heading if heading == title else f"{title}: {heading}"


def _bodies(section: str) -> list[str]:
    bodies: list[str] = []
    paragraphs = filter(None, (part.strip() for part in re.split(r"\n\s*\n", section)))
    for paragraph in (piece for whole in paragraphs for piece in _pieces(whole)):
        if bodies and len(bodies[-1]) + len(paragraph) < _LONGEST_CHUNK:
            bodies[-1] += f"\n\n{paragraph}"
        else:
            bodies.append(paragraph)
    return bodies


def _pieces(paragraph: str) -> Iterator[str]:
    while len(paragraph) > _LONGEST_CHUNK:
        end = paragraph.rfind(" ", 0, _LONGEST_CHUNK) + 1 or _LONGEST_CHUNK
        yield paragraph[:end].rstrip()
        paragraph = paragraph[end:]
    yield paragraph


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
