"""One stack for each data folder: found again, shared, and gone with its owner."""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict
from urllib.request import urlopen

import asyncpg
import psutil
import pytest
from sqlalchemy.engine import make_url
from temporalio.client import Client

from holdfast.domain.errors import Unavailable
from holdfast.runtime.settings import read_settings
from holdfast.runtime.stack import find_running_stack
from holdfast.security.signing_key import SigningKey
from holdfast.security.verification_keys import VerificationKeys
from holdfast_devstack.errors import DataInUse, DataUnusable, LocalStackError
from holdfast_devstack.stack import delete_local_data, local_stack

FAST = {"fsync": "off"}

STARTER = """
    import asyncio, json, sys
    from pathlib import Path
    from holdfast_devstack.stack import local_stack

    async def main():
        async with local_stack(Path(sys.argv[1]), search_attributes={}) as stack:
            print(json.dumps({
                "address": stack.temporal_address, "url": stack.migration_url, "owned": stack.owned
            }), flush=True)
            await asyncio.to_thread(sys.stdin.readline)

    asyncio.run(main())
"""

_NOBODY = 65_534


class Started(TypedDict):
    address: str
    url: str
    owned: bool


@asynccontextmanager
async def starter(data_dir: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that has the stack until it reads a line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(STARTER), str(data_dir)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answer(process: asyncio.subprocess.Process) -> Started:
    assert process.stdout is not None
    started: Started = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    return started


async def all_gone(processes: Sequence[psutil.Process]) -> bool:
    async with asyncio.timeout(10):
        while any(each.is_running() for each in processes):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return True


async def test_it_is_found_while_it_runs_and_gone_after_its_context(data_dir: Path) -> None:
    assert await find_running_stack(data_dir) is None
    async with local_stack(
        data_dir, search_attributes={"First": "Keyword"}, postgres_options=FAST
    ) as stack:
        assert stack.owned
        found = await find_running_stack(data_dir)
        assert found is not None
        assert (found.temporal_address, found.database_url) == (
            stack.temporal_address,
            stack.database_url,
        )
        assert stack.temporal is not None
        assert stack.postgres is not None
        pids = [stack.temporal.pid, stack.postgres.pid]
        with await asyncio.to_thread(urlopen, stack.temporal_ui_url) as page:
            assert page.status == 200
        with pytest.raises(DataInUse, match=str(os.getpid())):
            await delete_local_data(data_dir)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert await find_running_stack(data_dir) is None


async def test_a_second_user_shares_it_and_brings_search_attributes(data_dir: Path) -> None:
    async with local_stack(
        data_dir, search_attributes={"First": "Keyword"}, postgres_options=FAST
    ) as stack:
        async with local_stack(data_dir, search_attributes={"Second": "Keyword"}) as shared:
            assert not shared.owned
        client = await Client.connect(stack.temporal_address)
        await client.list_workflows("First = 'x' AND Second = 'x'").fetch_next_page()
        connection = await asyncpg.connect(stack.migration_url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()


async def test_two_processes_that_start_at_once_share_one(data_dir: Path) -> None:
    async with starter(data_dir) as one, starter(data_dir) as other:
        first, second = await asyncio.gather(answer(one), answer(other))
        assert {first["owned"], second["owned"]} == {True, False}
        assert (first["address"], first["url"]) == (second["address"], second["url"])


async def test_nothing_outlives_a_killed_owner_and_the_next_start_has_its_data(
    data_dir: Path,
) -> None:
    async with starter(data_dir) as owner:
        before = await answer(owner)
        connection = await asyncpg.connect(before["url"])
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.close()
        client = await Client.connect(before["address"])
        await client.start_workflow("Nobody", id="kept", task_queue="nobody")
        processes = psutil.Process(owner.pid).children(recursive=True)
        assert {"temporal", "postgres"} <= {each.name().partition("-")[0] for each in processes}
        owner.kill()
        await owner.wait()
        # At once, while the old servers are still stopping.
        async with local_stack(data_dir, search_attributes={}, postgres_options=FAST) as stack:
            assert stack.owned
            assert (stack.temporal_address, stack.migration_url) == (
                before["address"],
                before["url"],
            )
            assert await all_gone(processes)
            connection = await asyncpg.connect(stack.migration_url)
            assert await connection.fetchval("SELECT answer FROM kept") == 42
            await connection.close()
            client = await Client.connect(stack.temporal_address)
            assert (await client.get_workflow_handle("kept").describe()).id == "kept"


async def test_when_one_server_cannot_start_the_other_is_stopped(
    data_dir: Path, scratch: Path
) -> None:
    broken = scratch / "temporal"
    broken.write_text("#!/bin/sh\nsleep 0.3\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(LocalStackError, match="exited while starting"):
        async with local_stack(data_dir, search_attributes={}, temporal_binary=broken):
            pass
    assert not [
        each
        for each in psutil.process_iter(["cmdline"])
        if str(data_dir) in " ".join(each.info["cmdline"] or [])
    ]
    async with local_stack(data_dir, search_attributes={}, postgres_options=FAST) as stack:
        assert stack.owned


async def test_a_folder_of_another_user_is_named_as_such(data_dir: Path) -> None:
    async with local_stack(data_dir, search_attributes={}, postgres_options=FAST):
        pass
    os.chmod(data_dir / "stack.lock", 0o000)
    me = os.geteuid()
    try:
        if me == 0:  # who may open everything
            os.seteuid(_NOBODY)
        with pytest.raises(Unavailable, match="belongs to another user"):
            await find_running_stack(data_dir)
    finally:
        os.seteuid(me)
        os.chmod(data_dir / "stack.lock", 0o600)


async def test_a_command_beside_the_stack_gets_its_addresses_and_keys(data_dir: Path) -> None:
    printing = "import json, os; print(json.dumps(dict(os.environ)))"
    keys = []
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdfast", "dev", "run", "--", sys.executable, "-c", printing),
            env={**os.environ, "HOLDFAST_DATA_DIR": str(data_dir)},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        given = json.loads(out)
        settings = read_settings(
            reviewer_keys=given["HOLDFAST_REVIEWER_KEYS"],
            signing_key=given["HOLDFAST_SIGNING_KEY"],
        )
        assert settings.reviewer_keys is not None
        assert settings.signing_key is not None
        await VerificationKeys.open(settings.reviewer_keys)
        keys.append(SigningKey.read(settings.signing_key).kid)
        users = {
            make_url(given[f"HOLDFAST_{name}_URL"]).username for name in ("DATABASE", "MIGRATION")
        }
        assert users == {"holdfast", "holdfast_product"}
    assert keys[0] == keys[1]


async def test_a_data_folder_that_cannot_be_written_is_named_with_the_way_out(
    scratch: Path,
) -> None:
    (scratch / "home").write_text("a file")
    with pytest.raises(DataUnusable, match="HOLDFAST_DATA_DIR"):
        async with local_stack(scratch / "home" / ".holdfast", search_attributes={}):
            raise AssertionError("it has started")
