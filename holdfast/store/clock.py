"""The time that counts: that of the database, which workers and workflows cannot set."""

from datetime import datetime

from holdfast.store.pool import Connection


async def database_now(connection: Connection) -> datetime:
    """The database's time at this moment, also within a transaction."""
    now: datetime = await connection.fetchval("select clock_timestamp()")
    return now
