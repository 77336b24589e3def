"""What keeps a worker from starting: it says so in one line, and its exit code says of what kind it is."""

import json
import socket
from pathlib import Path

import asyncpg
import pytest

from holdfast.runtime.connection import require_migration_url
from holdfast_devstack.temporary import temporary_temporal
from tests.platform import Platform
from tests.worker.running import Ended, worker

WRONG_SETTINGS = {
    "a bound of zero": (
        {"HOLDFAST_LIMITS__PARKED_TURNS": "0"},
        "HOLDFAST_LIMITS__PARKED_TURNS: Input should be greater than or equal to 1",
    ),
    "a list that is not json": ({"HOLDFAST_PACKAGES": "shop"}, "HOLDFAST_PACKAGES"),
    "an unknown package": ({"HOLDFAST_PACKAGES": '["nowhere:package"]'}, "'nowhere:package'"),
    "a provider without a model": ({"HOLDFAST_MODELS": '[{"name": "x"}]'}, "providers.0.model"),
    "an endpoint that is no address": (
        {"HOLDFAST_MODELS": "", "HOLDFAST_MODEL_BASE_URL": "localhost:11434/v1"},
        "settings are wrong: HOLDFAST_MODEL_BASE_URL: ",
    ),
    "a provider with endless patience": (
        {"HOLDFAST_MODELS": '[{"name": "x", "model": "m", "timeout_seconds": Infinity}]'},
        "HOLDFAST_MODELS: providers.0.timeout_seconds",
    ),
    "a fallback for nobody": (
        {"HOLDFAST_MODELS": "[]", "HOLDFAST_OFFLINE": "fallback"},
        "HOLDFAST_OFFLINE=fallback needs",
    ),
    "a role of the offline model that is none": ({"HOLDFAST_OFFLINE": "yes"}, "HOLDFAST_OFFLINE"),
    "a provider that is half set up": (
        {
            "HOLDFAST_MODELS": json.dumps(
                [{"name": "x", "kind": "azure", "model": "m", "api_key": "sk-secret"}]
            )
        },
        "an 'azure' provider also needs api_version, base_url",
    ),
    "nobody who could sign decisions": (
        {"HOLDFAST_REVIEWER_KEYS": ""},
        "set HOLDFAST_REVIEWER_KEYS to a JWKS file or URL",
    ),
    "reviewers' keys that are not there": (
        {"HOLDFAST_REVIEWER_KEYS": "/nowhere/keys.json"},
        "the reviewers' keys at /nowhere/keys.json cannot be used",
    ),
    "a notifications folder that is missing": (
        {"HOLDFAST_NOTIFICATIONS_DIR": "/nowhere"},
        "the notifications folder /nowhere does not exist",
    ),
}
"""Settings, and what the message has to name."""


def assert_refused(ended: Ended, *, naming: str, code: int = 2) -> None:
    assert ended.code == code, ended.log
    assert naming in ended.log
    assert "Traceback" not in ended.log
    assert "sk-secret" not in ended.log


@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
async def test_wrong_settings_are_refused_by_name(remote: Platform, wrong: str) -> None:
    settings, named = WRONG_SETTINGS[wrong]
    assert_refused(await worker({**remote.environment, **settings}), naming=named)


async def test_a_role_that_could_change_the_audit_log_is_refused(remote: Platform) -> None:
    owner = require_migration_url(remote.settings)
    ended = await worker({**remote.environment, "HOLDFAST_DATABASE_URL": owner})
    assert_refused(ended, naming="could change the audit log")


async def test_a_broken_policy_file_is_refused_by_name_and_place(
    remote: Platform, tmp_path: Path
) -> None:
    (tmp_path / "default.yaml").write_text("name: acme\nversion: 1\nactions: {add: perhaps}\n")
    ended = await worker({**remote.environment, "HOLDFAST_POLICY_DIR": str(tmp_path)})
    assert_refused(ended, naming="default.yaml:3: actions.add[0]: ")


