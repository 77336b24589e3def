"""The wheels: what is in them, and what works where one is installed alone, in an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from holdfast.runtime.versioning import build_id
from tests.docs.blocks import ROOT
from tests.packaging.building import built, uv

_HEAVY = ("alembic", "httpx2", "langchain_core", "langgraph", "openai", "sqlalchemy", "starlette")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product's."""
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment in which the wheel is installed, without extras."""
    environment = tmp_path_factory.mktemp("plain") / "env"
    uv("venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    pins = ROOT / "requirements.txt"
    uv("pip", "install", "--quiet", "--python", python, "--constraint", pins, wheel)
    return python.parent


def run(folder: Path, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command in an empty folder, with no settings."""
    names = ("HOLDFAST_", "TEMPORAL_", "OPENAI_", "PYTHON")
    inherited = {name: one for name, one in os.environ.items() if not name.startswith(names)}
    return subprocess.run(
        command, cwd=folder, env=inherited, capture_output=True, text=True, check=False
    )


def files(wheel: Path) -> set[str]:
    return {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_product_s_wheel_has_one_root_and_all_of_its_code(wheel: Path) -> None:
    packed = files(wheel)
    assert {name.partition("/")[0] for name in packed} == {"holdfast"}
    code = {
        str(Path(parent, name).relative_to(ROOT))
        for parent, _, names in os.walk(ROOT / "holdfast", followlinks=True)
        for name in names
        if name.endswith(".py")
    }
    assert {name for name in packed if name.endswith(".py")} == code
    assert {"holdfast/workflows/conversation.py", "holdfast/activities/actions.py"} <= packed
    assert "holdfast/py.typed" in packed


def test_the_shop_s_wheel_carries_its_policy_and_its_articles(tmp_path: Path) -> None:
    packed = files(built(ROOT / "examples" / "shop", tmp_path))
    shop = ROOT / "examples" / "shop"
    expected = [shop / "holdfast_shop" / "policy.yaml", *shop.rglob("articles/**/*.md")]
    assert len(expected) > 10
    assert {str(path.relative_to(shop)) for path in expected} <= packed
    assert {name.partition("/")[0] for name in packed} == {"holdfast_shop"}


def test_the_devstack_s_wheel_carries_the_pinned_source_of_temporal(tmp_path: Path) -> None:
    packed = files(built(ROOT / "devstack", tmp_path))
    assert {f"holdfast_devstack/temporal/go.{kind}" for kind in ("mod", "sum")} <= packed
    assert {name.partition("/")[0] for name in packed} == {"holdfast_devstack"}


def test_a_plain_install_has_the_client_and_loads_little(plain: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys, holdfast.client\n"
        "from holdfast import HoldfastClient, HoldfastError, Settings\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    for python in (plain / "python", sys.executable):  # where nothing else is, and where all is
        ended = run(tmp_path, python, "-c", code)
        assert ended.returncode == 0, ended.stderr
        loaded = set(json.loads(ended.stdout))
        assert {"holdfast", "temporalio", "asyncpg"} <= loaded
        assert not loaded & {*_HEAVY, "rich", "typer", "holdfast_devstack", "temporalio.worker"}


def test_a_build_has_the_same_id_in_a_checkout_and_from_a_wheel(
    plain: Path, tmp_path: Path
) -> None:
    code = "from holdfast.runtime.versioning import build_id; print(build_id([]))"
    assert run(tmp_path, plain / "python", "-c", code).stdout.strip() == build_id([])


def test_a_plain_install_has_the_command(plain: Path, tmp_path: Path) -> None:
    helped = run(tmp_path, plain / "holdfast", "--help")
    assert helped.returncode == 0
    for name in ("chat", "send", "approvals", "policy", "audit", "worker", "dev"):
        assert f" {name} " in helped.stdout
    (tmp_path / "policy.yaml").write_text("name: a\nversion: 1\nactions: {pay: allow}\n")
    explained = run(
        tmp_path, plain / "holdfast", "policy", "explain", "pay", "--policy", "policy.yaml"
    )
    assert (explained.returncode, "allow" in explained.stdout) == (0, True), explained.stderr
    sent = run(tmp_path, plain / "holdfast", "send", "c1", "hello", "--customer", "ann")
    assert (sent.returncode, json.loads(sent.stderr)["error"]) == (4, "Unavailable")


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        (("worker",), "pip install 'holdfast[worker]'"),
        (("policy", "check", "policy.yaml"), "pip install 'holdfast[worker]'"),
        (("dev", "up", "--seed", "demo"), "pip install holdfast-devstack"),
    ],
    ids=str,
)
def test_a_command_says_what_has_to_be_installed_for_it(
    plain: Path, tmp_path: Path, command: tuple[str, ...], needed: str
) -> None:
    (tmp_path / "policy.yaml").write_text("name: a\nversion: 1\nactions: {pay: allow}\n")
    ended = run(tmp_path, plain / "holdfast", *command)
    assert (ended.returncode, ended.stdout) == (2, "")
    told = json.loads(ended.stderr)
    assert told["error"] == "ExtraMissing"
    assert needed in told["message"]


def test_a_builder_s_name_says_what_has_to_be_installed_for_it(plain: Path, tmp_path: Path) -> None:
    ended = run(tmp_path, plain / "python", "-c", "from holdfast import Package")
    assert "ExtraMissing: holdfast.Package needs" in ended.stderr
    assert "pip install 'holdfast[worker]'" in ended.stderr


def test_what_tests_are_written_with_says_what_has_to_be_installed_for_it(
    plain: Path, tmp_path: Path
) -> None:
    ended = run(tmp_path, plain / "python", "-c", "import holdfast.testing")
    assert "ExtraMissing: holdfast.testing needs" in ended.stderr
    assert "pip install 'holdfast[worker,testing]'" in ended.stderr
