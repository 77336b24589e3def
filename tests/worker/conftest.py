"""A platform without a worker, and databases of a test's own on the shared server."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings
from tests.platform import Platform, open_platform


@pytest.fixture
async def remote(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A platform whose workers the test starts."""
    async with open_platform(stack_settings, tenant, in_process=False) as opened:
        yield opened


@pytest.fixture
async def empty_database(stack_settings: Settings, tenant: str) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    shared = require_migration_url(stack_settings)
    connection = await asyncpg.connect(shared)
    await connection.execute(f'create database "{tenant}"')
    yield make_url(shared).set(database=tenant).render_as_string(hide_password=False)
    await connection.execute(f'drop database "{tenant}" with (force)')
    await connection.close()
