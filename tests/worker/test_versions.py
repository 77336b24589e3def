"""A deployment of changed workflows, while conversations run, wait and sleep."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    UpdateWorkflowExecutionOptionsRequest,
)

from holdfast.domain import wire
from holdfast.domain.identity import ConversationKey
from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.runtime.versioning import build_id
from holdfast.testing import Hold, eventually, is_triage, route, routed_to, text
from tests.deployment import make_current
from tests.platform import ROOT, Platform, counting, open_platform

_CODE = ("holdfast", "workflows", "activities", "worker.py", "tests")
_BEFORE = "            queued = self._intake.queue.popleft()\n"
_CHANGE = "            await workflow.sleep(0.001, summary='changed')\n"
"""A timer before each turn: replaying a history of the other build fails with this."""


@pytest.fixture
async def platform(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    async with open_platform(stack_settings, tenant, in_process=False) as opened:
        opened.environment["HOLDFAST_DEPLOYMENT"] = tenant
        yield opened


@pytest.fixture
def changed_code(tmp_path: Path) -> Path:
    """A copy of the product whose workflow does something else."""
    for name in _CODE:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tmp_path / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, tmp_path / name)
    module = tmp_path / "workflows" / "conversation.py"
    code = module.read_text()
    assert code.count(_BEFORE) == 1
    module.write_text(code.replace(_BEFORE, _CHANGE + _BEFORE))
    return tmp_path


async def runs(platform: Platform, conversation: str) -> list[list[HistoryEvent]]:
    """The histories of a conversation's runs, oldest first."""
    found: list[list[HistoryEvent]] = []
    id_, run = ConversationKey(platform.tenant, conversation).workflow_id, None
    while True:
        handle = platform.temporal.get_workflow_handle(id_, run_id=run)
        events = list((await handle.fetch_history()).events)
        found.insert(0, events)
        run = events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        if not run:
            return found


def builds(events: list[HistoryEvent]) -> set[str]:
    """The builds that completed the workflow tasks of a run."""
    return {
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    }


def is_changed(events: list[HistoryEvent]) -> bool:
    """Whether a turn of this run went through the changed code."""
    return any(b"changed" in event.user_metadata.summary.data for event in events)


def turns(events: list[HistoryEvent]) -> int:
    """The messages that a run accepted and did not send on."""
    accepted = [
        event.workflow_execution_update_completed_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED
    ]
    return sum(not one.outcome.HasField("failure") for one in accepted)


async def pin(platform: Platform, conversation: str, build: str) -> None:
    """What `temporal workflow update-options --versioning-override-behavior pinned` does."""
    override = VersioningOverride.PinnedOverride(
        behavior=VersioningOverride.PinnedOverrideBehavior.PINNED_OVERRIDE_BEHAVIOR_PINNED,
        version=WorkerDeploymentVersion(deployment_name=platform.tenant, build_id=build),
    )
    await platform.temporal.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=platform.temporal.namespace,
            workflow_execution=WorkflowExecution(
                workflow_id=ConversationKey(platform.tenant, conversation).workflow_id
            ),
            workflow_execution_options=WorkflowExecutionOptions(
                versioning_override=VersioningOverride(pinned=override)
            ),
            update_mask=FieldMask(paths=["versioning_override"]),
        )
    )


async def build_of(platform: Platform, conversation: str) -> str:
    """The build that the conversation's latest run is pinned to."""
    described = await platform.temporal.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=platform.temporal.namespace,
            execution=WorkflowExecution(
                workflow_id=ConversationKey(platform.tenant, conversation).workflow_id
            ),
        )
    )
    return described.workflow_execution_info.versioning_info.deployment_version.build_id


