"""The command line when it is used wrongly, and its help."""

import pytest

from tests.edges.terminal.command import EVERY_COMMAND, starter

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


async def test_json_that_is_nested_too_deep_is_wrong_usage() -> None:
    deep = '{"a":' * 20_000 + "1" + "}" * 20_000
    policy = ("--policy", "examples/shop/holdfast_shop/policy.yaml")
    for arguments in (
        ("edit", "ap_1", "--as", "ann", "--arguments", deep),
        ("policy", "explain", "cancel_pending_order", *policy, "--facts", deep),
    ):
        ended = await starter({}, *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert "nested too deep" in ended.err


@pytest.mark.parametrize("command", EVERY_COMMAND)
async def test_an_argument_that_is_no_text_is_wrong_usage(command: str) -> None:
    arguments = (*command.split(), *EVERY_COMMAND[command], "caf\udce9")
    ended = await starter({}, *arguments)
    assert ended.code == 2
    assert f"argument {len(arguments)} of the command is no text" in ended.error["message"]
