"""Help-centre articles of a tenant: loading them from Markdown, and finding passages in them."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.model import Frozen
from holdfast.store.pool import Connection

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
_LONGEST_CHUNK = 1_500
"""Characters; a longer section is split between its paragraphs."""


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


async def load_articles(connection: Connection, tenant: str, folder: Path) -> int:
    """Make the tenant's documents equal the Markdown files under `folder`; how many changed.

    A document's id is its file's path in the folder without the suffix, its title the first
    heading. Files that are as they were cost nothing; documents whose file is gone are removed.

    Raises:
        ConfigurationError: a file has no title or no text.
    """
    texts = await asyncio.to_thread(_read, folder)
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    async with connection.transaction():
        rows = await connection.fetch(
            "select id, digest from holdfast.knowledge_documents where tenant = $1 for update",
            tenant,
        )
        known = {row["id"]: row["digest"] for row in rows}
        gone = [name for name in known if name not in texts]
        changed = [name for name in texts if known.get(name) != digests[name]]
        await connection.execute(
            "delete from holdfast.knowledge_documents where tenant = $1 and id = any($2)",
            tenant,
            [*gone, *changed],
        )
        for name in changed:
            await _insert(connection, tenant, name, texts[name], digests[name])
    return len(gone) + len(changed)


def _read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.md"))
    }


async def _insert(
    connection: Connection, tenant: str, document: str, text: str, digest: str
) -> None:
    title, chunks = _split(text)
    if not title or not chunks:
        raise ConfigurationError(f"article {document!r} needs a heading and text below it")
    await connection.execute(
        """
        insert into holdfast.knowledge_documents (tenant, id, title, body, digest)
        values ($1, $2, $3, $4, $5)
        """,
        tenant,
        document,
        title,
        text,
        digest,
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
    for paragraph in filter(None, (part.strip() for part in re.split(r"\n\s*\n", section))):
        if bodies and len(bodies[-1]) + len(paragraph) < _LONGEST_CHUNK:
            bodies[-1] += f"\n\n{paragraph}"
        else:
            bodies.append(paragraph)
    return bodies


async def search(
    connection: Connection, tenant: str, query: str, *, limit: int = 4
) -> list[Passage]:
    """The passages that match `query` best, best first.

    Any of the query's words counts, headings most; the rank shrinks with the share of the words that
    a passage lacks, so that one with all of them comes first. Asking for all words at once instead
    would let one that happens to contain "get" hide the passages about refunds.
    """
    rows = await connection.fetch(
        """
        with asked as (
            select replace(plainto_tsquery('english', $2)::text, ' & ', ' | ')::tsquery as query,
                tsvector_to_array(to_tsvector('english', $2)) as lexemes
        )
        select chunk.document, document.title, chunk.heading, chunk.body,
            -- 32 maps the rank to 0..1; 1 keeps long sections from winning by their length.
            ts_rank_cd(chunk.search, query, 32 | 1) * (
                select count(*) from unnest(lexemes) lexeme
                where lexeme = any (tsvector_to_array(chunk.search))
            ) / cardinality(lexemes) as rank
        from asked
        join holdfast.knowledge_chunks chunk on chunk.tenant = $1 and chunk.search @@ query
        join holdfast.knowledge_documents document
            on document.tenant = chunk.tenant and document.id = chunk.document
        order by rank desc, chunk.document, chunk.ordinal
        limit $3
        """,
        tenant,
        query,
        limit,
    )
    return [Passage.model_validate(dict(row)) for row in rows]
