"""The embedded servers of `holdfast dev`, where they run: what their `stack.json` says."""

import asyncio
import fcntl
import os
from datetime import timedelta
from pathlib import Path

import asyncpg
from pydantic import ValidationError
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.service import ConnectConfig, RPCError, ServiceClient

from holdfast.domain.errors import ConfigurationError, Unavailable
from holdfast.domain.model import Frozen

STATE_FILE = "stack.json"
LOCK_FILE = "stack.lock"

_SECONDS = 5


class RunningStack(Frozen):
    """Where they are, as `stack.json` tells other processes: it is as secret as the password in it.

    `database_url` is for the product's role, which migrating makes; `migration_url` is the owner's.
    """

    temporal_address: str
    temporal_ui_url: str
    namespace: str
    database_url: str
    migration_url: str


async def find_running_stack(data_dir: Path) -> RunningStack | None:
    """The servers that a process runs on `data_dir`, if both answer. Starts nothing.

    Raises:
        ConfigurationError: the data folder can't be one.
        Unavailable: they are another user's.
    """
    stack = await asyncio.to_thread(_read, data_dir)
    if stack is None:
        return None
    all_answer = await asyncio.gather(
        temporal_answers(stack.temporal_address, stack.namespace),
        postgres_answers(stack.migration_url),
    )
    # Servers whose owner has just died answer until they have stopped.
    if not all(all_answer) or await asyncio.to_thread(_read, data_dir) != stack:
        return None
    return stack


async def temporal_answers(address: str, namespace: str) -> bool:
    """Whether a Temporal server at `address` answers for the namespace within 5 s."""
    try:
        async with asyncio.timeout(_SECONDS):
            client = await ServiceClient.connect(ConnectConfig(target_host=address))
            await client.operator_service.list_search_attributes(
                ListSearchAttributesRequest(namespace=namespace),
                timeout=timedelta(seconds=_SECONDS),
            )
    except (RuntimeError, RPCError, TimeoutError):
        return False
    return True


async def postgres_answers(database_url: str) -> bool:
    """Whether a Postgres at this URL lets us in within 5 s."""
    try:
        connection = await asyncpg.connect(database_url, timeout=_SECONDS)
        await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of this file.

    Raises:
        ConfigurationError: there can be no such file.
        Unavailable: the file is another user's.
    """
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except PermissionError:
        raise Unavailable(
            f"{path.parent} belongs to another user. Start as that user, or use another data folder."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: half of a surrogate pair or a NUL in it
        raise ConfigurationError(
            f"the data folder {path.parent} (HOLDFAST_DATA_DIR) cannot be used: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from None
    try:
        # Shared, so that two processes that only look do not see each other.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _read(data_dir: Path) -> RunningStack | None:
    """What the stack's owner has written, while there is one."""
    if not is_locked(data_dir / LOCK_FILE):
        return None
    try:
        return RunningStack.model_validate_json((data_dir / STATE_FILE).read_text())
    except (OSError, ValidationError):
        return None
