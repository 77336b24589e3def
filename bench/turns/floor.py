"""The floor: a workflow whose update runs one activity that does nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import psutil

    from bench.stack import BenchStack
    from bench.turns.contender import History, Work
    from bench.turns.process import ContenderProcess, contender_process
    from bench.turns.workflow import WorkflowConversations, connected, work_on

NAME: Final = "floor"


@activity.defn
async def do_nothing(text: str) -> str:
    """Answer."""
    return "Done."


@workflow.defn
class FloorWorkflow:
    """A conversation that forgets everything."""

    @workflow.run
    async def run(self) -> None:
        """Last until it is terminated."""
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def send(self, text: str) -> str:
        """Answer a message."""
        return await workflow.execute_activity(
            do_nothing, text, start_to_close_timeout=timedelta(seconds=30)
        )


class Floor:
    """The least that a durable answer from Temporal takes."""

    name = "one update, one empty activity"

    def __init__(self, process: ContenderProcess, temporal: Client, task_queue: str) -> None:
        self._process = process
        self._conversations = WorkflowConversations(
            temporal, "FloorWorkflow", task_queue=task_queue
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: BenchStack) -> AsyncIterator["Floor"]:
        """The contender with its process."""
        work = work_on(stack, NAME)
        async with contender_process(NAME, work) as process:
            yield cls(process, stack.temporal, work.task_queue)

    def workers(self) -> list[psutil.Process]:
        return [self._process.process]

    async def send(self, conversation: str, text: str) -> str:
        return await self._conversations.send(conversation, text)

    async def history(self, conversation: str) -> History | None:
        return await self._conversations.history(conversation)

    async def database_bytes(self) -> int | None:
        return None


@asynccontextmanager
async def serving(work: Work) -> AsyncIterator[int]:
    """The worker."""
    async with Worker(
        await connected(work),
        task_queue=work.task_queue,
        workflows=[FloorWorkflow],
        activities=[do_nothing],
    ):
        yield 0
