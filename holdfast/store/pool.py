"""Pools of Postgres connections, and what a connection is called in this project."""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from holdfast.domain.errors import Unavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    _PlainConnection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = _PlainConnection = asyncpg.Connection
    Pool = asyncpg.Pool

CONNECT_TIMEOUT_SECONDS = 5.0

IDLE_IN_TRANSACTION_MS = 5_000
"""Postgres ends a transaction whose client is silent for this long: a frozen worker must not hold
the locks that its successor waits for."""

TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)
"""Failures of the infrastructure, which a later try of the same work survives."""

UNREACHABLE_ERRORS: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, asyncpg.PostgresError)
"""Ways in which opening a connection fails: the server is away, or refuses user or database."""


def _watched(method: Callable[..., Awaitable[Any]]) -> Any:
    """The method of a connection, noting where it leaves the connection in doubt."""

    @functools.wraps(method)
    async def watched(self: "_SelfAware", *args: Any, **options: Any) -> Any:
        try:
            return await method(self, *args, **options)
        except asyncpg.PostgresError as error:
            self.in_doubt |= error.severity_en != "ERROR"
            raise
        except Exception:
            self.in_doubt = True
            raise

    return watched


class _SelfAware(_PlainConnection):
    """Knows whether its server has given it up, or its own state is mixed up: a pool that does not reset
    it must not hand it on. (A cancelled statement is no such case: the pool waits for its end.)"""

    in_doubt = False
    execute = _watched(_PlainConnection.execute)
    executemany = _watched(_PlainConnection.executemany)
    fetch = _watched(_PlainConnection.fetch)
    fetchrow = _watched(_PlainConnection.fetchrow)
    fetchval = _watched(_PlainConnection.fetchval)


async def open_pool(
    url: str, *, read_only: bool = False, min_size: int = 1, max_size: int = 10
) -> Pool:
    """A pool whose connections speak JSON; Postgres refuses writes on read-only ones.

    Raises:
        Unavailable: the server does not answer, or refuses the user or the database.
    """
    settings = {
        "application_name": "holdfast",
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
        "jit": "off",
    }
    if read_only:
        settings["default_transaction_read_only"] = "on"
    try:
        pool: Pool = await asyncpg.create_pool(
            url,
            min_size=min_size,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings=settings,
            init=_speak_json,
            connection_class=_SelfAware,
            reset=None if read_only else _no_reset,
        )
    except UNREACHABLE_ERRORS as error:
        raise Unavailable(
            f"cannot reach Postgres: {error or type(error).__name__}. Is it running, and is "
            "HOLDFAST_DATABASE_URL right? `make up` starts an embedded one"
        ) from error
    return pool


async def _speak_json(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_dump, decoder=json.loads, format="text"
    )


async def _no_reset(connection: Connection) -> None:
    """Our own statements leave a session as it was, so giving a connection back costs no round trip.
    Brought graphs get the read-only pool, whose connections are reset as usual."""
    if isinstance(connection, _SelfAware) and connection.in_doubt:
        connection.terminate()


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
