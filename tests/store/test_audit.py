"""The audit log: one chain, which only grows, and which shows what was done to it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
import pytest

from holdfast.domain.errors import ConfigurationError, InvalidRequest
from holdfast.domain.identity import ConversationKey
from holdfast.runtime.connection import require_database_url, require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.audit import PAGE, append_audit, read_audit, verify_audit
from holdfast.store.pool import Pool, open_pool
from holdfast.store.roles import require_append_only_audit

UNREADABLE = {
    kind: f"update holdfast.audit set {change} where tenant = $1 and seq = 2"
    for kind, change in {
        "another type": "data = '[1]'",
        "no data": "data = 'null'",
        "a giant number": "data = jsonb_build_object('amount', repeat('9', 5000)::numeric)",
        "after all time": "at = 'infinity'",
        "before all time": "at = '-infinity'",
        "too late for Python": "at = '20000-01-01Z'",
    }.items()
}
"""Values that Postgres takes, and that no entry ever had."""


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
            ConversationKey(tenant, "c1"),
            kind="paid",
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
        await connection.execute("alter table holdfast.audit disable trigger audit_only_grows")
        await connection.execute(statement, tenant)
        await connection.execute("alter table holdfast.audit enable trigger audit_only_grows")


async def test_eight_writers_at_once_make_one_unbroken_chain(
    stack_settings: Settings, tenant: str
) -> None:
    async with await open_pool(require_database_url(stack_settings), max_size=8) as product:

        async def write(writer: int) -> None:
            for number in range(5):
                await append(product, tenant, writer + number / 4)

        await asyncio.gather(*(write(writer) for writer in range(8)))
        async with product.acquire() as connection, connection.transaction():
            report = await verify_audit(connection, tenant)
    assert (report.entries, report.problems) == (40, ())
    assert report.head.startswith("40:")


async def test_an_empty_log_is_whole_and_has_a_head_to_be_kept(product: Pool, tenant: str) -> None:
    async with product.acquire() as connection, connection.transaction():
        report = await verify_audit(connection, tenant)
    assert (report.entries, report.head, report.problems) == (0, "0:", ())
    await append(product, tenant, 1)
    assert await problems(product, tenant, "0:") == []


@pytest.mark.parametrize("head", ["five", f"{'1' * 5_000}:{'a' * 64}"], ids=["word", "digits"])
async def test_what_is_no_head_is_refused(product: Pool, tenant: str, head: str) -> None:
    with pytest.raises(InvalidRequest, match="SEQ:HASH"):
        await problems(product, tenant, head)


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
        ("delete from holdfast.audit where tenant = $1 and seq = 2", 2, "was removed"),
        ("delete from holdfast.audit where tenant = $1 and seq = 5", 5, "should with 5:"),
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
        *((statement, 2, "was changed") for statement in UNREADABLE.values()),
    ],
    ids=["changed", "moved", "removed", "cut", "inserted", "replaced", *UNREADABLE],
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


async def test_an_entry_that_was_put_before_the_first_is_found(
    product: Pool, owner: Pool, tenant: str
) -> None:
    await append(product, tenant, 1)
    for seq in (0, -7):
        await tamper(
            owner,
            f"insert into holdfast.audit select tenant, {seq}, at, kind, conversation, subject,"
            " data, previous_hash, hash from holdfast.audit where tenant = $1 and seq = 1",
            tenant,
        )
    inserted = "was inserted before the first entry"
    assert await problems(product, tenant) == [(-7, inserted), (0, inserted)]


async def test_every_problem_is_counted_and_a_hundred_are_told(
    product: Pool, owner: Pool, tenant: str
) -> None:
    for number in range(120):
        await append(product, tenant, number)
    await tamper(owner, "delete from holdfast.audit where tenant = $1 and seq in (3, 4)", tenant)
    await tamper(owner, "update holdfast.audit set kind = 'x' where tenant = $1", tenant)
    async with product.acquire() as connection, connection.transaction():
        report = await verify_audit(connection, tenant)
    assert (report.problem_count, len(report.problems)) == (119, 100)
    assert [(one.seq, one.problem) for one in report.problems[:3]] == [
        (1, "was changed: its hash is another one"),
        (2, "was changed: its hash is another one"),
        (3, "was removed, and so were those up to 4"),
    ]


async def test_a_chain_longer_than_a_page_is_read_to_its_end(product: Pool, tenant: str) -> None:
    async with product.acquire() as connection:
        async with connection.transaction():
            for number in range(PAGE + 2):
                await append_audit(
                    connection,
                    ConversationKey(tenant, "c"),
                    kind="k",
                    subject="s",
                    data={"n": number},
                )
        async with connection.transaction():
            assert (await verify_audit(connection, tenant)).entries == PAGE + 2
        page = await read_audit(connection, tenant)
        rest = await read_audit(connection, tenant, after=page[-1].seq)
        assert [one.seq for one in page + rest] == list(range(1, PAGE + 3))
        assert await read_audit(connection, tenant, after=PAGE + 2) == []


async def test_the_hash_is_what_its_formula_says_of_an_exported_entry(
    product: Pool, tenant: str
) -> None:
    for amount in (1, 2.0, 1e-7, 0.1):
        await append(product, tenant, amount)
    previous = ""
    async with product.acquire() as connection:
        entries = await read_audit(connection, tenant)
    for exported in (json.loads(one.model_dump_json()) for one in entries):
        at = datetime.fromisoformat(exported["at"]).isoformat(timespec="microseconds")
        hashed = [
            *(exported["tenant"], exported["seq"], at, exported["kind"]),
            *(exported["conversation"], exported["subject"], exported["data"], previous),
        ]
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert exported["hash"] == hashlib.sha256(text.encode()).hexdigest()
        assert exported["previous_hash"] == previous
        previous = exported["hash"]


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
        (3, f"the earlier head {head} is not in the chain")
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "update holdfast.audit set kind = 'x'",
        "delete from holdfast.audit",
        "truncate holdfast.audit",
        "alter table holdfast.audit disable trigger audit_only_grows",
        "drop trigger audit_only_grows on holdfast.audit",
        "drop table holdfast.audit",
        "set session_replication_role = replica",
        "update holdfast.schema_version set version_num = '0001'",
    ],
)
async def test_the_products_role_cannot_change_the_log(product: Pool, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await product.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "update holdfast.audit set kind = 'x'",
        "delete from holdfast.audit",
        "truncate holdfast.audit",
    ],
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
