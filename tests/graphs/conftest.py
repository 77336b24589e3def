"""Built-in graphs run standalone over the offline model, with the help centre of a test in Postgres."""

from collections.abc import AsyncIterator

import pytest
from pytest_asyncio import fixture as async_fixture

from holdfast.contract.hints import Hints
from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain
from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.pool import Pool, open_pool
from holdfast.testing import open_reads
from holdfast.testing.reads import NoReads
from tests.graphs.asking import Asker

HINTS = Hints(
    intents={"orders": (r"\bwhere\b[^?]*\b(order|parcel)", r"\bmy order\b", r"\bcancel\b", r"#\d+")}
)


@async_fixture
async def asker() -> AsyncIterator[Asker]:
    client = ModelClient(Chain(), offline_transport=OfflineTransport([HINTS]))
    yield Asker(model=lambda: standalone_model(client), reads=NoReads())
    await client.aclose()


@pytest.fixture
def database_url(stack_settings: Settings) -> str:
    """The migrated database that all tests share, a tenant for each."""
    return require_migration_url(stack_settings)


@async_fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await open_pool(database_url, max_size=2) as pool:
        yield pool


@async_fixture
async def informed(asker: Asker, stack_settings: Settings) -> AsyncIterator[Asker]:
    """An asker whose graphs may read the database."""
    async with open_reads(stack_settings) as reads:
        yield asker.reading(reads)
