"""What brought code gets of a connection ends no transaction and no session."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from holdfast.domain.errors import BrokenContract, TransactionEnded
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from holdfast.store.lent import require_no_end
from holdfast.store.pool import Connection, Pool, lend, open_pool
from holdfast.store.subjects import lent_reads

ENDING = (
    "select 1 as §$a$; commit; select 2 as §$a$",
    "select 1 as a§$b$; commit; select 2 as a§$b$",
    "select 1 as ٣$a$; commit; select 2 as ٣$a$",
    "select 1 as a$b$; commit; select 2 as a$b$",
    "select $٣$ ' $٣$; commit; select ''",
    "select $€$ $$ $a$ $€$; commit; select $€$ $$ $a$ $€$",
    "select 1 as €; commit",
    "-- x\rcommit",
    "select E'a'\n'b\\''; commit; select ''",
    "select E'a' -- c\n -- d\r\t'b\\''; commit; select ''",
)
"""What ends the transaction that it is sent in, as Postgres reads it."""
REFUSED = (
    *ENDING,
    "commit",
    "/* x */ end",
    "insert into a values (1); commit",
    "-- x\nCOMMIT and chain",
    "/* /* */ ; */ commit",
    "rollback",
    "rollback work; begin",
    "abort",
    "begin",
    "start transaction read write",
    "prepare transaction 'x'",
    "commit prepared 'x'",
    "rollback prepared 'x'",
    "select $$ a; $$; commit",
    "select $x$ $$ ; $x$ ; commit",
    r"select E'\''; commit",
    r"select '\'; commit",
    "select 'it''s'; commit",
    "select a$b$ from t; commit; select c$b$",
    "select $1; commit",
    "select pg_terminate_backend(pg_backend_pid())",
    'select pg_catalog."pg_terminate_backend"(1)',
    "deallocate all",
    "select 1; /* x */ DEALLOCATE prepare /* y */ ALL",
    "discard all",
    "discard temp",
    "load 'auto_explain'",
)
STAYING = (
    "select $§$; commit; $§$",
    "select $aß$; commit; $aß$",
    "select 1 as \xa0commit",
    "select E'a'\n'\\'; commit; --'",
    "select 'a' -- '\n'; commit; '",
    "select 1 -- x; commit\n",
)
SENT = (
    *STAYING,
    "select case when a then 1 end from b",
    "savepoint begin",
    "rollback to savepoint x",
    "rollback work to x",
    "release savepoint x",
    "select 'a; commit'",
    "select $$; commit $$",
    'select "commit" from t',
    "-- commit\nselect 1",
    "select /* /* ; */ ; commit */ 1",
    r"select e'\'; commit '",
    "insert into t values ('/*'); select '; commit'",
    "prepare p as select 1",
    "deallocate p",
    "select load, discard from deallocate, all_of_it",
    "select start from begin",
    "select 'pg_terminate_backend'",
)


@pytest.mark.parametrize("statement", REFUSED)
def test_a_statement_that_ends_a_transaction_or_a_session_is_told(statement: str) -> None:
    with pytest.raises(BrokenContract, match="may not send"):
        require_no_end(statement)


@pytest.mark.parametrize("statement", SENT)
def test_a_statement_that_only_reads_like_one_is_sent(statement: str) -> None:
    require_no_end(statement)


@pytest.mark.parametrize("statement", [*ENDING, *STAYING])
async def test_statements_are_read_as_postgres_reads_them(
    stack_settings: Settings, statement: str
) -> None:
    connection = await asyncpg.connect(require_database_url(stack_settings))
    try:
        await connection.execute("begin")
        await connection.execute(statement)
        assert connection.is_in_transaction() == (statement in STAYING)
    finally:
        await connection.close()


@pytest.fixture
async def pool(stack_settings: Settings) -> AsyncIterator[Pool]:
    async with await open_pool(require_database_url(stack_settings), max_size=1) as opened:
        yield opened


@pytest.fixture
async def reads(stack_settings: Settings) -> AsyncIterator[Pool]:
    url = require_database_url(stack_settings)
    async with await open_pool(url, read_only=True, max_size=1) as opened:
        yield opened


async def _cursor(lent: Connection) -> None:
    async for _ in lent.cursor("commit"):
        pass


@pytest.mark.parametrize(
    "ending",
    [
        lambda lent: lent.execute("commit"),
        lambda lent: lent.execute(query="commit"),
        lambda lent: lent.executemany("commit", [()]),
        lambda lent: lent.fetch("commit"),
        lambda lent: lent.fetchrow("commit"),
        lambda lent: lent.fetchval("commit"),
        lambda lent: lent.fetchmany("commit", [()]),
        lambda lent: lent.prepare("commit"),
        lambda lent: lent.copy_from_query(
            "select 1) to stdout; commit; copy (select 1", output="x"
        ),
        lambda lent: lent.copy_to_table("t", source="x", where="true; commit"),
        lambda lent: lent.copy_records_to_table("t", records=[], where="true; commit"),
        _cursor,
        lambda lent: lent.execute("deallocate all"),
    ],
)
async def test_no_way_leads_out_of_a_lent_transaction(
    pool: Pool, ending: Callable[[Any], Awaitable[object]]
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        before = await connection.fetchval("select pg_current_xact_id()")
        with pytest.raises(BrokenContract, match="may not send"):
            await ending(lend(connection))
        assert await connection.fetchval("select pg_current_xact_id()") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda lent: lent.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=str),
        lambda lent: lent.set_builtin_type_codec("jsonb", schema="pg_catalog", codec_name="text"),
        lambda lent: lent.reset_type_codec("jsonb", schema="pg_catalog"),
        lambda lent: lent.get_settings(),
        lambda lent: lent.reload_schema_state(),
        lambda lent: lent.add_listener("somebody", print),
        lambda lent: lent.add_log_listener(print),
        lambda lent: lent.add_termination_listener(print),
        lambda lent: lent.add_query_logger(print),
        lambda lent: lent.query_logger(print),
        lambda lent: lent.close(),
        lambda lent: lent.terminate(),
        lambda lent: lent.reset(),
    ],
)
async def test_a_lent_connection_cannot_be_changed_or_ended(
    reads: Pool, change: Callable[[Any], Awaitable[object]]
) -> None:
    async with lent_reads(reads) as lent:
        with pytest.raises(BrokenContract, match=r"may not call .* It has execute, .*transaction"):
            await change(lent)
        assert await lent.fetchval("""select '{"a": 1}'::jsonb""") == {"a": 1}


OFFERED = {
    "copy_from_query",
    "copy_from_table",
    "copy_records_to_table",
    "copy_to_table",
    "cursor",
    "execute",
    "executemany",
    "fetch",
    "fetchmany",
    "fetchrow",
    "fetchval",
    "get_server_pid",
    "get_server_version",
    "is_closed",
    "is_in_transaction",
    "prepare",
    "transaction",
}


async def test_whatever_else_a_connection_has_is_not_lent(pool: Pool) -> None:
    public = {name for name in dir(asyncpg.Connection) if not name.startswith("_")}
    assert public > OFFERED
    async with pool.acquire() as connection:
        lent = lend(connection)
        for name in public - OFFERED:
            with pytest.raises(BrokenContract, match="may not call"):
                getattr(lent, name)()
        assert not hasattr(lent, "itself")


async def test_a_lent_connection_is_one_and_ends_with_what_it_is_lent_from(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        lent = lend(connection)
        assert isinstance(lent, asyncpg.Connection)
        async with lent.transaction():
            assert await lent.fetchval("select 1") == 1
            assert await (await lent.prepare("select 2")).fetchval() == 2
    with pytest.raises(asyncpg.InterfaceError, match="released back to the pool"):
        await lent.execute("select 1")


@pytest.mark.parametrize(
    "statement",
    [
        "set transaction read write",
        "set transaction_read_only = off",
        "select set_config('transaction_read_only', 'off', false)",
        "set session characteristics as transaction read write",
        "set default_transaction_read_only = off",
    ],
)
async def test_nothing_makes_a_read_write(reads: Pool, statement: str) -> None:
    async def write() -> None:
        async with lent_reads(reads) as lent:
            await lent.execute(f"{statement}; create temp table if not exists x (id int)")
            await lent.execute("create table holdfast.x (id int)")

    with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.ActiveSQLTransactionError)):
        await write()
    async with lent_reads(reads) as lent:
        assert await lent.fetchval("show default_transaction_read_only") == "on"


async def test_a_read_that_ends_its_transaction_fails(reads: Pool) -> None:
    with pytest.raises(TransactionEnded):
        async with lent_reads(reads) as lent:
            await lent._con.execute("commit")  # type: ignore[union-attr]
