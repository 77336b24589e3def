"""The walk-through of docs/bring-your-own-graph.md, from a folder outside of the project."""

import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from holdfast.domain.policy import PolicyInput, load_policy
from holdfast.packages.registry import ENTRY_POINTS
from holdfast.runtime.settings import Settings
from tests.docs.blocks import ROOT, blocks, write_files
from tests.docs.shell import assert_lines, environment_of, run
from tests.packaging.building import built

pytestmark = pytest.mark.timeout(300)

PAGE = ROOT / "docs" / "bring-your-own-graph.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has the page's files in it."""
    write_files(PAGE, tmp_path)
    return tmp_path


async def test_the_commands_of_the_walk_through_print_what_it_says(
    folder: Path, stack_settings: Settings, tenant: str
) -> None:
    script = "".join(block.text for block in blocks(PAGE, "bash"))
    printed = await run(f"{script}kill $!\n", folder, environment_of(stack_settings, tenant))
    outputs = [block.text for block in blocks(PAGE, "text") if "├──" not in block.text]
    expected = [line for output in outputs for line in output.splitlines()]
    assert len(expected) >= 8
    assert_lines(expected, printed)


async def test_a_service_sends_and_decides_as_the_page_shows(
    folder: Path, stack_settings: Settings, tenant: str
) -> None:
    (folder / "service.py").write_text(
        "import asyncio, ask\n"
        "from holdfast.runtime.process import exit_process\n"
        f"print(*asyncio.run(ask.ask({tenant!r})), sep='\\n')\n"
        "exit_process(0)\n"
    )
    printed = await run(
        f"holdfast worker --seed {tenant}\nholdfast worker &\npython service.py\nkill -9 $!\n",
        folder,
        {**environment_of(stack_settings, tenant), "HOLDFAST_PACKAGES": '["parcels:package"]'},
    )
    assert printed.splitlines() == [
        "Parcel PX-2002 goes to Mill Lane 3, Leeds.",
        "I have asked the dispatch team, and will tell you here what they say.",
    ]


_FORM = """
import asyncio
from holdfast.testing import action_results, open_turn, structured
from parcels.form import form

FORM = structured({"number": "PX-1001", "to": "Elm Street 5"})

async def main():
    async with open_turn(form, [FORM], customer="ada") as turn:
        proposal = await turn.start("Redirect PX-1001 to Elm Street 5")
        reply = await turn.resume(action_results(proposal))
    (asked,) = turn.model.requests
    assert asked["messages"][-1]["content"] == "Redirect PX-1001 to Elm Street 5"
    print(proposal.actions[0].name, reply.text, sep="\\n")

asyncio.run(main())
"""


async def test_the_graph_of_one_s_own_proposes_and_answers(
    folder: Path, stack_settings: Settings, tenant: str
) -> None:
    (folder / "try_form.py").write_text(_FORM)
    printed = await run("python try_form.py\n", folder, environment_of(stack_settings, tenant))
    assert printed.splitlines() == [
        "redirect_parcel",
        "Parcel PX-1001 is on its way to Elm Street 5.",
    ]


_ASSISTANT = """
import asyncio
from holdfast.testing import action_results, open_turn, text, tool_calls
from parcels.assistant import assistant

CALLS = [("depot", {"day": "Sunday"}), ("redirect_parcel", {"number": "PX-1001", "to": "Oak Road 8"})]

async def main():
    async with open_turn(assistant, [tool_calls(*CALLS), text("Done.")], customer="ada") as turn:
        proposal = await turn.start("To Oak Road 8, please. Are you open on Sundays?")
        reply = await turn.resume(action_results(proposal, result="redirected"))
    told = [one["content"] for one in turn.model.requests[1]["messages"] if one["role"] == "tool"]
    print(proposal.actions[0].name, *told, reply.text, sep="\\n")

asyncio.run(main())
"""


async def test_the_agent_that_is_brought_as_it_is_reads_proposes_and_answers(
    folder: Path, stack_settings: Settings, tenant: str
) -> None:
    (folder / "try_assistant.py").write_text(_ASSISTANT)
    printed = await run("python try_assistant.py\n", folder, environment_of(stack_settings, tenant))
    assert printed.splitlines() == [
        "redirect_parcel",
        "Closed on Sundays, ada.",
        "redirected",
        "Done.",
    ]


async def test_an_installed_package_is_found_by_its_entry_point(
    folder: Path, stack_settings: Settings, tenant: str
) -> None:
    [toml] = blocks(PAGE, "toml")
    points = tomllib.loads(toml.text)["project"]["entry-points"][ENTRY_POINTS]
    installed = folder / "parcels-1.0.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: parcels\nVersion: 1.0.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (installed / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{lines}")
    (folder / "found.py").write_text(
        "from holdfast.packages.registry import load_packages\n"
        "print(*sorted(package.name for package in load_packages([])))\n"
    )
    printed = await run("python found.py\n", folder, environment_of(stack_settings, tenant))
    assert printed.split() == ["parcels", "shop"]


def test_the_wheel_that_the_page_describes_carries_code_policy_and_migrations(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packed = set(ZipFile(built(folder, tmp_path_factory.mktemp("wheel"))).namelist())
    written = {str(path.relative_to(folder)) for path in (folder / "parcels").rglob("*.*")}
    assert "parcels/policy.yaml" in written
    assert written <= packed


def test_its_policy_decides_as_the_page_says(folder: Path) -> None:
    policy = load_policy((folder / "parcels" / "policy.yaml").read_text(), source="the page")

    def verdict(to: str, insured: int) -> str:
        return policy.verdict(
            "redirect_parcel",
            PolicyInput(args={"number": "PX-1001", "to": to}, facts={"insured_euros": insured}),
        ).kind

    assert verdict("Elm Street 5", 100) == "allow"
    assert verdict("Elm Street 5", 101) == "approve"
    assert verdict("Box 7", 40) == "deny"
