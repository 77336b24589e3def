"""Scenarios of messages and people: turns and how they end, takeovers, and a conversation's life."""

import asyncio
from typing import Any

from holdfast.domain.limits import Limits
from holdfast.domain.review import Accept, Reviewer
from holdfast.store.faults import pausing
from holdfast.testing import (
    Hold,
    ModelReply,
    eventually,
    failure,
    is_triage,
    last_message,
    route,
    routed_to,
    text,
    tool_calls,
)
from tests.histories.scenario import adding, park, said_again, scenario
from tests.platform import Platform, counting
from tests.workflows.test_lifecycle import accepted_updates


def _echo(request: dict[str, Any]) -> ModelReply:
    return text(f"You said {last_message(request)}")


@scenario()
async def answered(platform: Platform) -> None:
    platform.script = routed_to("counter", _echo)
    await platform.send("answered", "one")
    platform.script = routed_to("other", _echo)
    await platform.send("answered", "two")


@scenario()
async def queued(platform: Platform) -> None:
    hold = Hold()
    platform.script = lambda request: (
        route("counter").held(hold) if is_triage(request) else _echo(request)
    )
    first = asyncio.create_task(platform.send("queued", "one", message_id="m1"))
    await hold.arrived.wait()
    for number in (2, 3):
        await platform.send("queued", "more", wait=False, message_id=f"m{number}")
    hold.release()
    await first
    await platform.send("queued", "more", message_id="m3")


@scenario()
async def asked_back(platform: Platform) -> None:
    platform.script = lambda _: route("counter", confidence=0.4)
    await platform.send("asked-back", "hm")
    await platform.send("asked-back", "hm hm")


@scenario()
async def handoff(platform: Platform) -> None:
    asked = 0

    def once(_: dict[str, Any]) -> ModelReply:
        nonlocal asked
        asked += 1
        return tool_calls(("hand_over", {"agent": "other"})) if asked == 1 else text("Taken.")

    platform.script = routed_to("counter", once)
    await platform.send("handoff", "go")

    def for_ever(_: dict[str, Any]) -> ModelReply:
        nonlocal asked
        asked += 1
        return tool_calls(("hand_over", {"agent": "counter" if asked % 2 else "other"}))

    asked = 0
    platform.script = routed_to("other", for_ever)
    ended = await platform.send("handoff", "and round and round")
    assert ended.status == "awaiting_human"


@scenario()
async def asked_for_a_person(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: tool_calls(("escalate", {})))
    await platform.send("asked-for-a-person", "help")
    await platform.send("asked-for-a-person", "anybody?")


@scenario()
async def failed(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: tool_calls(("fail", {})))
    ended = await platform.send("failed", "break")
    assert ended.status == "failed"
    platform.script = routed_to("counter", _echo)
    await platform.send("failed", "again")


@scenario(limits=Limits(holding_message_seconds=0.5, model_wait_seconds=4))
async def waited_for_a_model(platform: Platform) -> None:
    """One turn is answered after a while, the next one is left to a person."""
    failing = iter([failure(500)] * 4)
    platform.script = routed_to("counter", lambda request: next(failing, None) or _echo(request))
    answered_late = await platform.send("waited-for-a-model", "one")
    assert answered_late.status == "answered"
    platform.script = lambda _: failure(500)
    left = await platform.send("waited-for-a-model", "two")
    assert left.status == "awaiting_human"


@scenario(limits=Limits(turn_seconds=1))
async def out_of_time(platform: Platform) -> None:
    hold = Hold()
    platform.script = routed_to("counter", lambda _: text("Too late.").held(hold))
    ended = await platform.send("out-of-time", "take your time")
    assert ended.status == "awaiting_human"
    hold.release()


@scenario()
async def interrupted(platform: Platform) -> None:
    hold = Hold()

    def answer(request: dict[str, Any]) -> ModelReply:
        return _echo(request).held(hold) if last_message(request) == "slow" else _echo(request)

    platform.script = routed_to("counter", answer)
    slow = asyncio.create_task(platform.send("interrupted", "slow"))
    await hold.arrived.wait()
    waiting = asyncio.create_task(platform.send("interrupted", "queued"))
    await platform.send("interrupted", "urgent", on_busy="interrupt")
    assert (await slow).status == "cancelled"
    await waiting
    hold.release()


@scenario()
async def cancelled(platform: Platform) -> None:
    await park(platform, "cancelled")
    await platform.client.cancel_turn("cancelled", 1)
    hold = Hold()
    platform.script = lambda request: (
        route("counter").held(hold) if is_triage(request) else _echo(request)
    )
    running = asyncio.create_task(platform.send("cancelled", "running"))
    await hold.arrived.wait()
    await platform.send("cancelled", "queued", message_id="m3", wait=False)
    await platform.client.cancel_turn("cancelled", 3)
    await platform.client.cancel_turn("cancelled", 2)
    assert (await running).status == "cancelled"
    hold.release()