async def test_a_namespace_without_the_search_attributes_is_refused_with_the_command_that_adds_them(
    remote: Platform,
) -> None:
    async with temporary_temporal(search_attributes={}) as bare:
        ended = await worker({**remote.environment, "HOLDFAST_TEMPORAL_ADDRESS": bare.address})
    assert_refused(ended, naming="lacks the search attributes HoldfastTenant, HoldfastStatus")
    assert "search-attribute create -n default --name HoldfastTenant --type Keyword" in ended.log


async def test_a_database_that_was_not_migrated_is_refused_with_the_command_that_migrates_it(
    remote: Platform, empty_database: str
) -> None:
    ended = await worker({**remote.environment, "HOLDFAST_DATABASE_URL": empty_database})
    assert_refused(ended, naming="schema 'holdfast' is at revision none")
    assert "holdfast worker --migrate" in ended.log


_REVISION = "revision = {!r}\ndown_revision = None\ndef upgrade(): pass\n"


@pytest.mark.parametrize(
    ("revisions", "named"),
    [
        (None, "there is no such folder"),
        ({}, "it has no revision"),
        ({"1": _REVISION.format("1"), "2": _REVISION.format("2")}, "nothing follows"),
        ({"1": "def x(:"}, "SyntaxError: "),
        ({"1": "{}['sk-secret']"}, "KeyError, at "),
    ],
)
async def test_migrations_that_cannot_be_used_are_refused_before_anything_is_changed(
    remote: Platform,
    empty_database: str,
    tmp_path: Path,
    revisions: dict[str, str] | None,
    named: str,
) -> None:
    if revisions is not None:
        (tmp_path / "revisions").mkdir()
        for name, text in revisions.items():
            (tmp_path / "revisions" / f"{name}.py").write_text(text)
    (tmp_path / "ferry.py").write_text(
        "from pathlib import Path\nfrom holdfast import Package\n"
        "package = Package(name='ferry', migrations=Path(__file__).parent / 'revisions')\n"
    )
    ferry = {"HOLDFAST_PACKAGES": '["ferry"]', "PYTHONPATH": str(tmp_path)}
    started = await worker({**remote.environment, **ferry})
    assert_refused(started, naming=named)
    empty = {"HOLDFAST_DATABASE_URL": empty_database}
    migrated = await worker({**remote.environment, **ferry, **empty}, "--migrate")
    assert_refused(migrated, naming=named)
    connection = await asyncpg.connect(empty_database)
    made = "select count(*) from pg_namespace where nspname in ('holdfast', 'ferry')"
    assert await connection.fetchval(made) == 0
    await connection.close()


@pytest.mark.parametrize(
    ("setting", "address", "named"),
    [
        ("HOLDFAST_TEMPORAL_ADDRESS", "127.0.0.1:1", "cannot reach Temporal at 127.0.0.1:1"),
        (
            "HOLDFAST_DATABASE_URL",
            "postgresql://holdfast:sk-secret@127.0.0.1:1/holdfast",
            "cannot reach Postgres",
        ),
    ],
    ids=["temporal", "postgres"],
)
async def test_a_server_that_is_away_is_another_kind_of_failure(
    remote: Platform, setting: str, address: str, named: str
) -> None:
    ended = await worker({**remote.environment, setting: address})
    assert_refused(ended, naming=named, code=4)


async def test_without_any_address_the_way_to_start_servers_is_named(tmp_path: Path) -> None:
    ended = await worker({"HOLDFAST_DATA_DIR": str(tmp_path), "HOLDFAST_HEALTH_PORT": "0"})
    assert_refused(ended, naming="make up", code=4)


async def test_a_health_port_that_is_taken_is_refused(remote: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = await worker({**remote.environment, "HOLDFAST_HEALTH_PORT": str(port)})
    assert_refused(ended, naming=f"cannot serve health on 127.0.0.1:{port}")
