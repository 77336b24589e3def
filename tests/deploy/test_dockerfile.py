"""The image is built by the steps of the README's set-up, from files that the project has."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, all_blocks, blocks

LINES = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and line[0] != "#"]
INSTALLING = [
    "pip install --require-hashes -r requirements.txt",
    "pip install --no-deps -e .",
]


def instructions(name: str) -> list[str]:
    """What follows an instruction, for each time that it is given."""
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


COPIED = instructions("COPY")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_its_steps_are_those_of_the_readme_and_of_make() -> None:
    steps = [step for step in instructions("RUN") if "pip" in step]
    assert steps == [*INSTALLING, "pip install --no-deps -e examples/shop"]
    by_hand = [
        line.removeprefix(".venv/bin/")
        for block in blocks(ROOT / "README.md", "bash")
        for line in block.text.splitlines()
        if "pip install" in line
    ]
    assert by_hand == INSTALLING
    makefile = (ROOT / "Makefile").read_text().replace("--python $(BIN)/python ", "")
    by_make = re.findall(r"uv (pip install .*?)(?: && \\|$)", makefile, re.M)
    # What pip does without being told, and how much is printed, makes no difference.
    steps = [re.sub(r"--(quiet|compile-bytecode) ", "", step) for step in by_make]
    assert steps == [INSTALLING[0], f"{INSTALLING[1]} -e devstack -e examples/shop"]


def test_it_has_the_oldest_python_that_the_project_promises(project: dict[str, Any]) -> None:
    match = re.fullmatch(r"python:(\d+)\.(\d+)\.\d+-slim-\w+ AS holdfast", instructions("FROM")[0])
    assert match is not None
    assert sys.version_info[:2] >= (int(match[1]), int(match[2]))
    assert project["project"]["requires-python"] == f">={match[1]}.{match[2]}"


def test_it_gets_every_file_that_the_project_is_built_from(project: dict[str, Any]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    linked = {link.readlink().name for link in (ROOT / "holdfast").iterdir() if link.is_symlink()}
    assert linked == {"activities", "workflows"}
    needed = {*wheel["packages"], *linked, "pyproject.toml", "requirements.txt"}
    assert needed | {project["project"]["readme"]} <= sent
    assert ignored[ignored.index("*") - 1].startswith("#")
    assert [path for path in sent if not (ROOT / path).exists()] == []
    product, demo = (
        {name for copied in stage for name in copied.split()[:-1]}
        for stage in (COPIED[:-1], COPIED[-1:])
    )
    assert product == sent - demo
    assert demo == {"examples/shop"}


def test_the_shop_is_in_no_image_that_does_not_ask_for_it() -> None:
    assert instructions("FROM")[1:] == ["holdfast AS demo", "holdfast"]
    assert "examples/shop" not in "\n".join(LINES).partition("FROM holdfast AS demo")[0]


def test_it_runs_as_somebody_without_rights_and_serves_health(project: dict[str, Any]) -> None:
    user, root, again = instructions("USER")
    assert (user, root, again) == ("holdfast", "root", "holdfast")
    assert any(step.startswith("useradd --system") and user in step for step in instructions("RUN"))
    assert instructions("EXPOSE") == ["8088"]
    assert instructions("CMD") == ['["holdfast", "worker"]']


def test_it_compiles_nothing_and_names_no_registry() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "PIP_ONLY_BINARY=:all:" in text
    for word in ("apt-get", "gcc", "build-essential", "http", "index-url"):
        assert word not in text


def test_the_image_of_a_brought_package_stands_on_the_one_that_compose_builds(
    project: dict[str, Any],
) -> None:
    tag = f"holdfast:{project['project']['version']}"
    compose = (ROOT / "docker-compose.yml").read_text()
    assert f"image: {tag}\n" in compose
    shown = all_blocks("dockerfile")
    assert shown
    assert all(block.text.startswith(f"FROM {tag}\n") for block in shown)
    workdir = Path(instructions("WORKDIR")[0])
    copied = [re.search(r"^COPY \w+ (\S+)$", block.text, re.M) for block in shown]
    assert all(match is not None and Path(match[1]).parent == workdir for match in copied)
