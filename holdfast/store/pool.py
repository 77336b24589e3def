"""Pools of Postgres connections, and what a connection is called in this project."""

import functools
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from holdfast.domain.errors import ConfigurationError, Unavailable
from holdfast.store.address import read_address

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    _PlainConnection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = _PlainConnection = asyncpg.Connection
    Pool = asyncpg.Pool

CONNECT_TIMEOUT_SECONDS = 5.0

STATEMENT_SECONDS = 30.0
READ_STATEMENT_SECONDS = 5.0
"""Postgres cancels a statement that takes longer: on a pool that writes, and on one that only reads."""

IDLE_IN_TRANSACTION_SECONDS = 5.0
"""Postgres ends a transaction whose client is silent for this long: a frozen worker must not hold
the locks that its successor waits for."""

_CHECK_CLIENT_MS = 1_000
"""How often Postgres looks, in the middle of a statement, whether somebody still waits for it."""

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


def session_settings(
    *, statement_seconds: float, idle_in_transaction_seconds: float
) -> dict[str, str]:
    """The settings that every session of ours has; 0 seconds is without a bound."""
    return {
        "statement_timeout": str(round(statement_seconds * 1_000)),
        "idle_in_transaction_session_timeout": str(round(idle_in_transaction_seconds * 1_000)),
        "client_connection_check_interval": str(_CHECK_CLIENT_MS),
        "jit": "off",
    }


async def open_pool(
    url: str,
    *,
    read_only: bool = False,
    min_size: int = 1,
    max_size: int = 10,
    statement_seconds: float | None = None,
    idle_in_transaction_seconds: float = IDLE_IN_TRANSACTION_SECONDS,
) -> Pool:
    """A pool whose connections speak JSON; Postgres refuses writes on read-only ones.

    Statements that take longer than `statement_seconds` are cancelled (`asyncpg.QueryCanceledError`), as
    are those whose process has died; 0 is without a bound.

    Raises:
        ConfigurationError: the URL cannot be used.
        Unavailable: the server does not answer, or refuses the user or the database.
    """
    if statement_seconds is None:
        statement_seconds = READ_STATEMENT_SECONDS if read_only else STATEMENT_SECONDS
    settings = session_settings(
        statement_seconds=statement_seconds,
        idle_in_transaction_seconds=idle_in_transaction_seconds,
    )
    if read_only:
        settings["default_transaction_read_only"] = "on"
    with connecting():
        pool: Pool = await asyncpg.create_pool(
            **read_address(url).connect_options(**settings),
            min_size=min_size,
            max_size=max_size,
            init=_speak_json,
            connection_class=_SelfAware,
            reset=None if read_only else _no_reset,
        )
    return pool


@contextmanager
def connecting() -> Iterator[None]:
    """Say what keeps a connection from being opened.

    Raises:
        ConfigurationError: the URL names certificates, say, that are not there.
        Unavailable: the server does not answer, or refuses the user or the database.
    """
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise ConfigurationError(f"the database URL cannot be used: {error}") from None
    except UNREACHABLE_ERRORS as error:
        raise Unavailable(
            f"cannot reach Postgres: {error or type(error).__name__}. Is it running, and is "
            "HOLDFAST_DATABASE_URL right? `make up` starts an embedded one"
        ) from error


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
