"""Servers and workers that tests share: one embedded stack for the whole run, a tenant for each test."""

from collections.abc import AsyncIterator

import pytest

from holdfast.runtime.settings import Settings
from tests.platform import Platform, open_platform

pytest_plugins = ["holdfast.testing.fixtures"]


@pytest.fixture
async def platform(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A worker in this process, on task queues of its own, with a scripted model."""
    async with open_platform(stack_settings, tenant) as opened:
        yield opened
