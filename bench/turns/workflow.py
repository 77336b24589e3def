"""Conversations that are a workflow each with an update `send`: how the driver talks to them."""

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from bench.stack import BenchStack
from bench.turns.contender import History, Work, history_of
from holdfast.runtime.connection import require_migration_url


class WorkflowConversations:
    """The conversations of one contender; the first message of each starts its workflow."""

    def __init__(self, temporal: Client, workflow: str, *, task_queue: str) -> None:
        self._temporal = temporal
        self._workflow = workflow
        self._task_queue = task_queue
        self._started: set[str] = set()

    async def send(self, conversation: str, text: str) -> str:
        """The answer to a message."""
        if conversation not in self._started:
            self._started.add(conversation)
            await self._temporal.start_workflow(
                self._workflow, id=self._id(conversation), task_queue=self._task_queue
            )
        handle = self._temporal.get_workflow_handle(self._id(conversation))
        answer: str = await handle.execute_update("send", text, result_type=str)
        return answer

    async def history(self, conversation: str) -> History:
        """What Temporal keeps of it."""
        return await history_of(self._temporal, self._id(conversation))

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
