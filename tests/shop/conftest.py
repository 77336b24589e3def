"""A database with the shop's tables, the tau2 data where it is there, and the demonstration's data."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from pytest_asyncio import fixture as async_fixture

from holdfast import Connection
from holdfast.runtime.local.postgres.server import PostgresServer
from holdfast.store.migrate import migrate
from holdfast.store.pool import open_pool
from shop.dataset import load_dataset
from shop.generate import seed
from tests import tau2
from tests.shop.acting import DEMO, MIGRATIONS, TAU2


@pytest.fixture(scope="session")
def shop_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of this test process's own.

    In the server that HOLDFAST_TEST_DATABASE_URL names (it may create databases there), else in an
    embedded one.
    """
    given = os.environ.get("HOLDFAST_TEST_DATABASE_URL")
    with asyncio.Runner() as runner:
        if given:
            name = f"shop_{uuid4().hex}"
            runner.run(_administer(given, f"create database {name}"))
            url = f"{given.rpartition('/')[0]}/{name}"
            runner.run(_fill(url))
            yield url
            runner.run(_administer(given, f"drop database {name} with (force)"))
        else:
            yield from _embedded(runner, tmp_path_factory.mktemp("postgres"))


def _embedded(runner: asyncio.Runner, folder: Path) -> Iterator[str]:
    server = PostgresServer(folder, options={"fsync": "off"})
    runner.run(server.start())
    try:
        runner.run(_fill(server.database_url))
        yield server.database_url
    finally:
        runner.run(server.stop())


async def _administer(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def _fill(url: str) -> None:
    await migrate(url, {"shop": MIGRATIONS})
    async with await open_pool(url) as pool, pool.acquire() as connection:
        await seed(connection, DEMO)
        if tau2.retail_folder():
            await load_dataset(connection, TAU2, tau2.database())
        await connection.execute("analyze")


@async_fixture
async def connection(shop_url: str) -> AsyncIterator[Connection]:
    """A connection in a transaction that is rolled back after the test."""
    async with await open_pool(shop_url, max_size=1) as pool, pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()
