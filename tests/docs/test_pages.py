"""README and docs say what is true: links, commands, settings, policies, names, queries."""

import json
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from holdfast.domain import wire
from holdfast.domain.limits import AnswerBounds, Limits
from holdfast.domain.policy import load_policy
from holdfast.llm.providers import Chain
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from tests.docs.blocks import PAGES, ROOT, Block, all_blocks
from tests.docs.commands import (
    COMMANDS,
    arguments_of,
    block_lines,
    inline_code,
)

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_SETTING = re.compile(r"\b(?:HOLDFAST_[A-Z_]*[A-Z]|OPENAI_API_KEY)\b")
_ROW = re.compile(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\|", re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_or_heading_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            headings = [heading.lower().replace(" ", "-") for heading in _headings(target)]
            assert anchor in headings, link


def test_every_file_of_the_walks_exists_and_has_what_it_is_named_for() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    walks = page.partition("\n## Where to look\n")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.(?:py|sql))`(?: \(`(\w+)`\))?", walks)
    assert len(named) > 20
    for file, name in named:
        assert (ROOT / file).exists(), file
        assert not name or f"def {name}(" in (ROOT / file).read_text(), f"{name} in {file}"


def test_every_test_that_is_linked_exists() -> None:
    named = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(named) >= 7
    for test, file in named:
        assert f"def {test}(" in (ROOT / file).read_text(), test


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    commands = [*block_lines(), *inline_code()]
    named = [(where, text.split()[1]) for where, text in commands if text.startswith("make ")]
    assert named
    assert not [(where, target) for where, target in named if target not in targets]


def test_every_command_line_of_a_block_parses() -> None:
    parsed = 0
    for where, line in block_lines():
        if (arguments := arguments_of(line)) is None:
            continue
        name, *rest = arguments
        assert name in COMMANDS, f"{where}: {line}"
        COMMANDS[name].make_context(name, rest)
        parsed += 1
    assert parsed > 20


def test_every_command_in_the_prose_exists() -> None:
    for where, text in inline_code():
        if not (arguments := arguments_of(text)):
            continue
        assert arguments[0] in COMMANDS, f"{where}: {text}"
        command: Any = COMMANDS[arguments[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        named = {word for word in arguments if word.startswith("--")}
        assert named <= options | {"--help"}, f"{where}: {text}"


def test_the_settings_tables_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    documented = {name: default for name, default in _ROW.findall(page) if _SETTING.fullmatch(name)}
    expected = {
        str(field.validation_alias or f"HOLDFAST_{name.upper()}"): field.get_default(
            call_default_factory=True
        )
        for name, field in Settings.model_fields.items()
    } | {
        f"HOLDFAST_{group}__{name.upper()}": field.default
        for group, bounds in (("LIMITS", Limits), ("ANSWERS", AnswerBounds))
        for name, field in bounds.model_fields.items()
    }
    shown = {
        name: ""
        if value is None or name in ("HOLDFAST_LIMITS", "HOLDFAST_ANSWERS")
        else _plain(value)
        for name, value in expected.items()
    }
    assert documented == shown


def test_every_variable_that_is_named_exists() -> None:
    known = {f"HOLDFAST_{name.upper()}" for name in Settings.model_fields}
    known |= {f"HOLDFAST_LIMITS__{name.upper()}" for name in Limits.model_fields}
    known |= {f"HOLDFAST_ANSWERS__{name.upper()}" for name in AnswerBounds.model_fields}
    for source in (*(ROOT / "holdfast").rglob("*.py"), *(ROOT / "devstack").rglob("*.py")):
        known |= set(_SETTING.findall(source.read_text()))
    for file in (*PAGES, ROOT / "docker-compose.yml", ROOT / "Dockerfile"):
        assert set(_SETTING.findall(file.read_text())) <= known, file.name


def test_policies_and_provider_chains_load() -> None:
    policies = all_blocks("yaml")
    assert policies
    for block in policies:
        load_policy(block.text, source=str(block))
    chains = [block for block in all_blocks("json") if block.title == "HOLDFAST_MODELS"]
    assert chains
    for block in chains:
        Chain.model_validate({"providers": json.loads(block.text)})


@pytest.mark.parametrize("block", all_blocks("sql"), ids=str)
async def test_queries_run(block: Block, stack_settings: Settings) -> None:
    connection = await asyncpg.connect(require_database_url(stack_settings))
    try:
        for query in block.text.split(";"):
            if query.strip():
                await connection.fetch(query)
    finally:
        await connection.close()


async def test_the_architecture_page_names_every_table_and_every_handler(
    stack_settings: Settings,
) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    connection = await asyncpg.connect(require_database_url(stack_settings))
    try:
        tables = await connection.fetch(
            "select tablename from pg_tables where schemaname = 'holdfast'"
        )
    finally:
        await connection.close()
    names = {str(row["tablename"]) for row in tables} - {"schema_version"}
    names |= {wire.SEND_MESSAGE, wire.DECIDE, wire.APPROVAL_DECISION, wire.TAKE_OVER, wire.CLOSE}
    names |= {wire.REPLY_AS_HUMAN, wire.HAND_BACK, wire.CANCEL_TURN}
    assert {name for name in names if f"`{name}`" not in page} == set()


def _headings(page: Path) -> list[str]:
    return _HEADING.findall(page.read_text())


def _plain(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | int | float | list) else str(value)
