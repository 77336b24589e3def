"""The command line when it is used wrongly, and its help."""

import pytest

from tests.cli.command import EVERY_COMMAND, starter

WRONG = (
    ("sing",),
    ("show",),
    ("show", "c1", "c2"),
    ("show", "c1", "--loud"),
    ("send", "c1", "hello"),
    ("send", "c1", "hello", "--customer", "ann", "--on-busy", "shout"),
    ("send", "c1", "hello", "--customer", "ann", "--timeout", "soon"),
    ("list", "--status", "odd"),
    ("approve", "ap_1"),
    ("reject", "ap_1", "--as", "ann"),
    ("edit", "ap_1", "--as", "ann", "--arguments", "[1]"),
    ("edit", "ap_1", "--as", "ann", "--arguments", "{"),
    ("fork", "c1", "--turn", "0", "--as", "c2"),
)


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
async def test_wrong_usage_exits_with_2_and_leaves_stdout_empty(arguments: tuple[str, ...]) -> None:
    ended = await starter({}, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "starter.py" in ended.err


async def test_help_names_every_command() -> None:
    ended = await starter({}, "--help")
    assert ended.code == 0
    assert all(f" {name.split()[0]} " in ended.out for name in EVERY_COMMAND)


async def test_every_command_explains_itself_and_has_json_output() -> None:
    for name in EVERY_COMMAND:
        ended = await starter({}, *name.split(), "--help")
        assert (name, ended.code, "--json" in ended.out) == (name, 0, True)
