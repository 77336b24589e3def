"""Repair by reset, by the commands of docs/operations.md."""

import shlex
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from holdfast.domain.review import Accept, Reviewer
from holdfast.testing import eventually, routed_to, text
from holdfast_devstack.temporal.binary import find_temporal
from tests.docs.blocks import ROOT, blocks
from tests.docs.shell import environment_of, run
from tests.platform import Platform, counting

PAGE = ROOT / "docs" / "operations.md"

Reset = Callable[..., Coroutine[Any, Any, None]]


@pytest.fixture
async def reset(platform: Platform, tmp_path: Path) -> Reset:
    """Resets the conversation `c1` as the page says: to its last good task, or ahead of an event."""
    [documented] = [
        line
        for block in blocks(PAGE, "bash")
        for line in block.text.splitlines()
        if line.startswith("temporal workflow reset")
    ]
    (tmp_path / "temporal").symlink_to(await find_temporal(progress=print))
    environment = environment_of(platform.settings, platform.settings.task_queue)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    environment["TEMPORAL_ADDRESS"] = environment["HOLDFAST_TEMPORAL_ADDRESS"]

    async def run_reset(event: int | None = None) -> None:
        command = documented.replace("demo/mara-1", f"{platform.tenant}/c1")
        assert command != documented
        if event is not None:
            words = shlex.split(command)
            at = words.index("--type")
            words[at : at + 2] = ["--event-id", str(event)]
            command = shlex.join(words)
        await run(command, ROOT, environment)
        await eventually(lambda: has_gone_on(platform), what="the first task after the reset")

    return run_reset


async def has_gone_on(platform: Platform) -> bool:
    """Whether the reset run knows again what it knew: what comes before that finds it as it was earlier."""
    history = await platform.handle("c1").fetch_history()
    kinds = [event.event_type for event in history.events]
    reset_at = len(kinds) - kinds[::-1].index(EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    return EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in kinds[reset_at:]


async def park(platform: Platform) -> str:
    adding = [("add", {"counter": "c", "amount": 150})]
    platform.script = routed_to("counter", counting(adding, then="That is settled."))
    return (await platform.send("c1", "add it", message_id="m1")).approvals[0]


async def settled(platform: Platform) -> None:
    async def said() -> bool:
        messages = await platform.client.messages("c1")
        return messages[-1].text == "That is settled."

    await eventually(said, what="the follow-up")


async def test_a_terminated_conversation_comes_back_with_what_it_waited_for(
    platform: Platform, reset: Reset
) -> None:
    approval = await park(platform)
    await platform.client.people.take_over("c1", reviewer="lena")
    await platform.handle("c1").terminate("by mistake")
    await reset()
    await platform.client.people.reply("c1", "I am looking into it.", reviewer="lena")
    await platform.client.people.hand_back("c1", reviewer="lena")
    status = await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    assert status.state == "accepted"
    await settled(platform)
    assert await platform.effects() == [150]
    again = await platform.send("c1", "add it", message_id="m1")
    assert again.status == "awaiting_approval"  # the first answer, again
    await platform.replay("c1")


async def test_a_reset_to_before_what_was_decided_and_done_does_nothing_twice(
    platform: Platform, reset: Reset
) -> None:
    approval = await park(platform)
    await platform.client.people.take_over("c1", reviewer="lena")
    await platform.client.people.reply("c1", "One moment.", reviewer="lena", reply_id="r1")
    await platform.client.people.hand_back("c1", reviewer="lena", note="The address is corrected.")
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    await settled(platform)
    before = await platform.client.show("c1")
    history = await platform.handle("c1").fetch_history()
    first = next(
        event.event_id
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    await reset(first)
    platform.script = routed_to("counter", lambda _: text("And on it goes."))
    assert (await platform.send("c1", "and now?")).reply == "And on it goes."
    assert await platform.effects() == [150]
    after = await platform.client.show("c1")
    assert after.messages[: len(before.messages)] == before.messages
    assert (await platform.client.approvals.get(approval)).state == "accepted"
    assert after.pending_approvals == ()
    report = await platform.client.audit.verify()
    assert report.problems == ()
    await platform.replay("c1")
