"""Fixtures of pytest: servers for the whole run, and a tenant for each test.

In the `conftest.py` at the root of the tests: `pytest_plugins = ["holdfast.testing.fixtures"]`. The ini option
`holdfast_packages` names the packages whose tables the tests need; without it, all that are installed. The servers
are started when the first test asks for them, or with pytest-xdist at once, since its processes share them.
"""

import asyncio
import os
import uuid
from pathlib import Path

import pytest

from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.testing.servers import Servers, can_start, settings_of
from holdfast.worker.preparation import prepare

_FOLDER = "HOLDFAST_TEST_STACK"
"""Where processes that pytest starts find the servers of this run."""

_PACKAGES = "holdfast_packages"
_SERVERS = pytest.StashKey[Servers]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The packages."""
    parser.addini(
        _PACKAGES, "packages that are migrated before tests with servers", type="linelist"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers where other processes will need them."""
    distributed = config.getoption("dist", "no") != "no" and not config.getoption("collectonly")
    if distributed and can_start():
        _start(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers that this process has started."""
    if (servers := config.stash.get(_SERVERS, None)) is not None:
        del os.environ[_FOLDER]
        servers.stop()


@pytest.fixture(scope="session")
def stack_settings(pytestconfig: pytest.Config) -> Settings:
    """Settings that name a Temporal and a Postgres, migrated, and reviewers' keys.

    Raises:
        ExtraMissing: the embedded servers are not installed; the message says what to install.
    """
    _start(pytestconfig)
    return asyncio.run(_prepared(Path(os.environ[_FOLDER]), pytestconfig.getini(_PACKAGES)))


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}"


def _start(config: pytest.Config) -> None:
    if _FOLDER not in os.environ:
        servers = config.stash[_SERVERS] = Servers.start()
        os.environ[_FOLDER] = str(servers.folder)


async def _prepared(folder: Path, packages: list[str]) -> Settings:
    settings = (await settings_of(folder)).model_copy(update={"packages": packages})
    done = folder / "-".join(["prepared", *packages])
    if not done.exists():  # by another process of this run
        await prepare(settings, load_packages(packages), None)
        done.touch()
    return settings
