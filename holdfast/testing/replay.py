"""Replays recorded histories, and says of one that breaks what it is, where, and what to do."""

import re
from collections.abc import Sequence

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.plugin import SimplePlugin
from temporalio.worker import Replayer

from holdfast.runtime.plugin import PLUGIN
from holdfast.testing.recorded_history import RecordedHistory
from holdfast.workflows.conversation import ConversationWorkflow
from holdfast.workflows.notifications import NotificationWorkflow
from holdfast.workflows.operations import OperationWorkflow

WORKFLOWS = (ConversationWorkflow, NotificationWorkflow, OperationWorkflow)

_TOLD_IN_FULL = SimplePlugin(
    "told in full",
    data_converter=pydantic_data_converter,
    workflow_runner=PLUGIN.workflow_runner,
)
"""As workers have it, except that failures keep their words: here they reach developers alone."""

_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED

_ADVICE = """\
Conversations that are open now have such histories, and would stop at this event.
Keep what was for them: put the change behind `if workflow.patched("what-changed"):` with the old
code in the `else`, or leave this workflow alone and add the changed one under a name of its own.
Never edit, delete or replace the history; see "Changing a workflow" in docs/operations.md."""


class HistoryBroken(AssertionError):
    """The workflows as they are now do not do what a recorded history says they did."""


async def require_replay(
    recorded: RecordedHistory, *, workflows: Sequence[type] = WORKFLOWS
) -> None:
    """Replay a recorded history.

    Raises:
        HistoryBroken: it does not replay; the message says at which event, and what to do.
    """
    failure = await replay_failure(recorded.history, workflows)
    if failure is None:
        return
    event = await _first_broken(recorded.history, workflows)
    raise HistoryBroken(
        f"{recorded.workflow_type} does not replay {recorded.file.name} any more.\n"
        f"  workflow: {recorded.workflow_type}, id {recorded.history.workflow_id}\n"
        f"  history:  {recorded.file}\n"
        f"  event:    {_described(event)}\n"
        f"  reason:   {_reason(failure)}\n"
        f"{_ADVICE}"
    )


async def replay_failure(
    history: WorkflowHistory, workflows: Sequence[type] = WORKFLOWS
) -> Exception | None:
    """Why a history does not replay; None if it does.

    Raises:
        ValueError: no workflow task of it has completed; the replayer would wait forever.
    """
    if not has_completed_task(history.events):
        raise ValueError(f"{history.workflow_id} has nothing to replay: no task has completed")
    replayer = Replayer(workflows=list(workflows), plugins=[_TOLD_IN_FULL])
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    return result.replay_failure


def has_completed_task(events: Sequence[HistoryEvent]) -> bool:
    """Whether a workflow task of the history has completed."""
    return any(event.event_type == _COMPLETED for event in events)


async def _first_broken(history: WorkflowHistory, workflows: Sequence[type]) -> HistoryEvent:
    """The event without which the history would replay: the last one of its shortest part that
    breaks. Halving finds it, since every longer part breaks as well."""
    events = list(history.events)
    whole = next(index for index, one in enumerate(events) if one.event_type == _COMPLETED)
    broken = len(events) - 1
    while whole < broken:
        middle = (whole + broken) // 2
        part = WorkflowHistory(history.workflow_id, events[: middle + 1])
        if await replay_failure(part, workflows) is None:
            whole = middle + 1
        else:
            broken = middle
    return events[broken]


def _described(event: HistoryEvent) -> str:
    name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower().replace("_", " ")
    attributes = getattr(event, str(event.WhichOneof("attributes")))
    for field in ("activity_type", "workflow_type"):
        if field in attributes.DESCRIPTOR.fields_by_name:
            return f"{event.event_id}, {name}: {getattr(attributes, field).name}"
    return f"{event.event_id}, {name}"


def _reason(failure: Exception) -> str:
    """What the core of the SDK says, out of its rendering of a failed task."""
    message = re.search(r'message: "((?:[^"\\]|\\.)*)"', str(failure))
    kind = re.search(r'r#type: "(\w+)"', str(failure))
    if message is None:
        return str(failure)
    return f"{kind[1]}: {message[1]}" if kind else message[1]
