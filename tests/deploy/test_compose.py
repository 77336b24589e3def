"""docker-compose.yml, as a compose implementation reads it, fits the project."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.runtime.connection import connect_temporal, require_search_attributes
from holdfast.runtime.settings import Settings
from holdfast.worker.health import HealthServer
from holdfast_devstack.temporal.binary import find_temporal
from tests.docs.blocks import ROOT
from tests.docs.commands import COMMANDS

SCRIPTS = ROOT / "deploy" / "temporal"


def read_compose(**environment: str) -> dict[str, Any]:
    """The project's services as `config` prints them."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    # `config` asks for an engine's version only to know that there is one; echo will do.
    printed = subprocess.run(
        [
            Path(sys.executable).with_name("podman-compose"),
            *("--podman-path", "/bin/echo", "-f", ROOT / "docker-compose.yml"),
            *("--profile", "demo", "config"),
        ],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    services: dict[str, Any] = yaml.safe_load(printed.stdout)["services"]
    return services


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return read_compose()


def test_it_has_every_part_of_a_production_like_run(services: dict[str, Any]) -> None:
    assert set(services) == {
        "postgres",
        "temporal-postgres",
        "temporal-schema",
        "temporal",
        "temporal-namespace",
        "temporal-ui",
        "migrate",
        "worker",
        "demo-data",
        "demo-worker",
    }
    asked_for = {
        name for name, service in services.items() if "demo" in service.get("profiles", [])
    }
    assert asked_for == {"demo-data", "demo-worker"}
    assert {services[name]["image"] for name in asked_for} == {"holdfast-demo:0.1.0"}
    for name, service in services.items():
        for needed in service.get("depends_on", {}):
            assert needed in services, name


def test_images_are_pinned_and_ports_are_bound_to_this_machine(services: dict[str, Any]) -> None:
    for name, service in services.items():
        _, _, tag = service["image"].partition(":")
        assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']}"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    temporal = {services[name]["image"].split(":")[1] for name in ("temporal", "temporal-schema")}
    assert len(temporal) == 1


def test_the_commands_that_it_runs_exist(services: dict[str, Any]) -> None:
    commands = [
        services[name]["command"] for name in ("migrate", "worker", "demo-data", "demo-worker")
    ]
    for program, command, *arguments in commands:
        assert program == "holdfast"
        COMMANDS[command].make_context(command, arguments)
    assert commands == [
        ["holdfast", "worker", "--migrate"],
        ["holdfast", "worker"],
        ["holdfast", "worker", "--seed", "demo"],
        ["holdfast", "worker"],
    ]


def test_the_paths_that_it_mounts_exist(services: dict[str, Any]) -> None:
    mounted = 0
    for service in services.values():
        paths = [*service.get("entrypoint", []), *service.get("environment", {}).values()]
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            if not source.startswith("."):
                continue
            inside = [str(path) for path in paths if str(path).startswith(f"{target}/")]
            assert inside
            for path in inside:
                assert (ROOT / source / Path(path).relative_to(target)).is_file()
                mounted += 1
    assert mounted == 3


def test_its_settings_are_those_of_the_code(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("migrate", "worker", "demo-data", "demo-worker"):
        environment = services[name]["environment"]
        known = {f"HOLDFAST_{field.upper()}" for field in Settings.model_fields}
        assert set(environment) <= known | {"OPENAI_API_KEY"}
        for variable, value in environment.items():
            if value is not None:
                monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.temporal_address == "temporal:7233"
    assert settings.health_host == "0.0.0.0"
    assert services["worker"]["expose"] == [str(settings.health_port)]
    grace = services["worker"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > settings.shutdown_seconds


def test_passwords_come_from_the_environment() -> None:
    services = read_compose(
        POSTGRES_PASSWORD="one", TEMPORAL_POSTGRES_PASSWORD="two", PRODUCT_PASSWORD="three"
    )
    database = services["postgres"]["environment"]
    product = urlsplit(services["worker"]["environment"]["HOLDFAST_DATABASE_URL"])
    assert (product.username, product.password) == ("holdfast_product", "three")
    assert "HOLDFAST_MIGRATION_URL" not in services["worker"]["environment"]
    url = urlsplit(services["migrate"]["environment"]["HOLDFAST_MIGRATION_URL"])
    assert (url.username, url.password) == (database["POSTGRES_USER"], "one")
    assert (url.hostname, url.path) == ("postgres", f"/{database['POSTGRES_DB']}")
    assert database["POSTGRES_PASSWORD"] == "one"
    own = services["temporal-postgres"]["environment"]
    server = services["temporal"]["environment"]
    schema = services["temporal-schema"]["environment"]
    assert own["POSTGRES_PASSWORD"] == server["POSTGRES_PWD"] == schema["SQL_PASSWORD"] == "two"
    assert own["POSTGRES_USER"] == server["POSTGRES_USER"] == schema["SQL_USER"]
    assert server["POSTGRES_SEEDS"] == schema["SQL_HOST"] == "temporal-postgres"


async def test_the_health_check_tells_a_ready_worker_from_an_unready_one(
    services: dict[str, Any],
) -> None:
    kind, python, *arguments = services["worker"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    problems: list[str] = []

    async def check() -> list[str]:
        return problems

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = HealthServer("127.0.0.1", port, check)
    serving = asyncio.create_task(server.serve())
    asked = [argument.replace(f":{Settings().health_port}/", f":{port}/") for argument in arguments]
    assert asked != arguments

    async def healthy() -> bool:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *asked, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait() == 0

    async with asyncio.timeout(30):
        while not await healthy():
            assert not serving.done()
    problems.append("Temporal does not answer")
    assert not await healthy()
    server.stop()
    await serving


def test_the_namespace_script_creates_the_search_attributes_of_the_code() -> None:
    script = (SCRIPTS / "namespace.sh").read_text()
    assert dict(re.findall(r"--name (\w+) --type (\w+)", script)) == SEARCH_ATTRIBUTES


async def test_the_namespace_script_works_and_can_be_repeated(
    tmp_path: Path, stack_settings: Settings, tenant: str
) -> None:
    (tmp_path / "temporal").symlink_to(await find_temporal(progress=print))
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TEMPORAL_ADDRESS": str(stack_settings.temporal_address),
        "TEMPORAL_NAMESPACE": tenant,
    }
    for _ in range(2):
        script = await asyncio.create_subprocess_exec(
            *("/bin/sh", SCRIPTS / "namespace.sh"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await script.communicate()
        assert script.returncode == 0, printed.decode()
    settings = stack_settings.model_copy(update={"temporal_namespace": tenant})
    await require_search_attributes(await connect_temporal(settings))


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_valid_for_a_plain_shell(script: Path) -> None:
    subprocess.run(["/bin/sh", "-n", script], check=True)


def test_the_schema_script_prepares_both_databases(tmp_path: Path) -> None:
    recorder = tmp_path / "temporal-sql-tool"
    recorder.write_text('#!/bin/sh\necho "$@"\n')
    recorder.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", SCRIPTS / "schema.sh"],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SQL_HOST": "db",
            "SQL_PORT": "5432",
            "SQL_USER": "temporal",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    connected = "--plugin postgres12 --ep db -p 5432 -u temporal --db"
    versions = "-d /etc/temporal/schema/postgresql/v12"
    assert done.stdout.splitlines() == [
        f"{connected} temporal create",
        f"{connected} temporal setup-schema -v 0.0",
        f"{connected} temporal update-schema {versions}/temporal/versioned",
        f"{connected} temporal_visibility create",
        f"{connected} temporal_visibility setup-schema -v 0.0",
        f"{connected} temporal_visibility update-schema {versions}/visibility/versioned",
    ]
