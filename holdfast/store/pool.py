"""Pools of Postgres connections, and what a connection is called in this project."""

import functools
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy

from holdfast.domain.errors import ConfigurationError, HoldfastError, Unavailable
from holdfast.store.address import read_address
from holdfast.store.hosts import connect
from holdfast.store.lent import Lent

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    _PlainConnection = asyncpg.Connection[asyncpg.Record]
    _PlainPool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = _PlainConnection = asyncpg.Connection
    Pool = _PlainPool = asyncpg.Pool

STATEMENT_SECONDS = 30.0
READ_STATEMENT_SECONDS = 5.0
"""Postgres cancels a statement that takes longer: on a pool that writes, and on one that only reads."""

IDLE_IN_TRANSACTION_SECONDS = 5.0
"""Postgres ends a transaction whose client is silent for this long: a frozen worker must not hold
the locks that its successor waits for."""

_CHECK_CLIENT_MS = 1_000
"""How often Postgres looks, in the middle of a statement, whether somebody still waits for it."""

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

_MIXED_UP = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What a statement raises when its session has other prepared statements than its connection knows of."""

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


def is_transient(error: BaseException) -> bool:
    """Whether one of our pools' connections has raised it, since Postgres is away or asks to try again."""
    return isinstance(error, Unavailable) or getattr(error, _OF_OUR_POOL, False)


def is_gone(connection: Connection) -> bool:
    """Whether the connection is closed, and its pool has taken it back."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


def cause_of(error: BaseException) -> str:
    """What an error of a connection says, or its kind where it says nothing."""
    return str(error) or type(error).__name__


def lost(error: BaseException) -> Unavailable:
    """What our own connections raise in the place of an error that says that Postgres is gone."""
    return Unavailable(f"lost Postgres: {cause_of(error)}")


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
            self.in_doubt |= error.severity_en != "ERROR" or isinstance(error, _MIXED_UP)
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
    is_lent = False
    """Whether brought code has it, or has had it since it was reset."""
    execute = _watched(_PlainConnection.execute)
    executemany = _watched(_PlainConnection.executemany)
    fetch = _watched(_PlainConnection.fetch)
    fetchrow = _watched(_PlainConnection.fetchrow)
    fetchval = _watched(_PlainConnection.fetchval)

    @property
    def itself(self) -> "_SelfAware":
        """The connection, where a pool has wrapped it."""
        return self

    def get_reset_query(self) -> str:
        """What leaves nothing of a session to the next one; `discard all` needs a round trip of its own."""
        return (
            "set session authorization default; reset role;\n"
            f"{super().get_reset_query()}\n"
            "deallocate all; discard temp; discard sequences"
        )

    async def clean(self) -> None:
        """Leave nothing of what brought code did; where that fails, the connection is in doubt."""
        try:
            await self.reset()
        except Exception:
            self.in_doubt = True
        self._mark_stmts_as_closed()  # type: ignore[attr-defined] # the session has none any more
        self.is_lent = False


class _Acquired(PoolAcquireContext):
    """A connection of a pool, for a while. Whatever is raised while it is lost, by its transactions,
    statements and cursors as well, says so."""

    pool: "_WatchedPool"
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
        longest = self.pool.idle_in_transaction_seconds
        if self._raw.in_transaction and 0 < longest <= silent:
            raise TransactionLeftIdle(
                f"a transaction was left idle for {silent:.1f} s, and Postgres has ended it"
            ) from error
        raise lost(error) from error


class _WatchedPool(_PlainPool):
    """A pool that tells its callers when it is Postgres that has failed them."""

    idle_in_transaction_seconds = IDLE_IN_TRANSACTION_SECONDS
    """How long Postgres lets a transaction of its connections be idle; 0 for as long as it wants."""
    connect_seconds = 0.0
    """How long all of its hosts together may take to give a connection."""

    def acquire(self, *, timeout: float | None = None) -> Any:
        return _Acquired(self, timeout)


def connect_seconds(pool: Pool) -> float:
    """How long to wait for a connection of one of our pools, which it may have to open."""
    assert isinstance(pool, _WatchedPool)
    return pool.connect_seconds


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
    address = read_address(url)
    with connecting():
        pool = _WatchedPool(
            max_queries=50_000,
            max_inactive_connection_lifetime=300.0,
            setup=None,
            loop=None,
            record_class=asyncpg.Record,
            **address.connect_options(**settings),
            min_size=min_size,
            max_size=max_size,
            init=_speak_json,
            connect=_connect,
            connection_class=_SelfAware,
            reset=_reset,
        )
        pool.idle_in_transaction_seconds = idle_in_transaction_seconds
        pool.connect_seconds = address.connect_timeout * max(1, len(address.hosts))
        await pool
    return pool


@contextmanager
def connecting() -> Iterator[None]:
    """Say what keeps a connection from being opened.

    Raises:
        ConfigurationError: the URL, or a variable that counts where it is silent, cannot be used.
        Unavailable: the server does not answer, or refuses the user or the database.
    """
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise ConfigurationError(f"the database URL cannot be used: {error}") from None
    except ValueError:  # not quoted: it may be about a password
        raise ConfigurationError(
            "the database cannot be connected to as the variables PGHOST, PGPORT, PGUSER, PGPASSWORD "
            "and PGDATABASE say: one of them cannot be used"
        ) from None
    except UNREACHABLE_ERRORS as error:
        cause = error.__cause__ or error
        if _is_about_files(cause):
            raise ConfigurationError(
                f"a certificate cannot be used, or has no key ({cause}): look at what sslcert and sslkey "
                "of the database URL or the variables PGSSL… name, and at ~/.postgresql"
            ) from None
        raise Unavailable(
            f"cannot reach Postgres: {cause_of(cause)}. Is it running, and is "
            "HOLDFAST_DATABASE_URL right? `holdfast dev up` or, in a checkout, `make up` starts one"
        ) from error


def _is_about_files(error: BaseException) -> bool:
    """Whether a certificate or key could not be loaded; a connection's own failures have TLS's reasons."""
    return type(error) is ssl.SSLError and (error.library != "SSL" or error.reason is None)


async def _connect(*args: Any, **options: Any) -> _PlainConnection:
    """As asyncpg connects; a pool opens connections at any time, also in the middle of brought code."""
    try:
        connection: _PlainConnection = await connect(*args, **options)
    except asyncpg.ClientConfigurationError:
        raise
    except UNREACHABLE_ERRORS as error:
        raise lost(error) from error
    return connection


async def _speak_json(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_dump, decoder=json.loads, format="text"
    )


def lend(connection: Connection) -> Connection:
    """The connection, for brought code, which can't end its transaction: it is reset when it is given
    back."""
    if isinstance(own := getattr(connection, "itself", None), _SelfAware):
        own.is_lent = True
    if isinstance(connection, PoolConnectionProxy) and not isinstance(connection, Lent):
        return Lent(connection)
    return connection


async def _reset(connection: Connection) -> None:
    """Our own statements leave a session as it was, so giving a connection back costs no round trip
    unless brought code has had it."""
    assert isinstance(connection, _SelfAware)
    if connection.is_lent and not connection.in_doubt:
        await connection.clean()
    if connection.in_doubt:
        connection.terminate()


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
