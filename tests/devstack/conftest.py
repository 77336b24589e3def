"""Real servers on data folders that are deleted afterwards, wherever their data lies."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from holdfast_devstack.postgres.server import PostgresServer
from holdfast_devstack.stack import delete_local_data
from holdfast_devstack.temporal.server import TemporalServer
from holdfast_devstack.temporary import temporary_postgres, temporary_temporal


@pytest.fixture
async def data_dir() -> AsyncIterator[Path]:
    # Not `tmp_path`, which root keeps private, so that the data would lie elsewhere each time.
    with tempfile.TemporaryDirectory(prefix="holdfast test ") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "data"
        await delete_local_data(Path(folder) / "data")


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="holdfast-test-") as folder:
        yield Path(folder)


@pytest.fixture
async def temporal() -> AsyncIterator[TemporalServer]:
    async with temporary_temporal(search_attributes={"First": "Keyword"}) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_postgres() -> AsyncIterator[PostgresServer]:
    """For tests that leave it as it was; each of them has an event loop of its own."""
    async with temporary_postgres() as server:
        yield server


@pytest.fixture
async def postgres() -> AsyncIterator[PostgresServer]:
    async with temporary_postgres() as server:
        yield server
