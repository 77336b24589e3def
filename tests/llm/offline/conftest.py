"""The offline model behind the openai SDK, as the chain of providers reaches it."""

from collections.abc import AsyncIterator, Callable

import httpx2
import openai
from pytest_asyncio import fixture as async_fixture

from holdfast.contract.hints import Hints
from holdfast.llm.offline import OfflineTransport

Connect = Callable[..., openai.AsyncOpenAI]


@async_fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens SDK clients over the offline model with the given hints."""
    opened: list[openai.AsyncOpenAI] = []

    def open_one(*hints: Hints, acts: bool = True) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(
            base_url="http://offline/v1",
            api_key="none",
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=OfflineTransport(hints, acts=acts)),
        )
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        await client.close()
