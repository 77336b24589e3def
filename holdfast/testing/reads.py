"""What the reads of a graph get in a test: nothing, rows that the test gives, or Postgres."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from holdfast.activities.resources import PooledReads
from holdfast.contract.connection import Connection
from holdfast.contract.subgraph import Reads
from holdfast.domain.errors import ConfigurationError
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from holdfast.store.pool import open_pool

Row = Mapping[str, Any]


class NoReads:
    """For a graph that reads nothing."""

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """Raises ConfigurationError."""
        raise ConfigurationError(
            "this graph reads from Postgres: give it `reads`, which are `GivenRows` or those of `open_reads`"
        )


class GivenRows:
    """Reads without Postgres: `answer` is called with a query and its arguments, and returns the rows.

    A connection has `fetch`, `fetchrow` and `fetchval` alone. `queries` has what was asked.
    """

    def __init__(self, answer: Callable[..., Sequence[Row]]) -> None:
        self._answer = answer
        self.queries: list[tuple[Any, ...]] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that answers with the given rows."""
        yield cast(Connection, _GivenConnection(self._rows))

    def _rows(self, *query: Any) -> Sequence[Row]:
        self.queries.append(query)
        return self._answer(*query)


class _GivenConnection:
    """As asyncpg's, as far as reads use it."""

    def __init__(self, rows: Callable[..., Sequence[Row]]) -> None:
        self._rows = rows

    async def fetch(self, query: str, *arguments: Any) -> list[Row]:
        return list(self._rows(query, *arguments))

    async def fetchrow(self, query: str, *arguments: Any) -> Row | None:
        return next(iter(self._rows(query, *arguments)), None)

    async def fetchval(self, query: str, *arguments: Any, column: int = 0) -> Any:
        row = await self.fetchrow(query, *arguments)
        return None if row is None else list(row.values())[column]


@asynccontextmanager
async def open_reads(settings: Settings) -> AsyncIterator[Reads]:
    """Reads from the database that the settings name, as the platform lends them."""
    url = require_database_url(settings)
    async with await open_pool(url, read_only=True, min_size=0, max_size=2) as pool:
        yield PooledReads(pool)
