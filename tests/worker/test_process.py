"""A worker process from its start to its end: roles, health, migrations, demonstration data."""

import asyncio
import signal
from pathlib import Path

import asyncpg
import httpx2

from holdfast.testing import WorkerProcess, eventually, routed_to
from holdfast_devstack.ports import remembered_ports
from holdfast_devstack.temporary import temporary_postgres
from tests.platform import ROOT, Platform, counting
from tests.worker.running import worker

FINE = {"status": "ok", "problems": [], "remarks": []}


async def test_three_processes_with_a_role_each_answer_a_message_with_an_action(
    remote: Platform,
) -> None:
    remote.script = routed_to(
        "counter", counting([("add", {"counter": "c", "amount": 5})], then="Added.")
    )
    roles = ("workflows", "subgraphs", "actions")
    split = await asyncio.gather(
        *(WorkerProcess.start(remote.environment, "--role", role, root=ROOT) for role in roles)
    )
    try:
        assert (await remote.send("c1", "add five")).reply == "Added."
        assert await remote.effects() == [5]
        for process in split:
            process.signal(signal.SIGTERM)
        assert [await process.died() for process in split] == [0, 0, 0]
    finally:
        for process in split:
            await process.stop()


async def test_a_worker_without_postgres_lives_but_is_not_ready(
    remote: Platform, tmp_path: Path
) -> None:
    port = remembered_ports(tmp_path / "ports.json", ["health"])["health"]
    async with (
        temporary_postgres() as postgres,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as health,
    ):
        environment = {
            **remote.environment,
            "HOLDFAST_DATABASE_URL": postgres.product_url,
            "HOLDFAST_MIGRATION_URL": postgres.database_url,
            "HOLDFAST_HEALTH_PORT": str(port),
        }
        assert (await worker(environment, "--migrate")).code == 0
        process = await WorkerProcess.start(environment, root=ROOT)
        try:
            ready = await health.get("/ready")
            assert (ready.status_code, ready.json()) == (200, FINE)
            assert (await health.get("/health")).status_code == 200

            await postgres.kill()
            unready = await health.get("/ready")
            assert unready.status_code == 503
            (problem,) = unready.json()["problems"]
            assert problem.startswith("Postgres: ")
            assert (await health.get("/health")).status_code == 200

            await postgres.start()

            async def recovered() -> bool:
                return (await health.get("/ready")).status_code == 200

            await eventually(recovered)
            process.signal(signal.SIGINT)
            assert await process.died() == 0
        finally:
            await process.stop()


async def contents(url: str) -> dict[str, str]:
    """Every row of every table, as a digest for each table."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            """
            select format('%I.%I', table_schema, table_name) as name
              from information_schema.tables
             where table_schema in ('holdfast', 'shop', 'counter') and table_type = 'BASE TABLE'
            """
        )
        return {
            table["name"]: await connection.fetchval(
                f"select count(*) || ' ' || coalesce(md5(string_agg(row::text, '' order by row::text)), '') "
                f"from {table['name']} as row"
            )
            for table in tables
        }
    finally:
        await connection.close()


async def test_migrating_and_seeding_again_changes_nothing(
    remote: Platform, empty_database: str
) -> None:
    environment = {**remote.environment, "HOLDFAST_DATABASE_URL": empty_database}
    at_once = await asyncio.gather(*(worker(environment, "--migrate") for _ in range(2)))
    assert [ended.code for ended in at_once] == [0, 0], [ended.log for ended in at_once]
    migrated = await contents(empty_database)
    assert {"holdfast.schema_version", "shop.schema_version", "counter.effects"} <= set(migrated)

    assert (await worker(environment, "--seed", "demo")).code == 0
    seeded = await contents(empty_database)
    changed = {table for table in migrated if seeded[table] != migrated[table]}
    assert {"shop.orders", "shop.products", "holdfast.knowledge_documents"} <= changed

    assert (await worker(environment, "--seed", "demo")).code == 0
    assert (await worker(environment, "--migrate")).code == 0
    assert await contents(empty_database) == seeded


async def test_a_seed_that_lacks_articles_or_a_tenant_changes_nothing(
    remote: Platform, empty_database: str, tmp_path: Path
) -> None:
    (tmp_path / "bakery.py").write_text(
        "from pathlib import Path\nfrom holdfast import Package\n"
        "package = Package(name='bakery', articles=Path(__file__).parent / 'faq')\n"
    )
    environment = {
        **remote.environment,
        "HOLDFAST_DATABASE_URL": empty_database,
        "HOLDFAST_PACKAGES": '["shop", "bakery"]',
        "PYTHONPATH": str(tmp_path),
    }
    for tenant in ("demo", "Demo Tenant!", "a/b", ""):
        ended = await worker(environment, "--seed", tenant)
        assert ended.code == 2, ended.log
        assert ("faq does not exist" if tenant == "demo" else f"{tenant!r} cannot be") in ended.log
        assert await contents(empty_database) == {}

    (tmp_path / "faq").mkdir()
    (tmp_path / "faq" / "bread.md").write_text("# Bread\n\nBaked at four.\n")
    assert (await worker(environment, "--seed", "demo")).code == 0
    connection = await asyncpg.connect(empty_database)
    rows = await connection.fetch("select id, package from holdfast.knowledge_documents")
    await connection.close()
    assert {("bread", "bakery"), ("returns", "shop")} <= {tuple(row) for row in rows}


async def test_a_role_that_is_none_is_a_usage_error() -> None:
    ended = await worker({}, "--role", "everything")
    assert ended.code == 2
    assert "everything" in ended.log
