"""The ledger of a step in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from openai.types.chat import ChatCompletionMessageParam
from pytest_asyncio import fixture as async_fixture

from holdfast.contract.chat import Tool
from holdfast.llm.ledger import StepLedger
from holdfast.llm.model import LedgeredModel
from holdfast.llm.prices import Price
from holdfast.llm.request import ModelRequest, unpacked
from holdfast.store.llm_calls import (
    CallScope,
    calls_of_thread,
    count_calls,
    prune_requests,
    recorded_call,
)
from holdfast.store.migrate import migrate
from holdfast.store.pool import Pool, open_pool
from holdfast.testing import ScriptedModel, text, tool_calls
from holdfast_devstack.postgres.server import PostgresServer
from tests.llm.conftest import OpenClient

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Grüße"}]
PRICES = {"scripted": Price(input=Decimal("0.15"), output=Decimal("0.6"))}


@pytest.fixture
def scope(request: pytest.FixtureRequest) -> CallScope:
    return CallScope(tenant="t", conversation=request.node.name[-60:], turn=3, thread=2, step=2)


@async_fixture(scope="module", loop_scope="module")
async def database_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = PostgresServer(folder, options={"fsync": "off"})
    await server.start()
    await migrate(server.database_url)
    yield server.database_url
    await server.stop()


@async_fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url)
    yield opened
    await opened.close()


async def ledger_of(pool: Pool, scope: CallScope, *, keep_requests: bool = False) -> StepLedger:
    async with pool.acquire() as connection:
        known = await calls_of_thread(connection, scope)
    return StepLedger(pool, scope, known, keep_requests=keep_requests)


async def test_an_attempt_finds_what_an_earlier_one_recorded(
    open_client: OpenClient, pool: Pool, scope: CallScope
) -> None:
    tool = Tool(name="look_up", description="Looks up.", parameters={"type": "object"})
    reply = tool_calls(("look_up", {"order": "Ä-1"}), content="I look: \\u0000")
    async with ScriptedModel([reply]) as model:
        client = open_client(model, prices=PRICES)
        attempts = [LedgeredModel(client, await ledger_of(pool, scope))]
        first = await attempts[0].chat(HELLO, tools=[tool])
        attempts.append(LedgeredModel(client, await ledger_of(pool, scope)))
        second = await attempts[1].chat(HELLO, tools=[tool])
    assert first == second
    assert second.price == attempts[1].usage.price == Decimal("0.000027")
    assert [attempt.usage.found for attempt in attempts] == [0, 1]


async def test_a_resumed_step_shares_the_calls_of_its_thread_and_another_thread_does_not(
    open_client: OpenClient, pool: Pool, scope: CallScope
) -> None:
    resumed = replace(scope, step=3)
    other = replace(scope, step=4, thread=4)
    found = []
    async with ScriptedModel([text("one"), text("two")]) as model:
        for each in (scope, resumed, other):
            attempt = LedgeredModel(open_client(model), await ledger_of(pool, each))
            await attempt.chat(HELLO)
            found.append(attempt.usage.found)
    assert found == [0, 1, 0]
    async with pool.acquire() as connection:
        assert await count_calls(connection, scope) == 2


async def test_of_two_attempts_that_record_the_same_call_both_go_on_with_the_first_answer(
    open_client: OpenClient, pool: Pool, scope: CallScope
) -> None:
    async with ScriptedModel([text("one"), text("two")]) as model:
        client = open_client(model)
        attempts = [LedgeredModel(client, await ledger_of(pool, scope)) for _ in range(2)]
        answers = [(await attempt.chat(HELLO)).text for attempt in attempts]
    assert answers == ["one", "one"]


async def test_equal_requests_in_parallel_are_rows_of_their_own(
    open_client: OpenClient, pool: Pool, scope: CallScope
) -> None:
    async with ScriptedModel(lambda _: text("same")) as model:
        attempt = LedgeredModel(open_client(model), await ledger_of(pool, scope))
        await asyncio.gather(*(attempt.chat(HELLO) for _ in range(8)))
    async with pool.acquire() as connection:
        known = await calls_of_thread(connection, scope)
    assert sorted(call.occurrence for call in known) == list(range(1, 9))


async def test_a_row_reads_the_same_as_json_of_postgres(
    open_client: OpenClient, pool: Pool, scope: CallScope
) -> None:
    async with ScriptedModel([text("one")]) as model:
        client = open_client(model, prices=PRICES)
        await LedgeredModel(client, await ledger_of(pool, scope)).chat(HELLO)
    async with pool.acquire() as connection:
        row = await connection.fetchval(
            "select to_jsonb(call) from holdfast.llm_calls as call where conversation = $1",
            scope.conversation,
        )
        assert [recorded_call(row)] == await calls_of_thread(connection, scope)


async def test_whole_requests_are_kept_on_demand_and_pruned_by_age(
    open_client: OpenClient, pool: Pool, scope: CallScope
) -> None:
    async with ScriptedModel([text("kept"), text("not kept")]) as model:
        client = open_client(model)
        kept = LedgeredModel(client, await ledger_of(pool, scope, keep_requests=True))
        await kept.chat(HELLO)
        plain = LedgeredModel(client, await ledger_of(pool, scope))
        await plain.chat([*HELLO, *HELLO])
    stored = "select request from holdfast.llm_calls where conversation = $1 order by created_at"
    async with pool.acquire() as connection:
        request, absent = [row[0] for row in await connection.fetch(stored, scope.conversation)]
        assert unpacked(request) == ModelRequest.chat(HELLO)
        assert absent is None
        assert await prune_requests(connection, timedelta(days=1)) == 0
        assert await prune_requests(connection, timedelta(0)) >= 1
        assert await connection.fetchval(stored, scope.conversation) is None
        assert await count_calls(connection, scope) == 2
