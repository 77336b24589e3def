"""Servers and workers that tests share: one embedded stack for the whole run, a tenant for each test."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.runtime.settings import Settings
from tests.platform import Platform, open_platform

ROOT = Path(__file__).parent.parent
_SHARED = "HOLDFAST_TEST_STACK"


def pytest_configure(config: pytest.Config) -> None:
    """The first process starts the servers, while tests are being collected; the others find them."""
    if _SHARED in os.environ or config.option.collectonly:
        return
    folder = Path(tempfile.mkdtemp(prefix="holdfast-tests-"))
    folder.chmod(0o711)  # Postgres runs as another user where the tests run as root
    os.environ[_SHARED] = str(folder)
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.servers", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=(folder / "servers.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    config.stash[_KEEPER] = keeper, folder


def pytest_unconfigure(config: pytest.Config) -> None:
    if _KEEPER not in config.stash:
        return
    keeper, folder = config.stash[_KEEPER]
    assert keeper.stdin is not None
    keeper.stdin.close()
    keeper.wait(timeout=60)
    shutil.rmtree(folder, ignore_errors=True)


_KEEPER = pytest.StashKey[tuple["subprocess.Popen[bytes]", Path]]()


@pytest.fixture(scope="session")
def stack_settings() -> Settings:
    """Settings that name the shared servers, once these are up and migrated."""
    return asyncio.run(_wait_for_servers(Path(os.environ[_SHARED])))


async def _wait_for_servers(folder: Path) -> Settings:
    ready = folder / "ready.json"
    async with asyncio.timeout(600):
        while not ready.exists():  # noqa: ASYNC110 another process writes it
            await asyncio.sleep(0.05)
    return Settings.model_validate_json(ready.read_text())


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def platform(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A worker in this process, on task queues of its own, with a scripted model."""
    async with open_platform(stack_settings, tenant) as opened:
        yield opened
