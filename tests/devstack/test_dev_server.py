"""The Temporal dev server keeps workflows through kills, and learns new search attributes."""

import asyncio
import socket
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from holdfast.runtime.stack import temporal_answers
from holdfast_devstack.errors import ServerStartFailed
from holdfast_devstack.temporal.binary import find_temporal
from holdfast_devstack.temporal.server import TemporalServer


async def start_workflow(server: TemporalServer, attribute: str) -> str:
    """Starts one that no worker takes up."""
    client = await Client.connect(server.address)
    value = SearchAttributePair(SearchAttributeKey.for_keyword(attribute), "x")
    handle = await client.start_workflow(
        "Nobody",
        id=str(uuid4()),
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([value]),
    )
    return handle.id


async def knows(server: TemporalServer, workflow_id: str) -> bool:
    client = await Client.connect(server.address)
    description = await client.get_workflow_handle(workflow_id).describe()
    return description.id == workflow_id


async def test_a_kill_and_a_start_keep_workflows_and_address(temporal: TemporalServer) -> None:
    workflow_id = await start_workflow(temporal, "First")
    address, pid = temporal.address, temporal.pid
    await temporal.kill()
    assert not await temporal_answers(address, "default")
    await temporal.start()
    assert (temporal.address, temporal.pid != pid) == (address, True)
    assert await knows(temporal, workflow_id)


async def test_an_existing_namespace_learns_new_search_attributes(data_dir: Path) -> None:
    binary = await find_temporal(progress=print)
    first = TemporalServer(binary, data_dir, ui=False, search_attributes={"First": "Keyword"})
    await first.start()
    await first.stop()
    both = {"First": "Keyword", "Second": "Keyword"}
    upgraded = TemporalServer(binary, data_dir, ui=False, search_attributes=both)
    await upgraded.start()
    assert await knows(upgraded, await start_workflow(upgraded, "Second"))
    await upgraded.kill()


async def test_a_paused_server_answers_nobody_until_it_is_resumed(temporal: TemporalServer) -> None:
    client = await Client.connect(temporal.address)
    temporal.pause()
    await asyncio.sleep(0.1)
    call = asyncio.create_task(client.service_client.check_health())
    done, _ = await asyncio.wait({call}, timeout=0.2)
    assert not done
    temporal.resume()
    assert await asyncio.wait_for(call, 5)


async def test_a_remembered_port_that_is_taken_is_replaced(temporal: TemporalServer) -> None:
    workflow_id = await start_workflow(temporal, "First")
    address = temporal.address
    await temporal.kill()
    with socket.socket() as intruder:
        intruder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        intruder.bind(("127.0.0.1", int(address.partition(":")[2])))
        intruder.listen()
        await temporal.start()
    assert temporal.address != address
    assert await knows(temporal, workflow_id)


async def test_a_failed_start_shows_the_last_lines_of_the_log(
    scratch: Path, data_dir: Path
) -> None:
    broken = scratch / "temporal"
    broken.write_text("#!/bin/sh\necho the disk is full\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(ServerStartFailed, match="the disk is full"):
        await TemporalServer(broken, data_dir / "temporal").start()
