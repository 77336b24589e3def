"""The command line where Temporal or Postgres is out of reach, or settings are wrong."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from holdfast.runtime.settings import Settings
from tests.edges.terminal.command import EVERY_COMMAND, WITHOUT_A_SERVER, Command, starter
from tests.edges.terminal.relay import Relay

NOWHERE = {
    "HOLDFAST_TEMPORAL_ADDRESS": "127.0.0.1:1",
    "HOLDFAST_DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nothing",
}


@pytest.fixture
def temporal(stack_settings: Settings) -> dict[str, str]:
    """An environment in which Temporal is there."""
    assert stack_settings.temporal_address is not None
    return {**NOWHERE, "HOLDFAST_TEMPORAL_ADDRESS": stack_settings.temporal_address}


async def test_every_command_says_that_temporal_is_away_and_exits_with_4() -> None:
    for name in EVERY_COMMAND.keys() - WITHOUT_A_SERVER:
        ended = await starter(NOWHERE, *name.split(), *EVERY_COMMAND[name], "--json")
        assert (name, ended.code) == (name, 4)
        assert ended.error["error"] == "Unavailable"
        assert "cannot reach Temporal at 127.0.0.1:1" in ended.error["message"]
        assert "make up" in ended.error["message"]


async def test_without_settings_and_without_an_embedded_stack_it_says_how_to_start_one(
    tmp_path: Path,
) -> None:
    ended = await starter({"HOLDFAST_DATA_DIR": str(tmp_path / "data")}, "approvals")
    assert ended.code == 4
    assert "no Temporal" in ended.error["message"]
    assert "make up" in ended.error["message"]


async def test_a_server_that_stays_silent_is_given_up_after_some_seconds() -> None:
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(20):
            away = {**NOWHERE, "HOLDFAST_TEMPORAL_ADDRESS": f"127.0.0.1:{port}"}
            ended = await starter(away, "show", "c1")
    finally:
        silent.close()
    assert ended.code == 4
    assert "cannot reach Temporal" in ended.error["message"]


async def test_temporal_going_away_meanwhile_leaves_stdout_to_the_result(
    stack_settings: Settings, tenant: str
) -> None:
    assert stack_settings.temporal_address is not None
    assert stack_settings.database_url is not None
    host, _, port = stack_settings.temporal_address.rpartition(":")
    async with Relay.open(host, int(port)) as relay:
        environment = {
            "HOLDFAST_TEMPORAL_ADDRESS": relay.address,
            "HOLDFAST_DATABASE_URL": stack_settings.database_url.get_secret_value(),
            "HOLDFAST_TASK_QUEUE": f"q-{tenant}",
        }
        send = ("send", "c1", "hello", "--customer", "ann", "--timeout", "8", "--tenant", tenant)
        sending = await Command.start(environment, *send)
        await relay.used.wait()
        await relay.close()
        ended = await sending.end()
    assert (ended.code, ended.out) == (4, "")
    error = ended.err.splitlines()[-1]
    assert "was not answered within 8 s" in json.loads(error)["message"]


async def test_without_postgres_a_command_says_so_and_exits_with_4(
    temporal: dict[str, str],
) -> None:
    ended = await starter(temporal, "send", "c1", "hello", "--customer", "ann", "--json")
    assert ended.code == 4
    assert "cannot reach Postgres" in ended.error["message"]
    assert "HOLDFAST_DATABASE_URL" in ended.error["message"]
    assert "secret" not in ended.err


async def test_a_wrong_password_of_postgres_is_out_of_reach_too(
    temporal: dict[str, str], stack_settings: Settings
) -> None:
    assert stack_settings.database_url is not None
    there = stack_settings.database_url.get_secret_value().rpartition("@")[2]
    url = f"postgresql://postgres:wrong@{there}"
    ended = await starter({**temporal, "HOLDFAST_DATABASE_URL": url}, "approvals")
    assert ended.code == 4
    assert "cannot reach Postgres" in ended.error["message"]


async def test_a_wrong_setting_is_named() -> None:
    ended = await starter({**NOWHERE, "HOLDFAST_LIMITS__PARKED_TURNS": "none"}, "approvals")
    assert ended.code == 2
    assert ended.error["error"] == "ConfigurationError"
    assert "HOLDFAST_LIMITS__PARKED_TURNS" in ended.error["message"]


WRONG_PLACES = {
    "an address": ({"HOLDFAST_TEMPORAL_ADDRESS": "127.0.0.1:99999"}, "HOLDFAST_TEMPORAL_ADDRESS"),
    "an address of the profile": (
        {"HOLDFAST_TEMPORAL_ADDRESS": "", "TEMPORAL_ADDRESS": "a b:7"},
        "Temporal's address a b:7 cannot be used",
    ),
    "a profile": ({"TEMPORAL_PROFILE": "nope"}, "Temporal profile .* Profile 'nope' not found"),
    "a file of profiles": ({"TEMPORAL_CONFIG_FILE": "README.md"}, "Temporal profile .* TOML"),
    "a certificate": (
        {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere"},
        "Temporal profile .* No such file",
    ),
    "a data folder": (
        {"HOLDFAST_TEMPORAL_ADDRESS": "", "HOLDFAST_DATA_DIR": "README.md"},
        "HOLDFAST_DATA_DIR.* Not a directory",
    ),
    "what Postgres has no number for": (
        {"HOLDFAST_STATEMENT_SECONDS": "3000000"},
        "HOLDFAST_STATEMENT_SECONDS",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_PLACES)
async def test_a_place_that_cannot_be_one_is_a_wrong_setting(wrong: str) -> None:
    settings, named = WRONG_PLACES[wrong]
    ended = await starter({**NOWHERE, **settings}, "approvals")
    assert ended.code == 2
    assert re.search(named, ended.error["message"], re.DOTALL)
