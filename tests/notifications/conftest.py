"""Servers, queues and a client of its own for each test of deliveries."""

from collections.abc import AsyncIterator

import pytest

from holdfast.client import HoldfastClient
from holdfast.runtime.connection import connect_temporal
from holdfast.runtime.settings import Settings
from holdfast.store.pool import open_pool
from tests.notifications.office import Office


@pytest.fixture
async def office(stack_settings: Settings, tenant: str) -> AsyncIterator[Office]:
    """A tenant's notifications, and workers for what operators ask for; nobody sends anything yet."""
    settings = stack_settings.model_copy(update={"task_queue": f"q-{tenant}"})
    assert settings.database_url is not None
    async with (
        await open_pool(settings.database_url.get_secret_value(), min_size=0, max_size=5) as pool,
        HoldfastClient.connect(settings, tenant=tenant) as client,
    ):
        opened = Office(
            tenant=tenant,
            settings=settings,
            temporal=await connect_temporal(settings),
            pool=pool,
            client=client,
        )
        async with opened.operating():
            yield opened
