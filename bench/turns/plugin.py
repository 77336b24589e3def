"""LangGraph's Temporal plugin: a workflow for each conversation, an activity for each node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from temporalio import workflow
from temporalio.langgraph import LangGraphPlugin, graph
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from bench.turns.contender import Work
    from bench.turns.graph import Nodes, build, model_at
    from bench.turns.workflow import WorkflowContender, connected
    from holdfast.store.pool import open_pool

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


class Plugin(WorkflowContender):
    """LangGraph on Temporal, as the plugin's own guide has it."""

    name = "temporalio-langgraph"
    process_name = "plugin"
    workflow_name = "PluginWorkflow"


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