async def test_conversations_finish_on_their_build_and_move_at_the_next_seam(
    platform: Platform, changed_code: Path
) -> None:
    a, b = build_id(["holdfast_shop", "tests.counter"]), "b"
    first = await platform.start_worker()
    await make_current(platform.temporal, platform.tenant, a)
    platform.script = routed_to("counter", counting([("add", {"counter": "c", "amount": 150})]))
    (approval,) = (await platform.send("waiting", "Add 150.")).approvals
    platform.script = lambda request: route("general") if is_triage(request) else text("Hello.")
    for conversation in ("idle", "asleep"):
        await platform.send(conversation, "Hello.")
    hold = Hold()
    platform.script = lambda request: (
        route("general") if is_triage(request) else text("Late.").held(hold)
    )
    await platform.send("busy", "Hello.", message_id="held", wait=False)
    await hold.arrived.wait()

    await platform.start_worker(root=changed_code, HOLDFAST_BUILD_ID=b)
    await make_current(platform.temporal, platform.tenant, b)

    # What runs ends where it began, then the conversation moves.
    hold.release()
    assert (await platform.send("busy", "Hello.", message_id="held")).reply == "Late."
    # What waits goes on where it was asked, when it is decided, and moves then.
    platform.script = routed_to("counter", counting([("add", {"counter": "c", "amount": 150})]))
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    await eventually(lambda: platform.effects(), what="the effect")
    # What is idle moves when a message comes, which the new build answers.
    platform.script = lambda request: route("general") if is_triage(request) else text("Hello.")
    assert (await platform.send("idle", "Hello again.")).turn == 2
    # What nobody writes to can be woken.
    await platform.handle("asleep").signal(wire.UPGRADE)

    async def all_moved() -> bool:
        moved = [await build_of(platform, one) for one in ("busy", "waiting", "idle", "asleep")]
        return moved == [b] * 4

    await eventually(all_moved, what="the move of all conversations")
    await first.stop()
    for conversation in ("busy", "waiting", "idle", "asleep"):
        assert (await platform.send(conversation, "Goodbye.")).reply == "Hello."
        before, *moved = await runs(platform, conversation)  # once more where the news came twice
        after = [event for run in moved for event in run]
        assert (builds(before), builds(after)) == ({a}, {b})
        assert (is_changed(before), is_changed(after)) == (False, True)
        assert turns(before) == (2 if conversation == "waiting" else 1)
        kinds = {event.event_type for event in (*before, *after)}
        assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds
    assert await platform.effects() == [150]


async def test_a_conversation_that_is_pinned_by_an_operator_is_answered_where_it_is(
    platform: Platform, changed_code: Path
) -> None:
    a = build_id(["holdfast_shop", "tests.counter"])
    await platform.start_worker()
    await make_current(platform.temporal, platform.tenant, a)
    await platform.send("c1", "Hello.")
    await pin(platform, "c1", a)
    await platform.start_worker(root=changed_code, HOLDFAST_BUILD_ID="b")
    await make_current(platform.temporal, platform.tenant, "b")
    for turn in (2, 3):
        assert (await platform.send("c1", "Hello again.")).turn == turn
    assert await build_of(platform, "c1") == a
    assert len(await runs(platform, "c1")) <= 2


def test_the_build_id_follows_the_code(changed_code: Path) -> None:
    def asked(root: Path, **settings: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(root), **settings}
        command = [sys.executable, str(root / "worker.py"), "--build-id"]
        return subprocess.check_output(command, env=environment, cwd=root, text=True).strip()

    shop, counter = '["holdfast_shop:package"]', '["tests.counter:package"]'
    assert asked(ROOT, HOLDFAST_PACKAGES=shop) == build_id(["holdfast_shop"])
    assert (
        asked(ROOT, HOLDFAST_PACKAGES=counter)
        == build_id(["tests.counter"])
        != build_id(["holdfast_shop"])
    )
    assert asked(changed_code, HOLDFAST_PACKAGES=shop) != build_id(["holdfast_shop"])
    assert asked(ROOT, HOLDFAST_BUILD_ID="2026-11.1") == "2026-11.1"
