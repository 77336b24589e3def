"""A worker and the role that it connects as: never one that could change the audit log, unasked."""

from holdfast.runtime.connection import require_migration_url
from tests.platform import ROOT, Platform
from tests.worker.running import worker


async def test_a_worker_that_could_change_the_audit_log_does_not_start(remote: Platform) -> None:
    owner = require_migration_url(remote.settings)
    ended = await worker({**remote.environment, "HOLDFAST_DATABASE_URL": owner})
    assert ended.code == 2
    assert "could change the audit log" in ended.log
    assert "HOLDFAST_MIGRATION_URL" in ended.log
    assert "Traceback" not in ended.log


async def test_where_there_is_one_role_only_a_worker_starts_when_told_and_warns(
    remote: Platform,
) -> None:
    process = await remote.start_worker(
        HOLDFAST_DATABASE_URL=require_migration_url(remote.settings),
        HOLDFAST_AUDIT_UNPROTECTED="true",
    )
    assert any("WARNING" in line and "audit log is not protected" in line for line in process.log)


async def test_migrating_makes_the_products_role_and_can_be_repeated(
    remote: Platform, empty_database: str
) -> None:
    product = f"{remote.tenant}-product"
    place = empty_database.partition("@")[2]
    environment = {
        **remote.environment,
        "HOLDFAST_MIGRATION_URL": empty_database,
        "HOLDFAST_DATABASE_URL": f"postgresql://{product}:a%20secret%2F@{place}",
    }
    try:
        for _ in range(2):
            migrated = await worker(environment, "--migrate")
            assert migrated.code == 0, migrated.log
            assert "secret" not in migrated.log
        await remote.start_worker(root=ROOT, **environment)
    finally:
        await remote.database.execute(f'drop database "{remote.tenant}" with (force)')
        await remote.database.execute(f'drop role "{product}"')
        await remote.database.execute(f'create database "{remote.tenant}"')
