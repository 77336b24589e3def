"""The commands of README and docs/operations.md, with the demonstration shop."""

import re
from pathlib import Path

import pytest

from holdfast.runtime.settings import Settings
from holdfast_devstack.temporal.binary import find_temporal
from tests.docs.blocks import ROOT, Block, blocks, write_files
from tests.docs.shell import assert_lines, environment_of, run

pytestmark = pytest.mark.timeout(300)

_ELSEWHERE = (
    "make ",
    "docker ",
    "export ",
    "python3 -m venv",
    ".venv/bin/pip ",
    ".venv/bin/pytest ",
)
"""Commands that other tests look at: they install, build, or are the tests themselves."""


async def test_the_readme_and_the_operations_page_can_be_followed(
    tmp_path: Path, stack_settings: Settings, tenant: str
) -> None:
    (tmp_path / "temporal").symlink_to(await find_temporal(progress=print))
    environment = environment_of(stack_settings, tenant)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    environment["TEMPORAL_ADDRESS"] = environment["HOLDFAST_TEMPORAL_ADDRESS"]
    readme, operations = (
        _commands(ROOT / page, tenant) for page in ("README.md", "docs/operations.md")
    )
    start = [line for line in operations if "holdfast worker" in line]
    assert start[-1].startswith("holdfast worker --log-level")
    start[-1] += " &"
    exported = tmp_path / "audit.jsonl"
    operations = [line.replace("audit.jsonl", str(exported)) for line in operations]
    rest = [line for line in operations if line not in start and "holdfast worker" not in line]
    printed = await run("\n".join([*start, *readme, *rest, "kill -9 $!\n"]), ROOT, environment)
    assert_lines(
        [
            "  [returns] Returning items",
            "  policy    shop 3: The refund is above 100 USD.",
            "mara-1: closed, 2 turns",
        ],
        re.sub(r"closed, \d+ turns", "closed, 2 turns", printed),
    )
    assert exported.read_text().count('"kind":"approval_requested"') == 1
    assert "customer mara_lind_4821: Where is my order #W4821101?" in printed
    assert "human lena: This is Lena." in printed or '"author": "lena"' in printed


async def test_the_readme_s_service_gets_its_answer_once(
    tmp_path: Path, stack_settings: Settings, tenant: str
) -> None:
    write_files(ROOT / "README.md", tmp_path)
    (tmp_path / "service.py").write_text(
        "import asyncio, answer\n"
        "from holdfast.runtime.process import exit_process\n"
        "said = 'Where is my order #W4821101?'\n"
        f"ask = lambda: asyncio.run(answer.answer({tenant!r}, 'mara-1', said, 'm-1'))\n"
        "first = ask()\n"
        "assert first == ask()\n"
        "print(first)\n"
        "exit_process(0)\n"
    )
    script = f"holdfast worker --seed {tenant}\nholdfast worker &\npython service.py\nkill -9 $!\n"
    printed = await run(
        script,
        tmp_path,
        {**environment_of(stack_settings, tenant), "HOLDFAST_PACKAGES": '["shop"]'},
    )
    assert printed.startswith("Your order #W4821101 is packed and on its way to you.")


def _commands(page: Path, tenant: str) -> list[str]:
    """The lines of a page's bash blocks that this test runs, for a tenant of its own."""
    return [
        _for_tenant(line, tenant)
        for block in blocks(page, "bash")
        for line in _lines(block)
        if not line.startswith(_ELSEWHERE)
    ]


def _lines(block: Block) -> list[str]:
    return [line for line in block.text.splitlines() if line.strip()]


def _for_tenant(line: str, tenant: str) -> str:
    line = line.replace(".venv/bin/", "").replace("demo/", f"{tenant}/")
    line = line.replace("--seed demo", f"--seed {tenant}").replace(" --tenant demo", "")
    if "policy check" in line:
        return line
    return re.sub(
        r"holdfast (?!worker)((?:audit |policy )?[a-z-]+)", rf"holdfast \1 --tenant {tenant}", line
    )
