"""Who is measured: what the driver asks of every contender, and what both need to know."""

from typing import Protocol

import psutil
from pydantic import BaseModel, ConfigDict
from temporalio.client import Client


class Work(BaseModel):
    """What the process of a contender works with."""

    model_config = ConfigDict(frozen=True)

    temporal_address: str
    temporal_namespace: str
    database_url: str
    model_url: str
    task_queue: str


class History(BaseModel):
    """What Temporal keeps of a conversation."""

    model_config = ConfigDict(frozen=True)

    events: int
    bytes: int


class Contender(Protocol):
    """One way to answer a customer's message durably."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def workers(self) -> list[psutil.Process]:
        """The processes that do the work."""
        ...

    async def send(self, conversation: str, text: str) -> str:
        """Say something in a conversation, which begins with it; the answer."""
        ...

    async def history(self, conversation: str) -> History | None:
        """What Temporal keeps of the conversation; None where it has no part in it."""
        ...

    async def database_bytes(self) -> int | None:
        """What all conversations take in Postgres, without slack; None where it has no part in it."""
        ...


async def history_of(temporal: Client, workflow: str) -> History:
    """Events and bytes of the latest run of a workflow, as the server counts them."""
    description = await temporal.get_workflow_handle(workflow).describe()
    info = description.raw_description.workflow_execution_info
    return History(events=info.history_length, bytes=info.history_size_bytes)
