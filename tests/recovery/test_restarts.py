"""Servers that go away in the middle of a turn, and come back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.runtime.local.stack import LocalStack, local_stack
from holdfast.runtime.settings import Settings
from holdfast.subgraphs.registry import load_packages
from tests.platform import PACKAGES, Platform, counting, open_platform, routed_to
from tests.scripted_model import Hold, Reply
from worker import prepare


@pytest.fixture
async def own_stack(tmp_path: Path) -> AsyncIterator[LocalStack]:
    """Servers that no other test uses, to be killed."""
    async with local_stack(
        tmp_path, search_attributes=SEARCH_ATTRIBUTES, temporal_ui=False
    ) as stack:
        yield stack


@pytest.fixture
async def own_platform(own_stack: LocalStack, tenant: str) -> AsyncIterator[Platform]:
    settings = Settings.model_validate(
        {
            "temporal_address": own_stack.temporal_address,
            "database_url": own_stack.database_url,
            "migration_url": own_stack.migration_url,
            "unsigned_decisions": True,
            "health_port": 0,
        }
    )
    await prepare(settings, load_packages(PACKAGES), None)
    async with open_platform(settings, tenant) as platform:
        yield platform


@pytest.mark.parametrize("lost", ["postgres", "temporal"])
async def test_a_server_killed_in_the_middle_of_a_turn_costs_nothing(
    own_stack: LocalStack, own_platform: Platform, lost: str
) -> None:
    platform, hold = own_platform, Hold()
    steps = counting([("add", {"counter": "c", "amount": 5})], then="Added.")

    def answer(request: dict[str, object]) -> Reply:
        reply = steps(request)
        assert isinstance(reply, Reply)
        return reply.held(hold)

    platform.script = routed_to("counter", answer)
    result = asyncio.create_task(platform.send("c1", "add five", message_id="m1"))
    await hold.arrived.wait()
    server = own_stack.postgres if lost == "postgres" else own_stack.temporal
    assert server is not None
    await server.kill()
    hold.release()
    await server.start()
    assert (await result).reply == "Added."
    assert await platform.effects() == [5]
    assert (await platform.send("c1", "add five", message_id="m1")).reply == "Added."
    assert len((await platform.client.show("c1")).messages) == 2
    await platform.replay("c1")
