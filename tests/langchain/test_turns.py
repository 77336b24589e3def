"""LangChain's `create_agent` through the whole platform."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_asyncio import fixture as async_fixture

from holdfast import Accept, Edit, Reject, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.testing import Hold, ModelReply, eventually, routed_to, text
from tests.platform import PACKAGES, Platform, counting, open_platform

RITA = Reviewer("rita", roles=["counters"])
ASSISTED = (*PACKAGES, "tests.langchain.assistant:package")


@async_fixture
async def platform(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    async with open_platform(stack_settings, tenant, packages=ASSISTED) as opened:
        yield opened


def add(amount: int) -> tuple[str, dict[str, Any]]:
    return "add", {"counter": "c", "amount": amount}


def told(platform: Platform) -> list[str]:
    """What the model was told by its tools in the latest request."""
    messages = platform.model.requests[-1]["messages"]
    return [one["content"] for one in messages if one["role"] == "tool"]


async def test_it_reads_acts_and_answers(platform: Platform) -> None:
    platform.script = routed_to(
        "assistant", counting([("who", {"question": "who?"}), add(5), add(6)], then="Eleven.")
    )
    sent = await platform.send("c1", "add five and six")
    assert (sent.reply, sent.status) == ("Eleven.", "answered")
    assert await platform.effects() == [5, 6]
    assert told(platform)[0] == "It is customer-1."
    assert [one.startswith('{"effect": ') for one in told(platform)] == [False, True, True]
    view = await platform.client.show("c1")
    assert [(one.name, one.executions) for one in view.actions] == [("add", 1)] * 2
    platform.script = routed_to("assistant", lambda _: text("As I said."))
    assert (await platform.send("c1", "how many?")).reply == "As I said."
    said = [one["content"] for one in platform.model.requests[-1]["messages"]]
    assert said[0] == "You count."
    assert said[-3:] == ["add five and six", "Eleven.", "how many?"]
    await platform.replay("c1")


@pytest.mark.parametrize(
    ("decision", "effects", "answer"),
    [
        (Accept(), [5, 150], '{"effect": '),
        (Edit([{"counter": "c", "amount": 5}, {"counter": "c", "amount": 20}]), [5, 20], '{"eff'),
        (Reject("Too much for May."), [], '{"error": "Too much for May.", "state": "rejected"}'),
    ],
    ids=["accepted", "edited", "rejected"],
)
async def test_what_it_calls_waits_for_people(
    platform: Platform, decision: Any, effects: list[int], answer: str
) -> None:
    platform.script = routed_to("assistant", counting([add(5), add(150)], then="That is that."))
    parked = await platform.send("c1", "add a lot")
    assert (parked.status, len(parked.approvals)) == ("awaiting_approval", 1)
    (waiting,) = await platform.client.approvals.list()
    assert [one.arguments["amount"] for one in waiting.actions] == [5, 150]
    assert waiting.reason == "The customer wrote: “add a lot”"
    await platform.client.approvals.decide(waiting.id, decision, by=RITA)

    async def ended() -> bool:
        view = await platform.client.show("c1")
        return view.messages[-1].text == "That is that."

    await eventually(ended, what="the answer")
    assert await platform.effects() == effects
    assert all(one.startswith(answer) for one in told(platform))


async def test_a_package_with_one_agent_pays_for_no_triage(
    stack_settings: Settings, tenant: str
) -> None:
    packages = ("tests.langchain.assistant:package",)
    async with open_platform(stack_settings, tenant, packages=packages, builtin_agents=[]) as alone:
        alone.script = lambda _: text("Hello.")
        assert (await alone.send("c1", "Hello?")).reply == "Hello."
        assert len(alone.model.requests) == 1


async def test_a_kill_between_two_model_calls_repeats_no_finished_one(
    stack_settings: Settings, tenant: str
) -> None:
    hold = Hold()
    steps = counting([("who", {"question": "who?"})], [add(5)], then="Added.")
    held: list[int] = []

    def answer(request: dict[str, Any]) -> ModelReply:
        said = sum(message["role"] == "assistant" for message in request["messages"])
        reply = steps(request)
        assert isinstance(reply, ModelReply)
        if said == 1 and not held:
            held.append(1)
            return reply.held(hold)
        return reply

    async with open_platform(stack_settings, tenant, packages=ASSISTED, in_process=False) as remote:
        remote.script = routed_to("assistant", answer)
        doomed = await remote.start_worker()
        result = asyncio.create_task(remote.send("c1", "who am I? Then add five."))
        await hold.arrived.wait()
        doomed.signal(signal.SIGKILL)
        await remote.start_worker()
        assert (await result).reply == "Added."
        assert remote.model.most_repeated == 2
        assert sum(remote.model.calls.values()) == len(remote.model.calls) + 1
        assert await remote.effects() == [5]
