"""Articles in Markdown: what is read, how it is split, and what is refused."""

from pathlib import Path

import pytest

from holdfast.domain.errors import ConfigurationError
from holdfast.knowledge.articles import read_articles, split
from holdfast.store.knowledge import Article, Section


def test_a_section_has_the_title_in_its_heading_and_text_of_its_own() -> None:
    text = "# Returns\n\nIn 30 days.\n\n## Abroad\n\n### Canada ##\n\nIn 60.\n\nAsk us.\n"
    assert split(text) == Article(
        "Returns",
        text,
        (Section("Returns", "In 30 days."), Section("Returns: Canada", "In 60.\n\nAsk us.")),
    )


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (b"# Only a title\n", "article.md' needs a heading and text"),
        (b"Only a text\n", "article.md' needs a heading and text"),
        (b"# Title\n\nNo text: \xff\n", "article.md' cannot be read"),
        (b"# Title\n\nNo character: \0\n", "article.md' cannot be read"),
    ],
)
def test_an_article_that_is_none_is_refused_by_name(
    tmp_path: Path, content: bytes, refused: str
) -> None:
    (tmp_path / "article.md").write_bytes(content)
    with pytest.raises(ConfigurationError, match=refused):
        read_articles(tmp_path)


def test_a_folder_of_articles_is_there_and_has_some(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        read_articles(tmp_path / "nowhere")
    (tmp_path / "article.txt").write_text("# Title\n\nText.\n")
    with pytest.raises(ConfigurationError, match="has no Markdown files"):
        read_articles(tmp_path)
