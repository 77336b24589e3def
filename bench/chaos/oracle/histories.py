"""In Temporal: no failed workflow task, no conversation that ended as none should, histories that replay."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowExecutionStatus, WorkflowHistory
from temporalio.worker import Replayer

from bench.chaos.oracle.verdict import Verdict
from bench.chaos.stack import ChaosStack
from holdfast.domain.wire import CONVERSATION_WORKFLOW
from holdfast.runtime.connection import PLUGIN
from workflows.conversation import ConversationWorkflow

_REPLAYED = 200
"""Histories that are replayed, at most; all are looked through."""

_GOOD_ENDS = {
    WorkflowExecutionStatus.RUNNING,
    WorkflowExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.CONTINUED_AS_NEW,
}

_HARMLESS = {WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND}
"""Temporal's own: something came in while a workflow was about to end, and it looks at that first."""


async def judge_histories(
    stack: ChaosStack, verdict: Verdict, seed: int, *, keep: Path | None
) -> None:
    """Look through the histories of all runs, and replay them; those with a problem are written to the
    folder `keep`."""
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
        if _tasks_failed(history, verdict) and keep is not None:
            await _write(history, keep)
        if _can_be_replayed(history):
            histories.append(history)
    chance = random.Random(f"{seed}-replays")
    chosen = chance.sample(histories, k=min(_REPLAYED, len(histories)))
    replayer = Replayer(workflows=[ConversationWorkflow], plugins=[PLUGIN])
    results = await replayer.replay_workflows(_each(chosen), raise_on_replay_failure=False)
    verdict.checked["histories replayed"] += len(chosen)
    for run_id, failure in results.replay_failures.items():
        verdict.diverged(f"run {run_id} does not replay: {failure}")
        if keep is not None:
            await _write(next(one for one in chosen if one.run_id == run_id), keep)


def _tasks_failed(history: WorkflowHistory, verdict: Verdict) -> bool:
    """Whether tasks of this run have failed, which the verdict says then."""
    found = False
    for event in history.events:
        if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            continue
        failed = event.workflow_task_failed_event_attributes
        if failed.cause in _HARMLESS:
            verdict.checked["workflow tasks that Temporal put off"] += 1
            continue
        found = True
        cause = WorkflowTaskFailedCause.Name(failed.cause)
        verdict.diverged(
            f"a workflow task of {history.workflow_id} has failed: {cause}, {failed.failure.message}"
        )
    return found


async def _write(history: WorkflowHistory, folder: Path) -> None:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    name = f"{history.workflow_id.replace('/', '-')}-{history.run_id}.json"
    await asyncio.to_thread((folder / name).write_text, history.to_json())


def _can_be_replayed(history: WorkflowHistory) -> bool:
    """Whether a worker has completed a task of it: the replayer waits for ever for one that has begun
    just now."""
    return any(
        event.HasField("workflow_task_completed_event_attributes") for event in history.events
    )


async def _each(histories: list[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history
