"""A message's way through triage, agents, proposals and back, on real servers."""

import asyncio
from typing import Any

import pytest

from holdfast.domain.errors import (
    ConversationBusy,
    MessageConflict,
    MessageTooLong,
    TurnNotFound,
    WrongCustomer,
)
from holdfast.testing import (
    Hold,
    ModelReply,
    is_triage,
    last_message,
    route,
    routed_to,
    text,
    tool_calls,
)
from tests.platform import Platform, counting


async def test_a_message_is_answered_by_the_agent_that_triage_chose(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: text("Counted."))
    answer = await platform.send("c1", "Count, please.")
    assert (answer.status, answer.reply, answer.turn) == ("answered", "Counted.", 1)
    view = await platform.client.show("c1")
    assert [(one.seq, one.role, one.text) for one in view.messages] == [
        (1, "customer", "Count, please."),
        (2, "assistant", "Counted."),
    ]
    assert (view.agent, view.model_calls) == ("counter", 2)
    await platform.replay("c1")


async def test_a_plain_turn_costs_under_20_events_and_4_kb_of_history(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: text("x" * 300))
    await platform.send("c1", "warm up")
    before = (await platform.client.show("c1")).history
    await platform.send("c1", "Where is my parcel? " * 10)
    after = (await platform.client.show("c1")).history
    assert before is not None
    assert after is not None
    assert after.events - before.events < 20
    assert after.bytes - before.bytes < 4096


async def test_a_turn_with_an_action_costs_under_40_events_and_8_kb(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: text("Hello."))
    await platform.send("c1", "warm up")
    before = (await platform.client.show("c1")).history
    platform.script = routed_to("counter", counting([("add", {"counter": "c", "amount": 1})]))
    assert (await platform.send("c1", "add one")).reply == "Done."
    after = (await platform.client.show("c1")).history
    assert await platform.effects() == [1]
    assert before is not None
    assert after is not None
    assert after.events - before.events < 40
    assert after.bytes - before.bytes < 8192


