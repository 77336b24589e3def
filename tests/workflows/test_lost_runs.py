"""Runs that are lost in the middle: what the next one makes of their turns, and of a call for a person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast.client.views import SentMessage
from holdfast.domain.errors import WrongCustomer
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
)
from tests.platform import Platform, counting
from tests.workflows.test_endings import add, then


@asynccontextmanager
async def lost(platform: Platform, answer: Any) -> AsyncIterator[None]:
    """Loses the run of the message m1, whose agent waits for the model's last word until the end."""
    hold = Hold()

    def silent_at_last(request: dict[str, Any]) -> ModelReply:
        reply: ModelReply = answer(request)
        return reply if is_triage(request) or "tool_calls" in str(reply) else reply.held(hold)

    platform.script = silent_at_last
    await platform.send("c1", "add one", message_id="m1", wait=False)
    await hold.arrived.wait()
    await platform.handle("c1").terminate("an operator's mistake")
    platform.script = routed_to("counter", lambda request: text(f"So: {last_message(request)}"))
    yield
    hold.release()


async def ends(platform: Platform, turn: int = 1) -> tuple[str, str | None, bool]:
    """How a turn is recorded: status, error, and whether it has ended."""
    row = await platform.database.fetchrow(
        "select status, error, ended_at is not null as ended from holdfast.turns "
        "where tenant = $1 and turn = $2",
        platform.tenant,
        turn,
    )
    assert row is not None
    return row["status"], row["error"], row["ended"]


def names_what_was_done(sent: SentMessage) -> bool:
    assert sent.reply is not None
    done = [(one.name, one.state) for one in sent.actions] == [("add", "executed")]
    return done and "Done:\n- Add to a counter" in sent.reply


async def test_a_later_message_ends_a_lost_turn_by_what_was_done(platform: Platform) -> None:
    async with lost(platform, then(text("Late."))):
        assert (await platform.send("c1", "Hello?", message_id="m2")).status == "awaiting_human"
        again = await platform.send("c1", "add one", message_id="m1")
    assert (again.turn, again.status) == (1, "awaiting_human")
    assert names_what_was_done(again)
    assert await ends(platform) == ("awaiting_human", "its run is over", True)
    view = await platform.client.show("c1")
    assert view.status == "awaiting_human"
    assert again.reply in [one.text for one in view.messages]
    kinds = [(one.type, one.turn) async for one in platform.client.events("c1")]
    assert ("turn_ended", 1) in kinds
    assert await platform.effects() == [1]
    await platform.replay("c1")


async def test_a_lost_turn_is_told_in_the_customer_s_language(platform: Platform) -> None:
    answer = then(text("Zu spät."))

    def in_german(request: dict[str, Any]) -> ModelReply:
        reply: ModelReply = answer(request)
        return route("counter", language="de") if is_triage(request) else reply

    async with lost(platform, in_german):
        await platform.send("c1", "Hallo?", message_id="m2")
        again = await platform.send("c1", "add one", message_id="m1")
    assert again.reply is not None
    assert "Erledigt:\n- Add to a counter" in again.reply


async def test_a_lost_turn_in_which_nothing_was_done_may_be_asked_for_again(
    platform: Platform,
) -> None:
    async with lost(platform, routed_to("counter", lambda _: text("Late."))):
        assert (await platform.send("c1", "Hello?", message_id="m2")).reply == "So: Hello?"
        again = await platform.send("c1", "add one", message_id="m1")
    assert (again.turn, again.status, again.actions) == (1, "failed", ())
    assert again.reply is not None
    assert again.reply.endswith("Please try again.")
    assert (await platform.client.show("c1")).status == "open"


async def test_a_lost_turn_whose_message_comes_first_is_taken_up_again(platform: Platform) -> None:
    async with lost(platform, then(text("Late."))):
        platform.script = then(text("One more."))
        sent = await platform.send("c1", "add one", message_id="m1")
    assert (sent.turn, sent.status, sent.reply) == (1, "answered", "One more.")
    assert await platform.effects() == [1]


async def test_somebody_else_s_message_takes_up_no_lost_turn(platform: Platform) -> None:
    async with lost(platform, then(text("Late."))):
        with pytest.raises(WrongCustomer):
            await platform.send("c1", "add one", message_id="m1", customer="customer-2")
        assert names_what_was_done(await platform.send("c1", "add one", message_id="m1"))


async def test_a_lost_turn_that_was_parked_after_an_effect_calls_a_person(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", counting([add(1)], [add(150)]))
    assert (await platform.send("c1", "add one, and a lot")).status == "awaiting_approval"
    await platform.handle("c1").terminate("an operator's mistake")
    assert (await platform.send("c1", "Hello?")).status == "awaiting_human"
    assert await ends(platform) == ("awaiting_human", "its run is over", True)


async def test_an_effect_that_a_lost_run_has_in_its_transaction_is_waited_for(
    platform: Platform,
) -> None:
    reached, gone_on = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        reached.set()
        await gone_on.wait()

    platform.script = then(text("Late."))
    with pausing("before_action_commit", pause):
        await platform.send("c1", "add one", message_id="m1", wait=False)
        await reached.wait()
        await platform.handle("c1").terminate("an operator's mistake")
        later = asyncio.create_task(platform.send("c1", "Hello?", message_id="m2"))

        async def is_waiting() -> bool:
            waiting: bool = await platform.database.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock' "
                "and query like '%insert into holdfast.conversations%')"
            )
            return waiting

        await eventually(is_waiting, what="the next run to wait")
        gone_on.set()
    assert (await later).status == "awaiting_human"
    assert names_what_was_done(await platform.send("c1", "add one", message_id="m1"))
    assert await platform.effects() == [1]


async def test_a_call_for_a_person_outlives_its_run(platform: Platform) -> None:
    platform.script = then(failure(400))
    assert (await platform.send("c1", "add one")).status == "awaiting_human"
    await platform.handle("c1").terminate("an operator's mistake")
    platform.script = routed_to("counter", lambda _: text("An agent."))
    for words in ("Hello?", "Anybody?"):
        assert (await platform.send("c1", words)).status == "awaiting_human"
    assert (await platform.client.show("c1")).status == "awaiting_human"
    await platform.client.people.take_over("c1", reviewer="rita")
    await platform.client.people.hand_back("c1", reviewer="rita")
    assert (await platform.send("c1", "And now?")).reply == "An agent."
    await platform.replay("c1")


async def test_closing_ends_a_call_for_a_person(platform: Platform) -> None:
    platform.script = then(failure(400))
    assert (await platform.send("c1", "add one")).status == "awaiting_human"
    await platform.client.close("c1")
    platform.script = routed_to("counter", lambda _: text("An agent."))
    assert (await platform.send("c1", "Hello?")).reply == "An agent."
