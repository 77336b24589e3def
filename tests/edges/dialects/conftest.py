"""A runner for graphs that ask no model, and property tests that take the time they need."""

from collections.abc import AsyncIterator

from hypothesis import HealthCheck, settings
from pytest_asyncio import fixture as async_fixture

from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain
from holdfast.testing.reads import NoReads
from tests.graphs.asking import Asker
from tests.graphs.running import Stepper

settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("patient")


@async_fixture
async def stepper() -> AsyncIterator[Stepper]:
    """Runs the steps of a graph that asks no model."""
    client = ModelClient(Chain(), offline_transport=OfflineTransport([]))
    yield Stepper(Asker(model=lambda: standalone_model(client), reads=NoReads()))
    await client.aclose()
