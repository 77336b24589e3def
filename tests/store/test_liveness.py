"""Presence: the tasks of a session that has ended are told once, to those of the same scope."""

from collections.abc import AsyncIterator

import pytest

from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings
from holdfast.store.liveness import is_shared, note_tasks, open_session, take_abandoned
from holdfast.store.pool import Connection
from holdfast.testing import eventually


@pytest.fixture
async def one(stack_settings: Settings) -> AsyncIterator[Connection]:
    connection = await open_session(require_database_url(stack_settings))
    yield connection
    await connection.close()


@pytest.fixture
async def other(stack_settings: Settings) -> AsyncIterator[Connection]:
    connection = await open_session(require_database_url(stack_settings))
    yield connection
    await connection.close()


async def test_what_a_session_leaves_behind_is_told_once_and_only_in_its_scope(
    one: Connection, other: Connection, tenant: str
) -> None:
    await note_tasks(one, tenant, begun=[b"a", b"b", b"c"], ended=[])
    await note_tasks(one, tenant, begun=[], ended=[b"b"])
    await note_tasks(other, tenant, begun=[b"d"], ended=[b"a"])
    assert await take_abandoned(other, tenant) == []
    await one.close()
    assert await take_abandoned(other, f"not-{tenant}") == []
    told = await eventually(lambda: take_abandoned(other, tenant))
    assert sorted(told) == [b"a", b"c"]
    assert await take_abandoned(other, tenant) == []


async def test_a_restart_of_postgres_is_nobodys_death(
    one: Connection, other: Connection, tenant: str
) -> None:
    await note_tasks(one, tenant, begun=[b"a"], ended=[])
    await one.execute(
        "update holdfast.presence set server_start = server_start - interval '1 hour' "
        "where scope = $1",
        tenant,
    )
    await one.close()

    async def rows_are_gone() -> bool:
        assert await take_abandoned(other, tenant) == []
        left = "select count(*) = 0 from holdfast.presence where scope = $1"
        return bool(await other.fetchval(left, tenant))

    await eventually(rows_are_gone)


async def test_a_direct_connection_is_not_shared(one: Connection) -> None:
    assert not await is_shared(one)
