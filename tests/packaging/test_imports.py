"""What is imported is declared: pyproject.toml names every distribution, and where it is needed."""

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT

_OURS = {"tests", "bench"}


def project(folder: str) -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())
    return loaded


_PROJECT = project(".")
_EXTRAS = _PROJECT["project"]["optional-dependencies"]
_PLAIN = _PROJECT["project"]["dependencies"]
_GROUPS = _PROJECT["dependency-groups"]


def declared(*lists: list[str]) -> set[str]:
    """The names of distributions in these lists of requirements."""
    return {_normal(re.split(r"[\[<>=]", one)[0]) for some in lists for one in some}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """The distributions that the files below a folder import, each with the file."""
    by_module = packages_distributions()
    for parent, _, names in os.walk(folder, followlinks=True):
        for path in (Path(parent, name) for name in names if name.endswith(".py")):
            for module in _modules(ast.parse(path.read_text())):
                if module not in {*_OURS, folder.name} | sys.stdlib_module_names:
                    found = {_normal(name) for name in by_module.get(module, [module])}
                    yield " or ".join(sorted(found)), str(path.relative_to(ROOT))


def undeclared(folder: str, known: set[str]) -> set[tuple[str, str]]:
    return {
        (names, path)
        for names, path in imported(ROOT / folder)
        if not known & set(names.split(" or "))
    }


def test_the_product_imports_what_it_declares() -> None:
    assert undeclared("holdfast", declared(_PLAIN, *_EXTRAS.values())) == set()


@pytest.mark.parametrize(
    "folder", ["client", "domain", "edges/terminal", "edges/dialects", "runtime", "telemetry"]
)
def test_what_a_plain_install_runs_needs_no_extra(folder: str) -> None:
    assert list(imported(ROOT / "holdfast" / folder))
    assert undeclared(f"holdfast/{folder}", declared(_PLAIN, ["holdfast"])) == set()


@pytest.mark.parametrize("package", ["devstack/holdfast_devstack", "examples/shop/holdfast_shop"])
def test_the_other_distributions_import_what_they_declare(package: str) -> None:
    declares = project(str(Path(package).parent))["project"]["dependencies"]
    assert undeclared(package, declared(declares)) == set()


def test_tests_and_bench_import_what_is_declared() -> None:
    others = (project(folder)["project"] for folder in ("devstack", "examples/shop"))
    beside = [one for other in others for one in (other["name"], *other["dependencies"])]
    known = declared(_PLAIN, *_EXTRAS.values(), *_GROUPS.values(), beside)
    for folder in ("tests", "bench"):
        assert undeclared(folder, known) == set()


def test_everything_that_is_declared_is_imported() -> None:
    used = {name for names, _ in imported(ROOT / "holdfast") for name in names.split(" or ")}
    not_imported = {
        "tzdata",  # data, which zoneinfo reads
        "langchain",  # agents, which brought graphs import
    }
    assert declared(_PLAIN, *_EXTRAS.values()) - used == not_imported


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
