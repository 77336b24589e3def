"""The walk-through of docs/bring-your-own-graph.md, from a folder outside of the project."""

import asyncio
import os
import signal
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from holdfast.domain.policy import load_policy
from holdfast.runtime.settings import Settings
from holdfast.subgraphs.registry import ENTRY_POINTS
from tests.docs.blocks import ROOT, blocks, write_files

PAGE = ROOT / "docs" / "bring-your-own-graph.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has the page's files in it."""
    write_files(PAGE, tmp_path)
    return tmp_path


@pytest.fixture
def environment(stack_settings: Settings, tenant: str) -> dict[str, str]:
    """What a shell has in which the stack was named and Holdfast is installed."""
    assert stack_settings.database_url is not None
    inherited = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "80",
        "HOLDFAST_TEMPORAL_ADDRESS": str(stack_settings.temporal_address),
        "HOLDFAST_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "HOLDFAST_TASK_QUEUE": f"q-{tenant}",
        "HOLDFAST_HEALTH_PORT": "0",
        "HOLDFAST_DATABASE_CONNECTIONS": "5",
    }


async def test_the_commands_of_the_walk_through_print_what_it_says(
    folder: Path, environment: dict[str, str]
) -> None:
    script = "".join(block.text for block in blocks(PAGE, "bash"))
    async with _shell(f"set -eu\n{script}kill $!\n", folder, environment) as shell:
        output, errors = await asyncio.wait_for(shell.communicate(), 90)
    assert shell.returncode == 0, errors.decode()
    printed = output.decode().splitlines()
    expected = [
        line
        for block in blocks(PAGE, "text")
        if "├──" not in block.text
        for line in block.text.splitlines()
    ]
    assert len(expected) >= 8
    for line in expected:
        assert line in [one.rstrip() for one in printed], f"{line!r} is not in:\n{output.decode()}"
        printed = printed[[one.rstrip() for one in printed].index(line) + 1 :]


async def test_a_service_sends_and_decides_as_the_page_shows(
    folder: Path, environment: dict[str, str], tenant: str
) -> None:
    environment["HOLDFAST_PACKAGES"] = '["parcels:package"]'
    ask = (
        "import asyncio, os, sys, ask\n"
        f"print('\\n'.join(asyncio.run(ask.ask({tenant!r}))))\n"
        "sys.stdout.flush()\n"
        "os._exit(0)\n"
    )
    script = f'python -m worker --seed {tenant}\npython -m worker &\npython -c "$ASK"\nkill -9 $!\n'
    async with _shell(f"set -eu\n{script}", folder, {**environment, "ASK": ask}) as shell:
        output, errors = await asyncio.wait_for(shell.communicate(), 60)
    assert shell.returncode == 0, errors.decode()
    assert output.decode().splitlines() == [
        "Parcel PX-2002 goes to Mill Lane 3, Leeds.",
        "I have asked the dispatch team, and will tell you here what they say.",
    ]


async def test_an_installed_package_is_found_by_its_entry_point(
    folder: Path, environment: dict[str, str]
) -> None:
    [toml] = blocks(PAGE, "toml")
    points = tomllib.loads(toml.text)["project"]["entry-points"][ENTRY_POINTS]
    installed = folder / "parcels-1.0.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: parcels\nVersion: 1.0.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (installed / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{lines}")
    script = (
        'python -c "from holdfast.subgraphs.registry import load_packages\n'
        "print(sorted(package.name for package in load_packages([])))\"\n"
    )
    async with _shell(script, folder, environment) as shell:
        output, errors = await shell.communicate()
    assert output.decode().strip() == "['parcels', 'shop']", errors.decode()


def test_its_policy_decides_as_the_page_says(folder: Path) -> None:
    policy = load_policy((folder / "parcels" / "policy.yaml").read_text(), source="the page")

    def verdict(to: str, insured: int) -> str:
        return policy.verdict(
            "redirect_parcel",
            arguments={"number": "PX-1001", "to": to},
            facts={"insured_euros": insured},
            customer="ada",
            tenant="demo",
        ).kind

    assert verdict("Elm Street 5", 100) == "allow"
    assert verdict("Elm Street 5", 101) == "approve"
    assert verdict("Box 7", 40) == "deny"


@asynccontextmanager
async def _shell(
    script: str, folder: Path, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A script in a shell of its own; what it leaves running is killed with it."""
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield shell
    finally:
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await shell.wait()
