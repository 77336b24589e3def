"""Who works on what at this moment: a process is present for as long as its session with Postgres lasts.

Postgres ends the session of a process that dies, at once; so the others find out what it was working
on. Rows are worth nothing after a restart of Postgres, which ends all sessions: the table is unlogged.
"""

from collections.abc import Iterable

from holdfast.store.address import read_address
from holdfast.store.hosts import connect
from holdfast.store.pool import (
    IDLE_IN_TRANSACTION_SECONDS,
    STATEMENT_SECONDS,
    Connection,
    session_settings,
)


async def open_session(url: str) -> Connection:
    """A connection that stands for this process."""
    settings = session_settings(
        statement_seconds=STATEMENT_SECONDS,
        idle_in_transaction_seconds=IDLE_IN_TRANSACTION_SECONDS,
    )
    session: Connection = await connect(**read_address(url).connect_options(**settings))
    return session


async def is_shared(connection: Connection) -> bool:
    """Whether a pooler is between: what it calls a session does not end with the process."""
    return bool(await connection.fetchval("select pg_backend_pid()") != connection.get_server_pid())


async def note_tasks(
    connection: Connection, scope: str, *, begun: Iterable[bytes], ended: Iterable[bytes]
) -> None:
    """Note which tasks this session's process has begun, and which it works on no more."""
    await connection.execute(
        """
        with ended as (
            delete from holdfast.presence
             where pid = pg_backend_pid() and task_token = any($3::bytea[])
        )
        insert into holdfast.presence (scope, pid, session_start, server_start, task_token)
        select $1, session.pid, session.backend_start, pg_postmaster_start_time(), begun
          from pg_stat_activity as session, unnest($2::bytea[]) as begun
         where session.pid = pg_backend_pid()
        """,
        scope,
        list(begun),
        list(ended),
    )


async def take_abandoned(connection: Connection, scope: str) -> list[bytes]:
    """The tasks of this scope whose process has died; each is told once."""
    rows = await connection.fetch(
        """
        with gone as (
            delete from holdfast.presence as task
             where scope = $1
               and not exists (
                       select from pg_stat_activity as session
                        where session.pid = task.pid
                          and coalesce(session.backend_start = task.session_start, true))
            returning task_token, server_start
        )
        select task_token from gone where server_start = pg_postmaster_start_time()
        """,
        scope,
    )
    return [row["task_token"] for row in rows]
