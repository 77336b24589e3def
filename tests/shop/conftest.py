"""A database with the shop's tables, the tau2 data where it is there, and the demonstration's data."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import pytest
from pytest_asyncio import fixture as async_fixture

from holdfast import Connection
from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.migrate import migrate
from holdfast.store.pool import open_pool
from holdfast_shop.dataset import load_dataset
from holdfast_shop.generate import seed
from tests import tau2
from tests.shop.acting import DEMO, MIGRATIONS, TAU2


@pytest.fixture(scope="session")
def shop_url(stack_settings: Settings) -> Iterator[str]:
    """A database of this test process's own, in the shared server."""
    server = require_migration_url(stack_settings)
    name = f"shop_{uuid4().hex}"
    url = f"{server.rpartition('/')[0]}/{name}"
    asyncio.run(_administer(server, f"create database {name}"))
    asyncio.run(_fill(url))
    yield url
    asyncio.run(_administer(server, f"drop database {name} with (force)"))


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
