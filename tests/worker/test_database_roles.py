"""A worker and the role that it connects as: never one that could change the audit log, unasked."""

import pytest

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


@pytest.mark.parametrize("doing", [("--migrate",), ("--seed", "demo")], ids=" ".join)
async def test_whoever_may_not_migrate_is_told_whose_url_to_give(
    remote: Platform, doing: tuple[str, ...]
) -> None:
    """The product's role alone: it may neither make schemas nor change tables."""
    environment = {**remote.environment}
    environment.pop("HOLDFAST_MIGRATION_URL", None)
    ended = await worker(environment, *doing)
    assert ended.code == 2, ended.log
    assert "permission denied for database" in ended.log
    assert "set HOLDFAST_MIGRATION_URL" in ended.log
    assert "Traceback" not in ended.log


async def test_migrating_a_standby_is_refused_with_the_way_to_the_primary(remote: Platform) -> None:
    owner = require_migration_url(remote.settings)
    url = f"{owner}?options=-c%20default_transaction_read_only%3Don"
    ended = await worker({**remote.environment, "HOLDFAST_MIGRATION_URL": url}, "--migrate")
    assert ended.code == 2, ended.log
    assert "takes no changes" in ended.log
    assert "Traceback" not in ended.log


async def test_a_role_of_the_product_that_cannot_be_made_is_refused(remote: Platform) -> None:
    owner = require_migration_url(remote.settings)
    place = owner.partition("@")[2]
    for user in ("pg_mine", "none"):
        environment = {
            **remote.environment,
            "HOLDFAST_MIGRATION_URL": owner,
            "HOLDFAST_DATABASE_URL": f"postgresql://{user}:sk-secret@{place}",
        }
        ended = await worker(environment, "--migrate")
        assert ended.code == 2, ended.log
        assert f"{user!r}" in ended.log
        assert "Traceback" not in ended.log
        assert "sk-secret" not in ended.log


async def test_a_role_that_was_granted_nothing_is_told_who_grants(remote: Platform) -> None:
    place = require_migration_url(remote.settings).partition("@")[2]
    stranger = f"{remote.tenant}-stranger"
    await remote.database.execute(f"create role \"{stranger}\" login password 'x'")
    try:
        url = f"postgresql://{stranger}:x@{place}"
        ended = await worker({**remote.environment, "HOLDFAST_DATABASE_URL": url})
    finally:
        await remote.database.execute(f'drop role "{stranger}"')
    assert ended.code == 2, ended.log
    assert "permission denied for schema" in ended.log
    assert "HOLDFAST_MIGRATION_URL" in ended.log
    assert "Traceback" not in ended.log


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
