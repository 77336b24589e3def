"""The floor: a workflow whose update runs one activity that does nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from bench.turns.contender import Work
    from bench.turns.workflow import WorkflowContender, connected


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


class Floor(WorkflowContender):
    """The least that a durable answer from Temporal takes."""

    name = "one update, one empty activity"
    process_name = "floor"
    workflow_name = "FloorWorkflow"


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
