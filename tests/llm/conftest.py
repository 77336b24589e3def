"""Model clients whose offline model is scripted, too."""

from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from pytest_asyncio import fixture as async_fixture

from holdfast.domain.limits import AnswerBounds
from holdfast.domain.offline import OfflineMode
from holdfast.llm.breaker import BreakerSettings
from holdfast.llm.client import ModelClient
from holdfast.llm.prices import PRICES, Prices
from holdfast.llm.providers import Chain, Provider
from holdfast.llm.retries import RetrySettings
from holdfast.testing import ScriptedModel, text

OFFLINE_TEXT = "Our models are unreachable."


class Clock:
    """Seconds that pass when the test says so, or somebody sleeps; `slept` are the pauses."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class OfflineAnswers:
    """The wire of the offline model: `status` other than 200 makes it fail."""

    def __init__(self) -> None:
        self.status = 200
        self.transport = httpx2.MockTransport(self._answer)

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        reply = text(OFFLINE_TEXT, model="rules")
        return httpx2.Response(self.status, json=dict(reply.body))


OpenClient = Callable[..., ModelClient]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def offline() -> OfflineAnswers:
    return OfflineAnswers()


@async_fixture
async def open_client(clock: Clock, offline: OfflineAnswers) -> AsyncIterator[OpenClient]:
    """Opens clients over scripted models or providers; they are closed after the test."""
    opened: list[ModelClient] = []

    def open_one(
        *links: ScriptedModel | Provider,
        mode: OfflineMode | None = None,
        breaker: BreakerSettings | None = None,
        retry: RetrySettings | None = None,
        prices: Prices = PRICES,
        bounds: AnswerBounds | None = None,
    ) -> ModelClient:
        providers = tuple(
            link if isinstance(link, Provider) else provider(link, name=f"scripted-{index}")
            for index, link in enumerate(links, start=1)
        )
        client = ModelClient(
            Chain(providers=providers, offline=mode),
            offline_transport=offline.transport,
            breaker=breaker,
            retry=retry or RetrySettings(pause_seconds=0),
            prices=prices,
            bounds=bounds,
            clock=clock,
            sleep=clock.sleep,
        )
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        await client.aclose()


def provider(
    model: ScriptedModel | str, *, name: str = "scripted", timeout_seconds: float = 30.0
) -> Provider:
    base_url = model if isinstance(model, str) else model.base_url
    return Provider(name=name, base_url=base_url, model=name, timeout_seconds=timeout_seconds)
