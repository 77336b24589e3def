"""A worker started in somebody's project, whose folders and modules have the names of Holdfast's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.runtime.settings import Settings
from tests.docs.shell import environment_of, run
from tests.platform import ROOT

_RAISES = "raise SystemExit('somebody else\\'s {name} was imported')\n"
_PACKAGE = """\
from activities import GREETING
from holdfast import Hints, Package, Reply, Subgraph, TurnState
from langgraph.graph import END, START, StateGraph

async def greet(state):
    return {"outcome": Reply(text=GREETING)}


def build():
    graph = StateGraph(TurnState)
    graph.add_node("greet", greet)
    graph.add_edge(START, "greet")
    graph.add_edge("greet", END)
    return graph


package = Package(
    name="bakery",
    subgraphs=(Subgraph(name="baker", description="Greets customers.", graph=build),),
    hints=Hints(intents={"baker": ("bread",)}),
)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a package that uses its project's `activities`; the other modules must not be imported."""
    (tmp_path / "bakery").mkdir()
    (tmp_path / "bakery" / "__init__.py").write_text(_PACKAGE)
    for name in ("activities", "workflows", "shop"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(_RAISES.format(name=name))
    (tmp_path / "activities" / "__init__.py").write_text("GREETING = 'Good morning.'\n")
    for name in ("worker", "starter"):
        (tmp_path / f"{name}.py").write_text(_RAISES.format(name=name))
    return tmp_path


async def test_a_package_is_served_from_a_project_with_folders_of_the_same_names(
    project: Path, stack_settings: Settings, tenant: str
) -> None:
    environment = environment_of(stack_settings, tenant)
    said = await run(
        f"holdfast worker --seed {tenant}\n"
        "holdfast worker &\n"
        f"holdfast send c1 'Is there bread?' --customer ann --tenant {tenant}\n"
        "kill -9 $!\n",
        project,
        {**environment, "HOLDFAST_PACKAGES": '["bakery:package"]'},
    )
    assert "Good morning." in said


def test_nothing_of_holdfast_is_imported_under_another_name() -> None:
    loaded = subprocess.check_output(
        [
            sys.executable,
            "-c",
            "import json, sys\n"
            "from holdfast.packages.registry import load_packages\n"
            "from holdfast.edges.terminal import command\n"
            "from holdfast.worker import process\n"
            "load_packages(['shop'])\n"
            "print(json.dumps({name: getattr(module, '__file__', None) for name, module in"
            " sys.modules.items()}))",
        ],
        cwd=ROOT,
    )
    files: dict[str, str | None] = json.loads(loaded)
    ours = {name: file for name, file in files.items() if file and file.startswith(f"{ROOT}/")}
    places = [os.path.realpath(file) for file in ours.values() if ".venv" not in file]
    assert "holdfast.workflows.conversation" in ours
    assert len(set(places)) == len(places)
    assert not {"activities", "workflows", "worker", "starter"} & files.keys()
