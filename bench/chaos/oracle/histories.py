"""In Temporal: no failed workflow task, no conversation that ended as none should, histories that replay."""

import random
from collections.abc import AsyncIterator

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowExecutionStatus, WorkflowHistory
from temporalio.worker import Replayer

from bench.chaos.oracle.verdict import Verdict
from bench.chaos.stack import ChaosStack
from holdfast.domain.wire import CONVERSATION_WORKFLOW
from holdfast.runtime.plugin import PLUGIN
from holdfast.workflows.conversation import ConversationWorkflow

_REPLAYED = 200
"""Histories that are replayed, at most; all are looked through."""

_GOOD_ENDS = {
    WorkflowExecutionStatus.RUNNING,
    WorkflowExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.CONTINUED_AS_NEW,
}

_HARMLESS = {WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND}
"""Temporal's own: something came in while a workflow was about to end, and it looks at that first."""


async def judge_histories(stack: ChaosStack, verdict: Verdict, seed: int) -> None:
    """Look through the histories of all runs, and replay them."""
    histories: list[WorkflowHistory] = []
    async for run in stack.temporal_client.list_workflows(
        f"WorkflowType = '{CONVERSATION_WORKFLOW}'"
    ):
        verdict.checked["runs of workflows"] += 1
        if run.status not in _GOOD_ENDS:
            status = run.status.name if run.status else "unknown"
            verdict.diverged(f"run {run.run_id} of {run.id} ended {status}")
        handle = stack.temporal_client.get_workflow_handle(run.id, run_id=run.run_id)
        history = await handle.fetch_history()
        _look_at_tasks(history, verdict)
        if _can_be_replayed(history):
            histories.append(history)
    chance = random.Random(f"{seed}-replays")
    chosen = chance.sample(histories, k=min(_REPLAYED, len(histories)))
    replayer = Replayer(workflows=[ConversationWorkflow], plugins=[PLUGIN])
    results = await replayer.replay_workflows(_each(chosen), raise_on_replay_failure=False)
    verdict.checked["histories replayed"] += len(chosen)
    for run_id, failure in results.replay_failures.items():
        broken = next(one for one in chosen if one.run_id == run_id)
        verdict.diverged(f"{broken.workflow_id} does not replay: run {run_id}: {failure}")


def _look_at_tasks(history: WorkflowHistory, verdict: Verdict) -> None:
    for event in history.events:
        if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            continue
        failed = event.workflow_task_failed_event_attributes
        if failed.cause in _HARMLESS:
            verdict.checked["workflow tasks that Temporal put off"] += 1
            continue
        cause = WorkflowTaskFailedCause.Name(failed.cause)
        verdict.diverged(
            f"a workflow task of {history.workflow_id} has failed: {cause}, {failed.failure.message}"
        )


def _can_be_replayed(history: WorkflowHistory) -> bool:
    """Whether a worker has completed a task of it: the replayer waits forever for one that has begun
    just now."""
    return any(
        event.HasField("workflow_task_completed_event_attributes") for event in history.events
    )


async def _each(histories: list[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history
