"""Starts the embedded Temporal and Postgres together, or finds those that run already."""

import asyncio
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.service import ConnectConfig, ServiceClient

from holdfast.runtime.stack import LOCK_FILE, STATE_FILE, RunningStack, find_running_stack
from holdfast_devstack.errors import DataInUse, DataUnusable
from holdfast_devstack.file_lock import FileLock
from holdfast_devstack.postgres.cluster import delete_cluster
from holdfast_devstack.postgres.server import PostgresServer
from holdfast_devstack.temporal.binary import find_temporal
from holdfast_devstack.temporal.namespace import register_search_attributes
from holdfast_devstack.temporal.server import TemporalServer

_logger = logging.getLogger(__name__)

_WAIT_FOR_OTHER_SECONDS = 180.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class LocalStack:
    """A running Temporal and Postgres. `temporal` and `postgres` are there only with the owner.

    `database_url` is for the product's role, which migrating makes; `migration_url` is the owner's.
    """

    temporal_address: str
    temporal_ui_url: str
    namespace: str
    database_url: str
    migration_url: str
    owned: bool
    temporal: TemporalServer | None = None
    postgres: PostgresServer | None = None


@asynccontextmanager
async def local_stack(
    data_dir: Path,
    *,
    search_attributes: Mapping[str, str],
    temporal_binary: Path | None = None,
    temporal_ui: bool = True,
    postgres_options: Mapping[str, str] | None = None,
    postgres_account: str = "nobody",
    progress: Callable[[str], None] = _logger.info,
) -> AsyncIterator[LocalStack]:
    """The stack whose data is in `data_dir`: the one that runs already, else a new one.

    One that this call has started is stopped at the end of the context, and also when this process
    dies, in whatever way. One that was found is left alone. Two callers at once share one stack.

    `search_attributes` maps names to Temporal types and is brought to an existing namespace too.
    `temporal_binary`, `temporal_ui`, `postgres_options` and `postgres_account` count only for a
    stack that is started. Raises subclasses of `LocalStackError`.
    """
    data_dir = await asyncio.to_thread(_made, data_dir)
    lock = FileLock(data_dir / LOCK_FILE)
    binary: Path | None = None
    waiting = False
    deadline = time.monotonic() + _WAIT_FOR_OTHER_SECONDS
    while True:
        running = await find_running_stack(data_dir)
        if running is not None:
            await _bring_search_attributes(running, search_attributes)
            yield LocalStack(**running.model_dump(), owned=False)
            return
        if binary is None:
            binary = await find_temporal(temporal_binary, progress=progress)
            deadline = time.monotonic() + _WAIT_FOR_OTHER_SECONDS
        if lock.try_acquire() is not None:
            # What a killed owner has left must not be taken for ours.
            (data_dir / STATE_FILE).unlink(missing_ok=True)
            break
        if not waiting:
            progress(f"waiting for process {lock.holder()}, which starts or stops this stack")
            waiting = True
        if time.monotonic() > deadline:
            raise DataInUse(
                f"Process {lock.holder()} runs the servers of {data_dir}, and they do not answer. "
                "Stop that process, or use another data folder."
            )
        await asyncio.sleep(_POLL_SECONDS)
    try:
        temporal_server = TemporalServer(
            binary, data_dir / "temporal", search_attributes=search_attributes, ui=temporal_ui
        )
        postgres_server = PostgresServer(
            data_dir / "postgres", options=postgres_options, account=postgres_account
        )
        try:
            progress("starting Temporal and Postgres")
            await _start(temporal_server, postgres_server)
            stack = _owned(temporal_server, postgres_server)
            await asyncio.to_thread(_write_state, data_dir, stack)
            yield stack
        finally:
            (data_dir / STATE_FILE).unlink(missing_ok=True)
            await asyncio.gather(temporal_server.stop(), postgres_server.stop())
    finally:
        lock.release()


async def delete_local_data(data_dir: Path) -> None:
    """Deletes all data of a stack that does not run, also what lies outside of `data_dir`.

    Raises `DataInUse` while a process runs the stack.
    """
    data_dir = await asyncio.to_thread(_made, data_dir)
    lock = FileLock(data_dir / LOCK_FILE)
    if lock.try_acquire() is None:
        raise DataInUse(f"Process {lock.holder()} runs the servers of {data_dir}. Stop it first.")
    try:
        await asyncio.to_thread(delete_cluster, data_dir / "postgres")
        await asyncio.to_thread(shutil.rmtree, data_dir / "temporal", ignore_errors=True)
        (data_dir / STATE_FILE).unlink(missing_ok=True)
    finally:
        lock.release()


def _made(data_dir: Path) -> Path:
    """The data folder with its full path, created if it is missing."""
    data_dir = data_dir.resolve()
    # Root's data folder has to be passed through by the account that runs Postgres.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        data_dir.mkdir(parents=True, mode=mode, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except OSError as error:
        raise DataUnusable(
            f"The embedded servers cannot keep their data in {data_dir}: {error.strerror}. Set "
            "HOLDFAST_DATA_DIR to a folder that can be written."
        ) from None
    return data_dir


async def _start(temporal_server: TemporalServer, postgres_server: PostgresServer) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(temporal_server.start())
            group.create_task(postgres_server.start())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _owned(temporal_server: TemporalServer, postgres_server: PostgresServer) -> LocalStack:
    return LocalStack(
        temporal_address=temporal_server.address,
        temporal_ui_url=temporal_server.ui_url,
        namespace=temporal_server.namespace,
        database_url=postgres_server.product_url,
        migration_url=postgres_server.database_url,
        owned=True,
        temporal=temporal_server,
        postgres=postgres_server,
    )


def _write_state(data_dir: Path, stack: LocalStack) -> None:
    state = RunningStack(
        temporal_address=stack.temporal_address,
        temporal_ui_url=stack.temporal_ui_url,
        namespace=stack.namespace,
        database_url=stack.database_url,
        migration_url=stack.migration_url,
    )
    draft = data_dir / f"{STATE_FILE}.new"
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(state.model_dump_json(indent=1))
    draft.replace(data_dir / STATE_FILE)


async def _bring_search_attributes(stack: RunningStack, wanted: Mapping[str, str]) -> None:
    client = await ServiceClient.connect(ConnectConfig(target_host=stack.temporal_address))
    await register_search_attributes(client, stack.namespace, wanted)
