"""No statement runs without end: not one that takes too long, and not one whose process has died."""

import asyncio

import asyncpg
import pytest

from holdfast.client.records import Records
from holdfast.domain.errors import Unavailable
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from holdfast.store.liveness import open_session
from holdfast.store.pool import Connection, Pool, open_pool
from holdfast.testing import eventually

SHOWN = """
select name, setting from pg_settings where name in
('statement_timeout', 'idle_in_transaction_session_timeout', 'client_connection_check_interval')
"""


async def shown(asked: Pool | Connection) -> dict[str, str]:
    """The bounds of a session."""
    return {row["name"]: row["setting"] for row in await asked.fetch(SHOWN)}


async def test_every_session_has_bounds(stack_settings: Settings) -> None:
    url = require_database_url(stack_settings)
    expected = {
        "statement_timeout": "30000",
        "idle_in_transaction_session_timeout": "5000",
        "client_connection_check_interval": "1000",
    }
    async with (
        await open_pool(url, max_size=1) as pool,
        await open_pool(url, read_only=True, max_size=1) as reads,
        await open_pool(url, max_size=1, statement_seconds=0, idle_in_transaction_seconds=7) as own,
    ):
        assert await shown(pool) == expected
        assert await shown(reads) == {**expected, "statement_timeout": "5000"}
        changed = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "7000"}
        assert await shown(own) == {**expected, **changed}
    session = await open_session(url)
    assert await shown(session) == expected
    await session.close()


async def test_the_product_role_has_bounds_in_every_session(stack_settings: Settings) -> None:
    connection = await asyncpg.connect(require_database_url(stack_settings))
    found = await shown(connection)
    await connection.close()
    assert found["statement_timeout"] == "30000"
    assert found["idle_in_transaction_session_timeout"] == "5000"


async def test_a_statement_that_takes_too_long_is_cancelled_and_its_connection_goes_on(
    stack_settings: Settings, tenant: str
) -> None:
    url = require_database_url(stack_settings)
    async with await open_pool(url, max_size=1, statement_seconds=0.2) as pool:
        before = await pool.fetchval("select pg_backend_pid()")
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.execute("select pg_sleep(60)")
        with pytest.raises(Unavailable, match="HOLDFAST_STATEMENT_SECONDS"):
            async with Records(pool, tenant).connection() as connection:
                await connection.execute("select pg_sleep(60)")
        assert await pool.fetchval("select pg_backend_pid()") == before


async def test_the_statement_of_a_client_that_is_gone_is_cancelled(
    stack_settings: Settings,
) -> None:
    url = require_database_url(stack_settings)
    async with (
        await open_pool(url, max_size=1) as pool,
        await open_pool(url, max_size=1, statement_seconds=0) as dying,
        dying.acquire() as connection,
    ):
        pid = await connection.fetchval("select pg_backend_pid()")
        running = asyncio.create_task(connection.execute("select pg_sleep(600)"))

        async def runs() -> bool:
            query = "select query from pg_stat_activity where pid = $1 and state = 'active'"
            return "pg_sleep" in (await pool.fetchval(query, pid) or "")

        await eventually(runs, what="the statement")
        connection.terminate()  # what the kernel does to the connections of a killed process

        async def is_gone() -> bool:
            return not await runs()

        await eventually(is_gone, within=10, what="the end of the statement")
        await asyncio.gather(running, return_exceptions=True)
