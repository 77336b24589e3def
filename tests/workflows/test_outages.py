"""Turns while no model can be asked: nobody stands in, the customer is told, and a person comes in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from holdfast.domain.customer_texts import customer_text
from holdfast.domain.events import TurnEnded
from holdfast.domain.limits import Limits
from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.settings import Settings
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
)
from tests.platform import Platform, counting, open_platform

ADD = ("add", {"counter": "c", "amount": 1})
AWAY = failure(503, retry_after=60)
"""A pause that no test outlasts, longer than one that the client itself waits for."""

FAILED = "ACTIVITY_TASK_FAILED"


@asynccontextmanager
async def waiting_platform(
    settings: Settings, tenant: str, *, told_after: float = 600, patience: float = 600, **more: Any
) -> AsyncIterator[Platform]:
    limits = Limits(holding_message_seconds=told_after, model_wait_seconds=patience)
    async with open_platform(settings, tenant, limits=limits, **more) as opened:
        yield opened


async def events_of(platform: Platform, conversation: str, kind: str) -> int:
    """How many events of a kind the workflow's history has."""
    history = await platform.handle(conversation).fetch_history()
    return sum(kind in EventType.Name(event.event_type) for event in history.events)


async def waits(platform: Platform, conversation: str = "c1") -> None:
    """Until the conversation's turn waits for a model."""

    async def waiting() -> bool:
        failed = await events_of(platform, conversation, FAILED)
        started = await events_of(platform, conversation, "TIMER_STARTED")
        return bool(failed) and started > 1  # the other one is for idleness

    await eventually(waiting, what="the wait")


async def said(platform: Platform, conversation: str = "c1") -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in await platform.client.messages(conversation)]


async def test_one_failed_call_is_answered_by_the_model_and_not_by_rules(
    platform: Platform,
) -> None:
    replies = iter([failure(503), route("counter"), failure(429), text("Counted.")])
    platform.script = lambda _: next(replies)
    answer = await platform.send("c1", "Count, please.")
    assert (answer.status, answer.reply, answer.degraded) == ("answered", "Counted.", False)


async def test_without_a_model_the_customer_is_told_once_and_answered_when_there_is_one(
    stack_settings: Settings, tenant: str
) -> None:
    working = False

    def answer(request: dict[str, Any]) -> ModelReply:
        if is_triage(request):
            return route("counter")
        return text(f"You said {last_message(request)}") if working else failure(500)

    async with waiting_platform(stack_settings, tenant, told_after=0.5) as platform:
        platform.script = answer
        sending = asyncio.create_task(platform.send("c1", "count"))

        async def told() -> bool:
            return any(role == "notice" for role, _ in await said(platform))

        await eventually(told, what="the holding message")
        working = True
        answered = await sending
        assert (answered.status, answered.reply) == ("answered", "You said count")
        assert await said(platform) == [
            ("customer", "count"),
            ("notice", customer_text("takes_longer", "en")),
            ("assistant", "You said count"),
        ]
        events = [event async for event in platform.client.events("c1")]
        assert [event.type for event in events].count("turn_delayed") == 1
        # Triage was paid once, and no model has read what the platform said meanwhile.
        assert sum(is_triage(request) for request in platform.model.requests) == 1
        assert "takes longer" not in str(platform.model.requests)
        await platform.replay("c1")


async def test_a_first_message_in_german_is_held_in_german(
    stack_settings: Settings, tenant: str
) -> None:
    async with waiting_platform(stack_settings, tenant, told_after=0.2) as platform:
        platform.script = lambda _: AWAY
        await platform.send("c1", "Wo ist meine Bestellung, bitte?", wait=False)

        async def told() -> bool:
            return ("notice", customer_text("takes_longer", "de")) in await said(platform)

        await eventually(told, what="the holding message")


async def test_a_first_message_in_german_that_no_model_answers_ends_in_german(
    stack_settings: Settings, tenant: str
) -> None:
    async with waiting_platform(stack_settings, tenant, told_after=0.2, patience=1) as platform:
        platform.script = lambda _: failure(500)
        answer = await platform.send("c1", "Wo ist meine Bestellung, bitte?")
        assert answer.status == "awaiting_human"
        assert answer.reply == customer_text("handed_over", "de")


async def test_a_try_that_hangs_does_not_keep_the_customer_in_the_dark(
    stack_settings: Settings, tenant: str
) -> None:
    hold = Hold()
    replies = [failure(500), failure(500), route("counter").held(hold), text("Counted.")]
    remaining = iter(replies)
    async with waiting_platform(stack_settings, tenant, told_after=3) as platform:
        platform.script = lambda _: next(remaining)
        sending = asyncio.create_task(platform.send("c1", "count"))
        await hold.arrived.wait()

        async def told() -> bool:
            return any(role == "notice" for role, _ in await said(platform))

        await eventually(told, what="the holding message")
        hold.release()
        assert (await sending).reply == "Counted."
        await platform.replay("c1")


