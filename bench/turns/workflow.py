"""Contenders whose conversations are a workflow each with an update `send`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Self

import psutil
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.stack import BenchStack
from bench.turns.contender import History, Work, history_of
from bench.turns.process import ContenderProcess, ProcessName, contender_process
from holdfast.runtime.connection import require_migration_url


class WorkflowContender:
    """A contender with a process of its own; the first message of a conversation starts its workflow."""

    name: ClassVar[str]
    process_name: ClassVar[ProcessName]
    workflow_name: ClassVar[str]

    def __init__(self, process: ContenderProcess, temporal: Client, task_queue: str) -> None:
        self._process = process
        self._temporal = temporal
        self._task_queue = task_queue
        self._started: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: BenchStack) -> AsyncIterator[Self]:
        """The contender with its process."""
        work = work_on(stack, cls.process_name)
        async with contender_process(cls.process_name, work) as process:
            yield cls(process, stack.temporal, work.task_queue)

    def workers(self) -> list[psutil.Process]:
        return [self._process.process]

    async def send(self, conversation: str, text: str) -> str:
        if conversation not in self._started:
            self._started.add(conversation)
            await self._temporal.start_workflow(
                self.workflow_name, id=self._id(conversation), task_queue=self._task_queue
            )
        handle = self._temporal.get_workflow_handle(self._id(conversation))
        answer: str = await handle.execute_update("send", text, result_type=str)
        return answer

    async def history(self, conversation: str) -> History | None:
        return await history_of(self._temporal, self._id(conversation))

    async def database_bytes(self) -> int | None:
        return None

    def _id(self, conversation: str) -> str:
        return f"{self._task_queue}:{conversation}"


def work_on(stack: BenchStack, name: str) -> Work:
    """What the process of a contender works with on this stack."""
    assert stack.settings.temporal_address is not None
    return Work(
        temporal_address=stack.settings.temporal_address,
        temporal_namespace=stack.settings.temporal_namespace,
        database_url=require_migration_url(stack.settings),
        model_url=stack.settings.models[0]["base_url"],
        task_queue=f"bench-{name}",
    )


async def connected(work: Work) -> Client:
    """A client for a worker, with pydantic's JSON, as Holdfast has it."""
    return await Client.connect(
        work.temporal_address,
        namespace=work.temporal_namespace,
        data_converter=pydantic_data_converter,
    )
