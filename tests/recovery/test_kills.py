"""Promises under kill: a worker dies at every commit boundary, freezes, or loses its servers."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState

from holdfast.domain.limits import Limits
from holdfast.runtime.settings import Settings
from holdfast.testing import Hold, ModelReply, eventually, routed_to, text
from holdfast.testing.scripted_model import Answer
from tests.platform import Platform, counting, open_platform

ADD = ("add", {"counter": "c", "amount": 5})

LEDGER_POINTS = ["before_model_call", "after_ledger_save", "before_commit", "after_commit"]
ACTION_POINTS = ["before_action_commit", "after_action_commit"]


@pytest.fixture
async def remote(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A platform without a worker: tests start theirs as processes, to kill them."""
    async with open_platform(stack_settings, tenant, in_process=False) as opened:
        yield opened


def replied(script: Answer, request: dict[str, Any]) -> ModelReply:
    """What a plain script answers."""
    reply = script(request)
    assert isinstance(reply, ModelReply)
    return reply


@pytest.mark.parametrize("point", [*LEDGER_POINTS, *ACTION_POINTS])
async def test_a_worker_killed_at_a_commit_boundary_costs_nothing_twice(
    remote: Platform, tmp_path: Path, point: str
) -> None:
    remote.script = routed_to("counter", counting([ADD], then="Added."))
    doomed = await remote.start_worker(HOLDFAST_FAULT=f"{point}:{tmp_path / 'died'}")
    answer = asyncio.create_task(remote.send("c1", "add five", message_id="m1"))
    assert await doomed.died() == -signal.SIGKILL
    await remote.start_worker()
    assert (await answer).reply == "Added."
    assert await remote.effects() == [5]
    assert remote.model.most_repeated == 1
    view = await remote.client.show("c1")
    assert [(m.seq, m.text) for m in view.messages] == [(1, "add five"), (2, "Added.")]
    assert [(a.state, a.executions) for a in view.actions] == [("executed", 1)]
    assert (await remote.send("c1", "add five", message_id="m1")) == await answer
    await remote.replay("c1")


async def test_a_kill_right_after_the_model_answered_costs_that_call_alone(
    remote: Platform, tmp_path: Path
) -> None:
    remote.script = routed_to("counter", counting([ADD], then="Added."))
    doomed = await remote.start_worker(HOLDFAST_FAULT=f"after_model_call:{tmp_path / 'died'}")
    answer = asyncio.create_task(remote.send("c1", "add five"))
    assert await doomed.died() == -signal.SIGKILL
    await remote.start_worker()
    assert (await answer).reply == "Added."
    assert sum(remote.model.calls.values()) == len(remote.model.calls) + 1
    assert await remote.effects() == [5]


async def test_a_kill_in_a_later_model_call_repeats_no_finished_one(remote: Platform) -> None:
    hold = Hold()
    steps = counting([("think", {})], [("think", {})], [ADD], then="Added.")
    held: list[int] = []

    def answer(request: dict[str, Any]) -> ModelReply:
        said = sum(message["role"] == "assistant" for message in request["messages"])
        reply = replied(steps, request)
        if said == 2 and not held:
            held.append(1)
            return reply.held(hold)
        return reply

    remote.script = routed_to("counter", answer)
    doomed = await remote.start_worker()
    result = asyncio.create_task(remote.send("c1", "think, then add"))
    await hold.arrived.wait()
    doomed.signal(signal.SIGKILL)
    await remote.start_worker()
    assert (await result).reply == "Added."
    assert remote.model.most_repeated == 2
    assert sum(remote.model.calls.values()) == len(remote.model.calls) + 1
    hold.release()
    await remote.replay("c1")


async def is_to_be_cancelled(remote: Platform) -> bool:
    """Whether Temporal has been asked to cancel the step that is under way."""
    described = await remote.handle("c1").describe()
    pending = described.raw_description.pending_activities
    return any(
        one.state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED for one in pending
    )


