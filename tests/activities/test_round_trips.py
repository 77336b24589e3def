"""What a plain turn costs: at most 6 round trips to Postgres, counted by Postgres itself."""

import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from pydantic import SecretStr

from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.testing import eventually, routed_to, text
from holdfast.worker.preparation import prepare
from holdfast_devstack.temporary import temporary_postgres
from tests.platform import PACKAGES, Platform, open_platform

LOGGING = {
    "log_min_duration_statement": "0",
    "log_line_prefix": "%a ",
    "logging_collector": "on",
    "log_filename": "statements.log",
    "log_rotation_size": "0",
}
ROUND_TRIP = re.compile(
    r"^holdfast LOG:  duration: \S+ ms  (?:parse|execute|statement)\b.*\n(?:\t.*\n)*", re.MULTILINE
)
"""What our pools' connections waited for: the preparation of a statement, a prepared statement (its
`bind` goes with it), or one that goes as it is (`begin`)."""

BESIDE_TURNS = ("holdfast.admissions", "holdfast.workers")
"""Written in bulk by a process's own tasks, however many turns there are; no turn waits for them."""

RoundTrips = Callable[[Callable[[], Awaitable[object]]], Awaitable[list[str]]]


@pytest.fixture
async def counted(
    stack_settings: Settings, tenant: str
) -> AsyncIterator[tuple[Platform, RoundTrips]]:
    """A platform on a Postgres that writes down every statement, and how to read it."""
    async with temporary_postgres(options=LOGGING) as postgres:
        settings = stack_settings.model_copy(
            update={
                "database_url": SecretStr(postgres.product_url),
                "migration_url": SecretStr(postgres.database_url),
            }
        )
        await prepare(settings, load_packages(PACKAGES), None)
        reader = await asyncpg.connect(postgres.database_url)

        async def log() -> str:
            marker = f"marker {uuid.uuid4()}"
            await reader.execute(f"select '{marker}'")

            async def written() -> str | None:
                lines: str = await reader.fetchval("select pg_read_file('log/statements.log')")
                before, found, _ = lines.partition(marker)
                return before if found else None

            return str(await eventually(written))

        async def round_trips(during: Callable[[], Awaitable[object]]) -> list[str]:
            before = len(await log())
            await during()
            made = ROUND_TRIP.findall((await log())[before:])
            return [one for one in made if not any(table in one for table in BESIDE_TURNS)]

        async with open_platform(settings, tenant) as platform:
            yield platform, round_trips
        await reader.close()


async def test_a_plain_turn_takes_6_round_trips_at_most(
    counted: tuple[Platform, RoundTrips],
) -> None:
    platform, round_trips = counted
    platform.script = routed_to("counter", lambda _: text("Hello."))
    for said in ("one", "two", "three"):  # statements are prepared once for each connection
        await platform.send("c1", said)
    made = await round_trips(lambda: platform.send("c1", "four"))
    assert 0 < len(made) <= 6, "\n".join(made)
