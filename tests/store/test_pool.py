"""Pools: what a lost server leaves behind is not handed on."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from holdfast.client.records import Records
from holdfast.domain.errors import Unavailable
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from holdfast.store.pool import Pool, open_pool

PID = "select pg_backend_pid()"


@pytest.fixture
async def pool(stack_settings: Settings) -> AsyncIterator[Pool]:
    async with await open_pool(require_database_url(stack_settings), max_size=1) as opened:
        yield opened


async def test_a_connection_whose_state_is_mixed_up_is_replaced(
    pool: Pool, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mixed_up(self: object, *args: object, **options: object) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12; another is in progress")

    before = await pool.fetchval(PID)
    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "_execute", mixed_up)
        with pytest.raises(Unavailable):
            await Records(pool, tenant).conversation("c1")
    assert await pool.fetchval(PID) != before


async def test_a_connection_that_the_server_has_ended_is_replaced(
    pool: Pool, stack_settings: Settings
) -> None:
    async with pool.acquire() as connection:
        before = await connection.fetchval(PID)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")
    assert await pool.fetchval(PID) != before


async def test_a_connection_is_used_again_after_an_ordinary_error(pool: Pool) -> None:
    before = await pool.fetchval(PID)
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetchval("select * from nowhere")
    assert await pool.fetchval(PID) == before