@pytest.mark.parametrize("committed", [False, True])
async def test_a_turn_whose_worker_dies_while_it_is_cancelled_is_cancelled(
    remote: Platform, tmp_path: Path, committed: bool
) -> None:
    hold = Hold()
    asking = counting([("add", {"counter": "c", "amount": 150})], then="Added.")
    remote.script = routed_to("counter", lambda request: replied(asking, request).held(hold))
    doomed = await remote.start_worker(
        HOLDFAST_FAULT=f"after_proposal_commit:{tmp_path / 'died'}" if committed else ""
    )
    answer = asyncio.create_task(remote.send("c1", "add a lot"))
    await hold.arrived.wait()
    cancelling = asyncio.create_task(remote.client.cancel_turn("c1", 1))
    await eventually(lambda: is_to_be_cancelled(remote))
    if committed:
        hold.release()
    else:
        doomed.signal(signal.SIGKILL)
    assert await doomed.died() == -signal.SIGKILL
    hold.release()
    await remote.start_worker()
    assert await cancelling == 1
    assert (await answer).status == "cancelled"
    assert await remote.client.approvals.list() == []
    assert (await remote.client.show("c1")).status == "open"
    await remote.replay("c1")


async def test_a_conversation_replays_that_was_asked_to_stop_while_nobody_ran_it(
    remote: Platform,
) -> None:
    """A query would wait for a second worker, come to it with a step's result that no workflow task
    has handled, and leave it with a state that no replay reaches."""
    hold = Hold()
    asking = counting([("add", {"counter": "c", "amount": 5})], then="Added.")
    remote.script = routed_to("counter", lambda request: replied(asking, request).held(hold))
    await remote.start_worker("--role", "subgraphs")
    await remote.start_worker("--role", "actions")
    doomed = await remote.start_worker("--role", "workflows")
    answer = asyncio.create_task(remote.send("c1", "add five"))
    await hold.arrived.wait()
    doomed.signal(signal.SIGKILL)
    await doomed.died()
    await remote.start_worker("--role", "workflows")
    cancelling = asyncio.create_task(remote.client.cancel_turn("c1"))
    await asyncio.sleep(0.2)
    hold.release()
    assert await cancelling == 1
    await answer
    await remote.replay("c1")


@pytest.mark.parametrize("survived", [True, False])
async def test_the_death_of_a_worker_is_noticed_before_a_heartbeat_is_missed(
    stack_settings: Settings, tenant: str, survived: bool
) -> None:
    slow = Limits(heartbeat_seconds=120)
    async with open_platform(stack_settings, tenant, in_process=False, limits=slow) as remote:
        hold = Hold()
        remote.script = routed_to("general", lambda _: text("Hello.").held(hold))
        doomed = await remote.start_worker()
        answer = asyncio.create_task(remote.send("c1", "hello"))
        await hold.arrived.wait()
        noted = f"select true from holdfast.presence where scope like '%/q-{tenant}'"
        await eventually(lambda: remote.database.fetchval(noted))
        if survived:
            await remote.start_worker()
        doomed.signal(signal.SIGKILL)
        await doomed.died()
        if not survived:
            await remote.start_worker()
        hold.release()
        assert (await asyncio.wait_for(answer, 30)).reply == "Hello."
        await remote.replay("c1")


async def test_the_late_result_of_a_frozen_worker_is_refused(remote: Platform) -> None:
    hold = Hold()
    served: list[str] = []

    def answer(request: dict[str, Any]) -> ModelReply:
        served.append("call")
        return text("From the first.").held(hold) if len(served) == 1 else text("From the second.")

    remote.script = routed_to("counter", answer)
    frozen = await remote.start_worker()
    result = asyncio.create_task(remote.send("c1", "hello"))
    await hold.arrived.wait()
    frozen.signal(signal.SIGSTOP)
    await remote.start_worker()
    assert (await result).reply == "From the second."
    hold.release()
    frozen.signal(signal.SIGCONT)

    frozen.signal(signal.SIGTERM)  # it lets what it has under way end, so nothing comes later
    assert await frozen.died() == 0
    said = [message.text for message in (await remote.client.show("c1")).messages]
    assert said == ["hello", "From the second."]
    await remote.replay("c1")


async def test_a_worker_that_is_asked_to_stop_ends_its_work_first(remote: Platform) -> None:
    hold = Hold()
    remote.script = routed_to("counter", lambda _: text("Just in time.").held(hold))
    stopping = await remote.start_worker(HOLDFAST_SHUTDOWN_SECONDS="20")
    result = asyncio.create_task(remote.send("c1", "hello"))
    await hold.arrived.wait()
    stopping.signal(signal.SIGTERM)

    async def asked() -> bool:
        return any("stopping" in line for line in stopping.log)

    await eventually(asked)
    hold.release()
    assert await stopping.died() == 0
    await remote.start_worker()
    assert (await result).reply == "Just in time."
    assert remote.model.most_repeated == 1
