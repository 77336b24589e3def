"""Pools: what a lost server leaves behind is not handed on."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from holdfast.client.records import Records
from holdfast.domain.errors import Unavailable
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from holdfast.store.pool import Pool, TransactionLeftIdle, is_transient, lend, open_pool

PID = "select pg_backend_pid()"
SESSION = """
select current_setting('search_path'), current_setting('statement_timeout'), current_user,
       (select count(*) from pg_class where relpersistence = 't' and pg_table_is_visible(oid)),
       (select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'),
       (select count(*) from pg_listening_channels()), (select count(*) from pg_cursors),
       (select count(*) from pg_prepared_statements where from_sql)
"""


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
        with pytest.raises(Unavailable):
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")
    assert await pool.fetchval(PID) != before


async def test_a_connection_is_used_again_after_an_ordinary_error(pool: Pool) -> None:
    before = await pool.fetchval(PID)
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetchval("select * from nowhere")
    assert await pool.fetchval(PID) == before


async def test_our_connections_say_that_it_is_postgres_that_is_gone(pool: Pool) -> None:
    end = "select pg_terminate_backend(pg_backend_pid())"
    with pytest.raises(Unavailable):
        await pool.fetchval(end)
    with pytest.raises(Unavailable):
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetchval(end)
    with pytest.raises(Unavailable):
        async with pool.acquire() as connection:
            await (await connection.prepare(end)).fetch()


async def test_a_wrong_statement_and_a_callers_bound_are_not_postgres(pool: Pool) -> None:
    with pytest.raises(asyncpg.DataError) as wrong:
        await pool.fetchval("select $1::int", "no number")
    assert not is_transient(wrong.value)
    with pytest.raises(TimeoutError) as slow:
        await pool.fetchval("select pg_sleep(5)", timeout=0.1)
    assert not is_transient(slow.value)
    assert not is_transient(OSError("of a builder's"))
    assert not is_transient(asyncpg.SerializationError("of another database"))


async def test_a_transaction_that_postgres_rolls_back_for_another_may_be_tried_again(
    pool: Pool,
) -> None:
    with pytest.raises(asyncpg.SerializationError) as contended:
        await pool.execute("do $$ begin raise sqlstate '40001'; end $$")
    assert is_transient(contended.value)


async def test_a_transaction_that_is_left_idle_is_its_callers_fault(
    stack_settings: Settings,
) -> None:
    url = require_database_url(stack_settings)

    async def leave_idle() -> None:
        async with (
            await open_pool(url, max_size=1, idle_in_transaction_seconds=0.1) as pool,
            pool.acquire() as connection,
            connection.transaction(),
        ):
            await asyncio.sleep(0.5)
            await connection.fetchval("select 1")

    with pytest.raises(TransactionLeftIdle):
        await leave_idle()


@pytest.mark.parametrize("read_only", [False, True])
async def test_what_brought_code_leaves_in_its_session_is_not_handed_on(
    stack_settings: Settings, read_only: bool
) -> None:
    url = require_database_url(stack_settings)
    kept = "" if read_only else "create temp table kept (id int); listen somebody; "
    async with await open_pool(url, max_size=1, read_only=read_only) as pool:
        async with pool.acquire() as connection:
            session, before = await connection.fetchrow(SESSION), await connection.fetchval(PID)
            await lend(connection).execute(
                "set search_path = pg_catalog; set statement_timeout = 1234567; set role none;"
                f"{kept}prepare p as select 1; declare c cursor with hold for select 1;"
                "select pg_advisory_lock(4711)"
            )
            assert await connection.fetchrow(SESSION) != session
        assert await pool.fetchrow(SESSION) == session
        assert await pool.fetchval(PID) == before


DEALLOCATED = "do $$ begin execute 'deallocate all'; end $$"
RENAMED = f"{DEALLOCATED}; do $$ begin execute 'prepare %s as select 2'; end $$"


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("hidden", [DEALLOCATED, RENAMED])
async def test_statements_that_brought_code_has_deallocated_are_prepared_again(
    stack_settings: Settings, read_only: bool, hidden: str
) -> None:
    url = require_database_url(stack_settings)
    async with await open_pool(url, max_size=1, read_only=read_only) as pool:
        before = await pool.fetchval(PID)
        async with pool.acquire() as connection:
            name = await connection.fetchval("select name from pg_prepared_statements limit 1")
            await lend(connection).execute(hidden.replace("%s", name))
        assert await pool.fetchval(PID) == before


async def test_the_same_statement_about_other_tables_is_another_one(pool: Pool) -> None:
    for kind, value in ("int", 1), ("text", "one"):
        async with pool.acquire() as connection, connection.transaction():
            lent = lend(connection)
            await lent.execute(f"create temp table kept (it {kind}); insert into kept values ('1')")
            await lent.execute(f"update kept set it = '{value}'")
            assert await lent.fetchval("select it from kept") == value


async def test_a_connection_that_cannot_be_reset_is_replaced(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await pool.fetchval(PID)
    async with pool.acquire() as connection:
        await lend(connection).execute("select 1")
        monkeypatch.setattr(asyncpg.Connection, "get_reset_query", lambda _: "select 1 / 0;")
    monkeypatch.undo()
    assert await pool.fetchval(PID) != before


async def test_a_connection_whose_statements_are_not_its_session_s_is_replaced(pool: Pool) -> None:
    before = await pool.fetchval(PID)
    await pool.execute(DEALLOCATED)
    with pytest.raises(asyncpg.InvalidSQLStatementNameError):
        await pool.fetchval(PID)
    assert await pool.fetchval(PID) != before
