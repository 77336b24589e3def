"""Pools of Postgres connections, and what a connection is called in this project."""

import functools
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.pool import PoolAcquireContext

from holdfast.domain.errors import HoldfastError, Unavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    _PlainConnection = asyncpg.Connection[asyncpg.Record]
    _PlainPool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = _PlainConnection = asyncpg.Connection
    Pool = _PlainPool = asyncpg.Pool

CONNECT_TIMEOUT_SECONDS = 5.0

IDLE_IN_TRANSACTION_MS = 5_000
"""Postgres ends a transaction whose client is silent for this long: a frozen worker must not hold
the locks that its successor waits for."""

_LOST: tuple[type[Exception], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What a statement raises when its connection or the server is gone."""

_CONTENDED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""What a statement raises when Postgres has rolled it back in favour of another transaction."""

TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    *_LOST,
    *_CONTENDED,
    asyncpg.InterfaceError,
    Unavailable,
)
"""What our own statements raise where a later try of the same work succeeds. A builder's code raises
the same types for reasons of its own: where both may be the cause, ask `is_transient`."""

UNREACHABLE_ERRORS: tuple[type[Exception], ...] = (*TRANSIENT_ERRORS, asyncpg.PostgresError)
"""Ways in which opening a connection fails: the server is away, or refuses user or database."""

_OF_OUR_POOL = "_holdfast_of_our_pool"


class TransactionLeftIdle(HoldfastError):
    """A transaction of ours waited for something else than Postgres, and was ended by it. Call other
    systems outside of transactions (a remote action has none)."""

    code = "TransactionLeftIdle"


def is_transient(error: BaseException) -> bool:
    """Whether one of our pools' connections has raised it, since Postgres is away or asks to try again."""
    return isinstance(error, Unavailable) or getattr(error, _OF_OUR_POOL, False)


def is_gone(connection: Connection) -> bool:
    """Whether the connection is closed, and its pool has taken it back."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def lost(error: BaseException) -> Unavailable:
    """What our own connections raise in the place of an error that says that Postgres is gone."""
    return Unavailable(f"lost Postgres: {error or type(error).__name__}")


def _watched(method: Callable[..., Awaitable[Any]]) -> Any:
    """The method of a connection, noting where it leaves the connection in doubt, and telling failures
    of Postgres from those of the statement."""

    @functools.wraps(method)
    async def watched(self: "_SelfAware", *args: Any, **options: Any) -> Any:
        try:
            return await method(self, *args, **options)
        except _CONTENDED as error:
            setattr(error, _OF_OUR_POOL, True)
            raise
        except TimeoutError:  # the caller's own bound
            self.in_doubt = True
            raise
        except _LOST as error:
            self.in_doubt = True
            raise lost(error) from error
        except asyncpg.PostgresError as error:
            self.in_doubt |= error.severity_en != "ERROR"
            raise
        except Exception:
            self.in_doubt = True
            raise
        finally:
            self.last_used = time.monotonic()
            self.in_transaction = not self.is_closed() and self.is_in_transaction()

    return watched


class _SelfAware(_PlainConnection):
    """Knows whether its server has given it up, or its own state is mixed up: a pool that does not reset
    it must not hand it on. (A cancelled statement is no such case: the pool waits for its end.)"""

    in_doubt = False
    last_used = 0.0
    in_transaction = False
    """Whether it was in one after the last statement."""
    execute = _watched(_PlainConnection.execute)
    executemany = _watched(_PlainConnection.executemany)
    fetch = _watched(_PlainConnection.fetch)
    fetchrow = _watched(_PlainConnection.fetchrow)
    fetchval = _watched(_PlainConnection.fetchval)

    @property
    def itself(self) -> "_SelfAware":
        """The connection, where a pool has wrapped it."""
        return self


class _Acquired(PoolAcquireContext):
    """A connection of a pool, for a while. Whatever is raised while it is lost, by its transactions,
    statements and cursors as well, says so."""

    _raw: _SelfAware

    async def __aenter__(self) -> Any:
        acquired = await super().__aenter__()
        self._raw = acquired.itself  # type: ignore[attr-defined]
        return acquired

    async def __aexit__(self, *raised: Any) -> None:
        gone = self._raw.is_closed()  # before the pool closes it where it is in doubt
        await super().__aexit__(*raised)
        error = raised[1]
        if not gone or not isinstance(error, Exception) or isinstance(error, Unavailable):
            return
        silent = time.monotonic() - self._raw.last_used
        if self._raw.in_transaction and silent * 1_000 >= IDLE_IN_TRANSACTION_MS:
            raise TransactionLeftIdle(
                f"a transaction was left idle for {silent:.1f} s, and Postgres has ended it"
            ) from error
        raise lost(error) from error


class _WatchedPool(_PlainPool):
    """A pool that tells its callers when it is Postgres that has failed them."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        return _Acquired(self, timeout)


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
        pool: Pool = await _WatchedPool(
            url,
            min_size=min_size,
            max_size=max_size,
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            setup=None,
            loop=None,
            record_class=asyncpg.Record,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings=settings,
            init=_speak_json,
            connect=_connect,
            connection_class=_SelfAware,
            reset=None if read_only else _no_reset,
        )
    except UNREACHABLE_ERRORS as error:
        cause = error.__cause__ or error
        raise Unavailable(
            f"cannot reach Postgres: {cause or type(cause).__name__}. Is it running, and is "
            "HOLDFAST_DATABASE_URL right? `make up` starts an embedded one"
        ) from error
    return pool


async def _connect(*args: Any, **options: Any) -> _PlainConnection:
    """As asyncpg connects; a pool opens connections at any time, also in the middle of brought code."""
    try:
        return await asyncpg.connect(*args, **options)
    except UNREACHABLE_ERRORS as error:
        raise lost(error) from error


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
