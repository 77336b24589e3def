"""LangGraph's Temporal plugin: a workflow for each conversation, an activity for each node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from langgraph.checkpoint.memory import InMemorySaver
from temporalio import workflow
from temporalio.client import Client
from temporalio.langgraph import LangGraphPlugin, graph
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import psutil

    from bench.stack import BenchStack
    from bench.turns.contender import History, Work
    from bench.turns.graph import Nodes, build, model_at
    from bench.turns.process import ContenderProcess, contender_process
    from bench.turns.workflow import WorkflowConversations, connected, work_on
    from holdfast.store.pool import open_pool

NAME: Final = "plugin"
_GRAPH = "turn"
_THREAD = "conversation"


@workflow.defn
class PluginWorkflow:
    """A conversation whose graph is kept in the workflow, with a saver in memory."""

    def __init__(self) -> None:
        self._graph = graph(_GRAPH).compile(checkpointer=InMemorySaver())

    @workflow.run
    async def run(self) -> None:
        """Last until it is terminated."""
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def send(self, text: str) -> str:
        """Answer a message."""
        state = await self._graph.ainvoke(
            {"messages": [{"role": "user", "content": text}]},
            {"configurable": {"thread_id": _THREAD}},
        )
        return str(state["said"])


class Plugin:
    """LangGraph on Temporal, as the plugin's own guide has it."""

    name = "temporalio-langgraph"

    def __init__(self, process: ContenderProcess, temporal: Client, task_queue: str) -> None:
        self._process = process
        self._conversations = WorkflowConversations(
            temporal, "PluginWorkflow", task_queue=task_queue
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, stack: BenchStack) -> AsyncIterator["Plugin"]:
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
    async with (
        model_at(work.model_url) as model,
        await open_pool(work.database_url, read_only=True) as reads,
        Worker(
            await connected(work),
            task_queue=work.task_queue,
            workflows=[PluginWorkflow],
            plugins=[
                LangGraphPlugin(
                    graphs={_GRAPH: build(Nodes(model, reads), metadata=_as_activity)},
                    default_activity_options={"start_to_close_timeout": timedelta(seconds=30)},
                )
            ],
        ),
    ):
        yield 0


def _as_activity(node: str) -> dict[str, Any]:
    return {"execute_in": "activity"}
