"""Articles in Markdown: reading a folder of them, and splitting each into sections."""

import re
from collections.abc import Iterator
from pathlib import Path

from holdfast.domain.errors import ConfigurationError
from holdfast.store.knowledge import Article, Section

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
_LONGEST_BODY = 1_500
"""Characters; a longer section is split between its paragraphs, a longer paragraph between words."""


def read_articles(folder: Path) -> dict[str, Article]:
    """The articles in the Markdown files under `folder`, by the id of the document that each becomes: its
    path in the folder without the suffix.

    Raises:
        ConfigurationError: the folder is missing or has no article, or one cannot be read or stored, or
            has no heading or no text.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"the folder of articles {folder} does not exist")
    articles = {
        path.relative_to(folder).with_suffix("").as_posix(): _read(path)
        for path in sorted(folder.rglob("*.md"))
    }
    if not articles:
        raise ConfigurationError(f"the folder of articles {folder} has no Markdown files (*.md)")
    return articles


def _read(path: Path) -> Article:
    try:
        str(path).encode()
        text = path.read_text(encoding="utf-8")
        if "\0" in text:
            raise ValueError("it has a NUL character")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the article {str(path)!r} cannot be read: {error}") from error
    article = split(text)
    if not article.title or not article.sections:
        raise ConfigurationError(f"the article {str(path)!r} needs a heading and text below it")
    return article


def split(text: str) -> Article:
    """The article in a text of Markdown: its title, and the sections with text of their own."""
    _, *pieces = _HEADING.split(text)
    title = pieces[1] if pieces else ""
    sections = tuple(
        Section(_in_full(title, heading), body)
        for heading, section in zip(pieces[1::3], pieces[2::3], strict=True)
        for body in _bodies(section)
    )
    return Article(title, text, sections)


def _in_full(title: str, heading: str) -> str:
    """A heading with the article's title, so that the title's words find every section."""
    return heading if heading == title else f"{title}: {heading}"


def _bodies(section: str) -> list[str]:
    bodies: list[str] = []
    paragraphs = filter(None, (part.strip() for part in re.split(r"\n\s*\n", section)))
    for paragraph in (piece for whole in paragraphs for piece in _pieces(whole)):
        if bodies and len(bodies[-1]) + len(paragraph) < _LONGEST_BODY:
            bodies[-1] += f"\n\n{paragraph}"
        else:
            bodies.append(paragraph)
    return bodies


def _pieces(paragraph: str) -> Iterator[str]:
    while len(paragraph) > _LONGEST_BODY:
        end = paragraph.rfind(" ", 0, _LONGEST_BODY) + 1 or _LONGEST_BODY
        yield paragraph[:end].rstrip()
        paragraph = paragraph[end:]
    yield paragraph