async def test_a_person_takes_over_what_no_model_answers(
    stack_settings: Settings, tenant: str
) -> None:
    async with waiting_platform(stack_settings, tenant, told_after=0.2, patience=2) as platform:
        platform.script = lambda _: failure(500)
        answer = await platform.send("c1", "count")
        assert answer.status == "awaiting_human"
        assert [role for role, _ in await said(platform)] == ["customer", "notice", "assistant"]
        view = await platform.client.show("c1")
        assert (view.status, view.model_calls) == ("awaiting_human", 0)
        events = [event async for event in platform.client.events("c1")]
        last = events[-1].data
        assert isinstance(last, TurnEnded)
        assert last.reason == "no model answered for 2 s"
        assert await events_of(platform, "c1", FAILED) <= 20
        await platform.replay("c1")
        # A person has it now: the next message asks no model.
        asked = len(platform.model.requests)
        assert (await platform.send("c1", "hello?")).status == "awaiting_human"
        assert len(platform.model.requests) == asked


async def test_an_outage_after_an_approval_leaves_the_effect_and_calls_a_person(
    stack_settings: Settings, tenant: str
) -> None:
    async with waiting_platform(stack_settings, tenant, patience=2) as platform:
        large = ("add", {"counter": "c", "amount": 150})
        platform.script = routed_to("counter", counting([large]))
        parked = await platform.send("c1", "add 150")
        platform.script = lambda _: failure(500)
        approval = parked.approvals[0]
        await platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("ann", roles=["counters"])
        )

        async def handed_over() -> bool:
            return (await platform.client.show("c1")).status == "awaiting_human"

        await eventually(handed_over, what="the handing over")
        assert await platform.effects() == [150]
        await platform.replay("c1")


@pytest.mark.parametrize("way", ["cancel", "take over", "interrupt"])
async def test_a_wait_for_a_model_ends_at_once_when_somebody_wants_that(
    stack_settings: Settings, tenant: str, way: str
) -> None:
    async with waiting_platform(stack_settings, tenant) as platform:
        platform.script = lambda _: AWAY
        await platform.send("c1", "count", message_id="m1", wait=False)
        await waits(platform)
        async with asyncio.timeout(20):
            if way == "cancel":
                await platform.client.cancel_turn("c1", 1)
            elif way == "take over":
                await platform.client.people.take_over("c1", reviewer="ann")
            else:
                await platform.send("c1", "this first", on_busy="interrupt", wait=False)
            ended = await platform.send("c1", "count", message_id="m1")
        assert ended.status == ("awaiting_human" if way == "take over" else "cancelled")
        if way != "interrupt":
            await platform.replay("c1")


async def test_a_rate_limit_of_one_conversation_is_no_other_ones(
    stack_settings: Settings, tenant: str
) -> None:
    def answer(request: dict[str, Any]) -> ModelReply:
        if last_message(request) == "limited":
            return failure(429, retry_after=60)
        return route("counter") if is_triage(request) else text("Counted.")

    async with waiting_platform(stack_settings, tenant) as platform:
        platform.script = answer
        for number in range(4):
            await platform.send(f"limited-{number}", "limited", wait=False)
            await waits(platform, f"limited-{number}")
        other = await platform.send("c1", "count")
        assert (other.reply, other.degraded) == ("Counted.", False)


async def test_a_fallback_talks_and_never_acts(stack_settings: Settings, tenant: str) -> None:
    def answer(request: dict[str, Any]) -> ModelReply:
        # Whatever is asked, triage sends it to the agent that can act.
        return route("counter") if is_triage(request) else failure(500)

    async with waiting_platform(stack_settings, tenant, patience=2, offline="fallback") as platform:
        platform.script = answer
        asked = await platform.send("c1", "Please add the amount 5 to the counter 'c'")
        assert (asked.status, asked.degraded) == ("awaiting_human", False)
        assert await platform.effects() == []
        platform.script = lambda _: failure(500)
        greeted = await platform.send("c2", "Hello!")
        assert (greeted.status, greeted.degraded) == ("answered", True)
        assert greeted.reply is not None
        assert greeted.reply.startswith("Hello!")


async def test_a_notice_is_recorded_once_however_often_it_is_asked_for(
    stack_settings: Settings, tenant: str
) -> None:
    working = False

    def answer(request: dict[str, Any]) -> ModelReply:
        if is_triage(request):
            return route("counter")
        if not working and any(one["role"] == "tool" for one in request["messages"]):
            return failure(500)
        return counting([ADD])(request)  # type: ignore[return-value]

    async with waiting_platform(stack_settings, tenant, told_after=0.1) as platform:
        failing = iter([failure(500), failure(500)])
        platform.script = lambda request: (
            next(failing, None) or answer(request)  # in both steps of the turn, one after the other
        )
        sending = asyncio.create_task(platform.send("c1", "add one"))

        async def acted_and_waits() -> bool:
            return bool(await platform.effects()) and await events_of(platform, "c1", FAILED) > 1

        await eventually(acted_and_waits, what="the second wait")
        working = True
        assert (await sending).status == "answered"
        assert [role for role, _ in await said(platform)].count("notice") == 1