@scenario()
async def cancelled_between_actions(platform: Platform) -> None:
    """The second of three is left, and the first is undone."""
    name = "cancelled-between-actions"
    cancelling: list[asyncio.Task[int]] = []

    async def cancel() -> None:
        if not cancelling:
            cancelling.append(asyncio.create_task(platform.client.cancel_turn(name, 1)))
            await eventually(lambda: accepted_updates(platform, name, 2), what="the request")

    calls = [adding(amount) for amount in (1, 2, 3)]
    platform.script = routed_to("counter", counting(calls))
    with pausing("after_action_commit", cancel):
        assert (await platform.send(name, "add all of it")).status == "cancelled"
    (asked,) = cancelling
    await asked


@scenario()
async def takeover(platform: Platform) -> None:
    client = platform.client
    hold = Hold()
    platform.script = routed_to("counter", lambda request: _echo(request).held(hold))
    running = asyncio.create_task(platform.send("takeover", "one"))
    await hold.arrived.wait()
    await client.people.take_over("takeover", reviewer="pat")
    assert (await running).status == "awaiting_human"
    hold.release()
    await platform.send("takeover", "two")
    await client.people.reply("takeover", "I am Pat.", reviewer="pat", reply_id="r1")
    await client.people.hand_back("takeover", reviewer="pat", note="The customer is called May.")
    platform.script = routed_to("counter", _echo)
    await platform.send("takeover", "three")


@scenario()
async def approved_during_a_takeover(platform: Platform) -> None:
    name = "approved-during-a-takeover"
    approval = await park(platform, name)
    await platform.client.people.take_over(name, reviewer="pat")
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("r", roles=["counters"]))

    async def executed() -> bool:
        return await platform.effects() == [150]

    await eventually(executed)
    await platform.client.people.hand_back(name, reviewer="pat")
    await said_again(platform, name)


async def decided_while_held(platform: Platform, name: str) -> None:
    """Have pat take the conversation, and then decide what its agent waits for."""
    approval = await park(platform, name)
    await platform.client.people.take_over(name, reviewer="pat")
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("r", roles=["counters"]))

    async def executed() -> bool:
        return (await platform.client.show(name)).actions[-1].state == "executed"

    await eventually(executed)


@scenario()
async def cancelled_during_a_takeover(platform: Platform) -> None:
    name = "cancelled-during-a-takeover"
    await decided_while_held(platform, name)
    await platform.client.cancel_turn(name, 1, reason="solved by phone")


@scenario()
async def closed_during_a_takeover(platform: Platform) -> None:
    name = "closed-during-a-takeover"
    await decided_while_held(platform, name)
    await platform.client.close(name, reason="solved")


@scenario()
async def reopened(platform: Platform) -> None:
    """The third run opens for a message that was answered long before, and ends at once."""
    platform.script = routed_to("counter", _echo)
    for number in (1, 2):
        await platform.send("reopened", "hello", message_id=f"m{number}")
        await platform.client.close("reopened", reason="solved")
    await platform.send("reopened", "hello", message_id="m1")
    await platform.send("reopened", "hello", message_id="m3")


@scenario()
async def closed(platform: Platform) -> None:
    await park(platform, "closed")
    await platform.client.close("closed", reason="solved")


@scenario(limits=Limits(idle_seconds=1))
async def idle(platform: Platform) -> None:
    await platform.send("idle", "hello")

    async def left() -> bool:
        return (await platform.client.show("idle")).status == "closed"

    await eventually(left, what="the farewell")


@scenario(limits=Limits(turns_per_run=2, remembered_messages=4))
async def continued_as_new(platform: Platform) -> None:
    """A parked turn and its reminder cross the seams, and so does a message that comes again."""
    name = "continued-as-new"
    approval = await park(platform, name, counter="seams")
    platform.script = routed_to("counter", _echo)
    for number in range(4):
        await platform.send(name, f"text {number}", message_id=f"m{number}")
    await platform.send(name, "text 2", message_id="m2")
    await platform.send(name, "text 0", message_id="m0")

    async def reminded() -> bool:
        seen = [event.type async for event in platform.client.events(name)]
        return "approval_reminded" in seen

    await eventually(reminded, what="the reminder")
    platform.script = routed_to("counter", counting([adding(150, "seams")], then="Settled."))
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("r", roles=["counters"]))
    await said_again(platform, name)
