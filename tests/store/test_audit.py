"""The audit log: one chain, which only grows, and which shows what was done to it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from holdfast.domain.errors import ConfigurationError
from holdfast.runtime.connection import require_database_url, require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.audit import append_audit, verify_audit
from holdfast.store.pool import Pool, open_pool
from holdfast.store.roles import require_append_only_audit


@pytest.fixture
async def product(stack_settings: Settings) -> AsyncIterator[Pool]:
    async with await open_pool(require_database_url(stack_settings)) as pool:
        yield pool


@pytest.fixture
async def owner(stack_settings: Settings) -> AsyncIterator[Pool]:
    async with await open_pool(require_migration_url(stack_settings)) as pool:
        yield pool


async def append(pool: Pool, tenant: str, amount: float) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await append_audit(
            connection,
            tenant=tenant,
            kind="paid",
            conversation="c1",
            subject="act_1",
            data={"amount": amount, "note": "caf\u00e9", "big": 1e16},
        )


async def problems(pool: Pool, tenant: str, head: str | None = None) -> list[tuple[int, str]]:
    async with pool.acquire() as connection, connection.transaction():
        report = await verify_audit(connection, tenant, expected_head=head)
    return [(one.seq, one.problem) for one in report.problems]


async def tamper(owner: Pool, statement: str, tenant: str) -> None:
    """What somebody does who owns the table, and takes its trigger off."""
    async with owner.acquire() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(statement, tenant)


async def test_writers_at_once_make_one_chain(product: Pool, tenant: str) -> None:
    await asyncio.gather(*(append(product, tenant, number / 4) for number in range(40)))
    async with product.acquire() as connection, connection.transaction():
        report = await verify_audit(connection, tenant)
    assert (report.entries, report.problems) == (40, ())
    assert report.head.startswith("40:")


@pytest.mark.parametrize(
    ("statement", "seq", "problem"),
    [
        (
            "update holdfast.audit set data = '{\"amount\": 9}' where tenant = $1 and seq = 2",
            2,
            "was changed",
        ),
        (
            "update holdfast.audit set at = at + interval '1s' where tenant = $1 and seq = 3",
            3,
            "was changed",
        ),
        ("delete from holdfast.audit where tenant = $1 and seq = 2", 2, "entries 2 to 2"),
        ("delete from holdfast.audit where tenant = $1 and seq = 5", 5, "should end with entry 5:"),
        (
            "insert into holdfast.audit select tenant, 6, at, kind, conversation, subject, data,"
            " previous_hash, hash from holdfast.audit where tenant = $1 and seq = 5",
            6,
            "does not continue",
        ),
        (
            "update holdfast.audit set hash = 'x', previous_hash = '' where tenant = $1 and seq = 4",
            4,
            "does not continue",
        ),
    ],
    ids=["changed", "moved", "removed", "cut", "inserted", "replaced"],
)
async def test_what_was_done_to_the_chain_is_found(
    product: Pool, owner: Pool, tenant: str, statement: str, seq: int, problem: str
) -> None:
    for number in range(5):
        await append(product, tenant, number)
    assert await problems(product, tenant) == []
    await tamper(owner, statement, tenant)
    found = await problems(product, tenant)
    assert any(at == seq and problem in said for at, said in found), found


async def test_a_chain_that_was_cut_with_its_head_lacks_the_head_that_was_kept(
    product: Pool, owner: Pool, tenant: str
) -> None:
    for number in range(3):
        await append(product, tenant, number)
    async with product.acquire() as connection, connection.transaction():
        head = (await verify_audit(connection, tenant)).head
    await append(product, tenant, 4)
    assert await problems(product, tenant, head) == []
    await tamper(owner, "delete from holdfast.audit where tenant = $1 and seq > 2", tenant)
    await tamper(
        owner,
        "update holdfast.audit_heads set seq = 2, hash = (select hash from holdfast.audit"
        " where tenant = $1 and seq = 2) where tenant = $1",
        tenant,
    )
    assert await problems(product, tenant) == []
    assert await problems(product, tenant, head) == [
        (2, f"the earlier head {head} is not in the chain")
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "update holdfast.audit set kind = 'x'",
        "delete from holdfast.audit",
        "truncate holdfast.audit",
        "alter table holdfast.audit disable trigger all",
        "drop table holdfast.audit",
        "set session_replication_role = replica",
        "update holdfast.schema_version set version_num = '0001'",
    ],
)
async def test_the_products_role_cannot_change_the_log(product: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await product.execute(statement)


@pytest.mark.parametrize(
    "statement", ["update holdfast.audit set kind = 'x'", "truncate holdfast.audit"]
)
async def test_the_owner_has_to_take_the_trigger_off_first(owner: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only grows"):
        await owner.execute(statement)


async def test_a_role_that_could_change_the_log_is_refused(product: Pool, owner: Pool) -> None:
    async with product.acquire() as connection:
        await require_append_only_audit(connection)
    async with owner.acquire() as connection:
        with pytest.raises(ConfigurationError, match="HOLDFAST_MIGRATION_URL"):
            await require_append_only_audit(connection)