async def test_a_repeated_message_gets_the_first_answer_and_other_text_is_refused(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", lambda request: text(last_message(request) + "!"))
    first, again = await asyncio.gather(
        platform.send("c1", "one", message_id="m1"), platform.send("c1", "one", message_id="m1")
    )
    assert first == again == await platform.send("c1", "one", message_id="m1")
    with pytest.raises(MessageConflict):
        await platform.send("c1", "two", message_id="m1")
    assert len((await platform.client.show("c1")).messages) == 2
    assert platform.model.most_repeated == 1


async def test_another_customer_does_not_get_the_answer_with_the_message_s_id(
    platform: Platform,
) -> None:
    await platform.send("c1", "hello", message_id="m1")
    with pytest.raises(WrongCustomer):
        await platform.send("c1", "hello", message_id="m1", customer="somebody-else")


async def test_a_message_that_may_not_be_sent_leaves_no_trace(platform: Platform) -> None:
    await platform.send("c1", "hello")
    before = (await platform.client.show("c1")).history
    with pytest.raises(WrongCustomer):
        await platform.send("c1", "hello", customer="somebody-else")
    with pytest.raises(MessageTooLong):
        await platform.send("c1", "x" * 20_000)
    assert (await platform.client.show("c1")).history == before


async def test_messages_queue_in_order_and_a_full_queue_refuses(platform: Platform) -> None:
    hold = Hold()
    platform.script = lambda request: (
        route("counter").held(hold) if is_triage(request) else text(last_message(request))
    )
    first = asyncio.create_task(platform.send("c1", "0"))
    await hold.arrived.wait()
    with pytest.raises(ConversationBusy):
        await platform.send("c1", "no time", on_busy="reject")
    for number in range(1, 6):
        await platform.send("c1", str(number), wait=False, message_id=f"m{number}")
    with pytest.raises(ConversationBusy):
        await platform.send("c1", "6")
    hold.release()
    assert (await first).reply == "0"
    answers = [await platform.send("c1", str(n), message_id=f"m{n}") for n in range(1, 6)]
    assert [answer.reply for answer in answers] == ["1", "2", "3", "4", "5"]
    assert [answer.turn for answer in answers] == [2, 3, 4, 5, 6]
    await platform.replay("c1")


async def test_an_interrupting_message_cancels_the_running_turn_and_goes_first(
    platform: Platform,
) -> None:
    hold = Hold()

    def answer(request: dict[str, Any]) -> ModelReply:
        said = last_message(request)
        return text("Too late.").held(hold) if said == "slow" else text(f"Answer to {said}")

    platform.script = routed_to("counter", answer)
    slow = asyncio.create_task(platform.send("c1", "slow"))
    await hold.arrived.wait()
    queued = asyncio.create_task(platform.send("c1", "queued"))
    urgent = await platform.send("c1", "urgent", on_busy="interrupt")
    assert urgent.reply == "Answer to urgent"
    assert (await slow).status == "cancelled"
    assert (await queued).reply == "Answer to queued"
    hold.release()
    said = [message.text for message in (await platform.client.show("c1")).messages]
    assert "Too late." not in said
    assert said.index("urgent") < said.index("queued")
    await platform.replay("c1")


async def test_a_turn_can_be_cancelled_while_it_runs_and_while_it_waits(platform: Platform) -> None:
    hold = Hold()
    platform.script = lambda request: (
        route("counter").held(hold) if is_triage(request) else text("Hi.")
    )
    running = asyncio.create_task(platform.send("c1", "first"))
    await hold.arrived.wait()
    waiting = asyncio.create_task(platform.send("c1", "second", message_id="m2"))
    await platform.send("c1", "second", message_id="m2", wait=False)
    await platform.client.cancel_turn("c1", 2)
    await platform.client.cancel_turn("c1", 1)
    assert (await waiting).status == (await running).status == "cancelled"
    with pytest.raises(TurnNotFound):
        await platform.client.cancel_turn("c1", 2)
    hold.release()
    platform.script = routed_to("counter", lambda _: text("Hi."))
    assert (await platform.send("c1", "third")).reply == "Hi."
    await platform.replay("c1")


async def test_agents_hand_a_turn_over_and_a_loop_of_handoffs_ends_with_a_person(
    platform: Platform,
) -> None:
    calls = {"n": 0}

    def alternate(request: dict[str, Any]) -> ModelReply:
        calls["n"] += 1
        return tool_calls(("hand_over", {"agent": "other" if calls["n"] % 2 else "counter"}))

    platform.script = routed_to("counter", alternate)
    answer = await platform.send("loop", "go")
    assert answer.status == "awaiting_human"
    calls["n"] = 0

    def single(request: dict[str, Any]) -> ModelReply:
        calls["n"] += 1
        return tool_calls(("hand_over", {"agent": "other"})) if calls["n"] == 1 else text("Taken.")

    platform.script = routed_to("counter", single)
    answer = await platform.send("once", "go")
    assert (answer.status, answer.reply) == ("answered", "Taken.")
    assert (await platform.client.show("once")).agent == "other"
    await platform.replay("loop")


async def test_a_broken_subgraph_ends_the_turn_and_not_the_conversation(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: tool_calls(("fail", {})))
    broken = await platform.send("c1", "break")
    assert broken.status == "failed"
    assert broken.reply is not None
    assert "sorry" in broken.reply
    platform.script = routed_to("counter", lambda _: text("Fine."))
    assert (await platform.send("c1", "again")).reply == "Fine."
    await platform.replay("c1")


async def test_triage_asks_back_once_and_then_hands_to_a_person(platform: Platform) -> None:
    platform.script = lambda request: route("counter", confidence=0.4)
    assert (await platform.send("c1", "hm")).status == "answered"
    assert (await platform.send("c1", "hm hm")).status == "awaiting_human"
    await platform.replay("c1")


async def test_a_long_reply_stays_out_of_history_and_still_reaches_the_caller(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", lambda _: text("y" * 10_000))
    assert (await platform.send("c1", "tell me all")).reply == "y" * 10_000
    history = (await platform.client.show("c1")).history
    assert history is not None
    assert history.bytes < 8_000


async def test_older_messages_become_a_summary_that_the_agents_read(platform: Platform) -> None:
    def answer(request: dict[str, Any]) -> ModelReply:
        if "Summarise" in str(request["messages"][0]["content"]):
            return text("The customer is called May.")
        return text("Hello.")

    platform.script = routed_to("general", answer)
    for number in range(27):
        await platform.send("c1", f"message {number}")
    prompts = [str(request["messages"]) for request in platform.model.requests]
    (summary,) = [prompt for prompt in prompts if "Summarise" in prompt]
    assert "message 0" in summary
    assert "What was said before: The customer is called May." in prompts[-1]
    assert "message 0" not in prompts[-1]
