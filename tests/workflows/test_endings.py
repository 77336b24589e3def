"""Turns that end without an agent's last word: what they say, whom they call, what they leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from holdfast.client.views import SentMessage
from holdfast.domain import wire
from holdfast.domain.customer_texts import customer_text
from holdfast.domain.errors import TurnNotFound
from holdfast.domain.limits import Limits
from holdfast.domain.review import Accept, Reject, Respond, Review, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.store.faults import pausing
from holdfast.testing import (
    Hold,
    ModelReply,
    eventually,
    failure,
    is_triage,
    route,
    routed_to,
    text,
    tool_calls,
)
from tests.platform import Platform, counting, open_platform
from tests.workflows.test_lifecycle import accepted_updates


def add(amount: int, *, name: str = "add") -> tuple[str, dict[str, Any]]:
    return name, {"counter": "c", "amount": amount}


def then(*replies: ModelReply) -> Any:
    """An agent that adds 1, and then gets these answers of its model, the last one forever."""

    def answer(request: dict[str, Any]) -> ModelReply:
        said = sum(message["role"] == "tool" for message in request["messages"])
        return tool_calls(add(1)) if said == 0 else replies[min(said, len(replies)) - 1]

    return routed_to("counter", answer)


async def test_a_customer_is_told_how_often_something_was_done(platform: Platform) -> None:
    def answer(request: dict[str, Any]) -> ModelReply:
        said = any(message["role"] == "tool" for message in request["messages"])
        return tool_calls(("fail", {})) if said else tool_calls(add(1), add(2), add(3))

    platform.script = routed_to("counter", answer)
    sent = await platform.send("c1", "Add 1, 2 and 3")
    assert await platform.effects() == [1, 2, 3]
    assert sent.reply is not None
    assert "Done:\n- 3 × Add to a counter\n" in sent.reply


async def assert_a_person_is_called(platform: Platform, sent: SentMessage) -> None:
    """The effect stands, callers and customer are told so, agents keep quiet, and when they are asked
    again they know what was done."""
    assert sent.status == "awaiting_human"
    assert [(one.name, one.state) for one in sent.actions][:1] == [("add", "executed")]
    assert sent.reply is not None
    assert "Done:\n- Add to a counter" in sent.reply
    assert "try again" not in sent.reply
    view = await platform.client.show(sent.conversation)
    assert view.status == "awaiting_human"
    assert view.messages[-1].text == sent.reply
    calls = len(platform.model.requests)
    assert (await platform.send(sent.conversation, "And now?")).status == "awaiting_human"
    assert len(platform.model.requests) == calls
    assert await platform.effects() == [1]
    await platform.client.people.take_over(sent.conversation, reviewer="rita")
    await platform.client.people.hand_back(sent.conversation, reviewer="rita")
    platform.script = routed_to("general", lambda _: text("Yes, it is done."))
    assert (await platform.send(sent.conversation, "Is it done?")).reply == "Yes, it is done."
    for request in platform.model.requests[-2:]:
        assert 'Add to a counter (add {"amount": 1, "counter": "c"}, in turn 1' in known(request)
    await platform.replay(sent.conversation)


def known(request: dict[str, Any]) -> str:
    """What the model was told before the dialogue."""
    said = [one["content"] for one in request["messages"] if one["role"] == "system"]
    return "\n".join(said)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(failure(400), id="a provider's 400"),
        pytest.param(tool_calls(("add", "no JSON")), id="an unusable answer"),
        pytest.param(tool_calls(("fail", {})), id="a node that raises"),
        pytest.param(tool_calls(("route", {})), id="a broken contract"),
    ],
)
async def test_a_failure_after_an_effect_says_what_was_done_and_calls_a_person(
    platform: Platform, reply: ModelReply
) -> None:
    platform.script = then(reply)
    await assert_a_person_is_called(platform, await platform.send("c1", "add one"))


async def test_the_step_limit_after_an_effect_says_what_was_done(
    stack_settings: Settings, tenant: str
) -> None:
    async with open_platform(stack_settings, tenant, limits=Limits(steps_per_turn=3)) as platform:
        platform.script = then(tool_calls(add(13)))
        sent = await platform.send("c1", "add one")
        assert sent.reply is not None
        assert "handing you over" in sent.reply
        await assert_a_person_is_called(platform, sent)


async def test_a_failure_before_any_effect_may_be_tried_again(platform: Platform) -> None:
    platform.script = routed_to("counter", lambda _: tool_calls(("fail", {})))
    sent = await platform.send("c1", "break")
    assert (sent.status, sent.actions) == ("failed", ())
    assert sent.reply is not None
    assert sent.reply.endswith("Please try again.")


async def test_a_failure_while_an_approval_waits_says_what_waits(platform: Platform) -> None:
    platform.script = routed_to("counter", counting([add(150)]))
    await platform.send("c1", "add a lot")
    platform.script = routed_to("counter", lambda _: tool_calls(("fail", {})))
    sent = await platform.send("c1", "break")
    assert sent.status == "failed"
    assert sent.reply is not None
    assert "need not ask for it again:\n- Add to a counter" in sent.reply
    assert "try again" not in sent.reply


async def test_the_next_agents_know_what_waits_for_approval(platform: Platform) -> None:
    platform.script = routed_to("counter", counting([add(150)]))
    await platform.send("c1", "add a lot")
    platform.script = routed_to("general", lambda _: text("It waits."))
    for conversation in ("c1", "another"):
        await platform.send(conversation, "what about it?")
        assert 'Add to a counter (add {"amount": 150' in known(platform.model.requests[-1])
    await platform.send("somebody", "what about it?", customer="customer-2")
    assert "150" not in known(platform.model.requests[-1])


async def cancelled_after_an_effect(platform: Platform) -> tuple[Hold, "asyncio.Task[SentMessage]"]:
    """A turn that has added 1, and whose model is being waited for."""
    hold = Hold()
    platform.script = then(text("Too late.").held(hold))
    running = asyncio.create_task(platform.send("c1", "add one"))
    await hold.arrived.wait()
    return hold, running


async def test_a_turn_cancelled_after_an_effect_says_what_was_done(platform: Platform) -> None:
    hold, running = await cancelled_after_an_effect(platform)
    await platform.client.cancel_turn("c1", 1)
    await assert_a_person_is_called(platform, await running)
    hold.release()


async def test_a_turn_interrupted_after_an_effect_leaves_the_agents_in_charge(
    platform: Platform,
) -> None:
    hold, running = await cancelled_after_an_effect(platform)
    platform.script = routed_to("general", lambda _: text("Yes?"))
    urgent = await platform.send("c1", "wait!", on_busy="interrupt")
    interrupted = await running
    assert (urgent.status, urgent.reply) == ("answered", "Yes?")
    assert interrupted.status == "cancelled"
    assert interrupted.reply is not None
    assert "Done:\n- Add to a counter" in interrupted.reply
    hold.release()
    await platform.replay("c1")


async def test_a_takeover_after_an_effect_says_what_was_done(platform: Platform) -> None:
    hold, running = await cancelled_after_an_effect(platform)
    await platform.client.people.take_over("c1", reviewer="rita")
    sent = await running
    assert sent.reply is not None
    assert sent.reply.startswith("A colleague has taken over")
    await assert_a_person_is_called(platform, sent)
    hold.release()


async def last_word(platform: Platform, conversation: str) -> str:
    return (await platform.client.show(conversation)).messages[-1].text


async def test_a_parked_turn_that_is_cancelled_after_an_effect_calls_a_person(
    platform: Platform,
) -> None:
    platform.script = then(tool_calls(add(150)))
    parked = await platform.send("c1", "add one, and a lot")
    assert parked.status == "awaiting_approval"
    await platform.client.cancel_turn("c1", 1)
    view = await platform.client.show("c1")
    assert view.status == "awaiting_human"
    assert "Done:\n- Add to a counter" in view.messages[-1].text
    assert (await platform.send("c1", "And now?")).status == "awaiting_human"
    await platform.replay("c1")


async def parked_while_held(platform: Platform) -> str:
    """The approval that a turn waits for while pat has the conversation."""
    platform.script = routed_to("counter", counting([add(150)], then="It is added."))
    parked = await platform.send("c1", "add a lot", message_id="m1")
    await platform.client.people.take_over("c1", reviewer="pat")
    (approval,) = parked.approvals
    return approval


async def decided_while_held(platform: Platform, review: Review) -> str:
    """A turn whose approval is decided while pat has the conversation, so that it is held back."""
    approval = await parked_while_held(platform)
    await platform.client.approvals.decide(approval, review, by=Reviewer("rob", roles=["counters"]))

    async def done() -> bool:
        (action,) = (await platform.client.show("c1")).actions
        return action.state != "proposed"

    await eventually(done, what="the end of the action")
    return approval


@asynccontextmanager
async def cancelling_at_the_first_action(
    platform: Platform, *, updates: int
) -> AsyncIterator[None]:
    """The first turn is cancelled when it has executed an action, by the update of this number."""
    cancelling: list[asyncio.Task[int]] = []

    async def cancel() -> None:
        if not cancelling:
            cancelling.append(asyncio.create_task(platform.client.cancel_turn("c1", 1)))
            await eventually(lambda: accepted_updates(platform, "c1", updates), what="the request")

    with pausing("after_action_commit", cancel):
        yield
    (asked,) = cancelling
    assert await asked == 1


async def turn_ended(platform: Platform) -> tuple[str, bool]:
    (row,) = await platform.database.fetch(
        "select status, ended_at is not null as ended from holdfast.turns "
        "where tenant = $1 and conversation = 'c1' and turn = 1",
        platform.tenant,
    )
    return row["status"], row["ended"]


@pytest.mark.parametrize(
    ("review", "told", "effects"),
    [
        (Accept(), "Done:\n- Add to a counter", [150]),
        (Reject("No."), "Not done:\n- Add to a counter", []),
        (Respond("No."), "Not done:\n- Add to a counter", []),
    ],
)
async def test_closing_ends_a_decided_turn_that_a_person_s_takeover_held_back(
    platform: Platform, review: Review, told: str, effects: list[int]
) -> None:
    await decided_while_held(platform, review)
    await platform.client.close("c1")
    view = await platform.client.show("c1")
    assert view.status == "closed"
    assert told in view.messages[-1].text
    assert await turn_ended(platform) == ("cancelled", True)
    await platform.replay("c1")
    platform.script = routed_to("counter", lambda _: text("Hello again."))
    assert (await platform.send("c1", "what happened?")).reply == "Hello again."
    assert await platform.effects() == effects
    await platform.replay("c1")


async def test_a_turn_is_cancelled_that_is_held_back_meanwhile(platform: Platform) -> None:
    approval = await parked_while_held(platform)
    cancelling: list[asyncio.Task[int]] = []

    async def cancel() -> None:
        if not cancelling:
            cancelling.append(asyncio.create_task(platform.client.cancel_turn("c1", 1)))
            await eventually(lambda: accepted_updates(platform, "c1", 4), what="the request")

    with pausing("after_action_commit", cancel):
        await platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("rob", roles=["counters"])
        )

        async def asked() -> bool:
            return bool(cancelling)

        await eventually(asked, what="the request")
        assert await cancelling[0] == 1
    assert await turn_ended(platform) == ("cancelled", True)
    assert "Done:\n- Add to a counter" in await last_word(platform, "c1")
    await platform.replay("c1")


@pytest.mark.parametrize(
    ("first", "states", "effects", "status"),
    [
        (add(1), ["compensated", "not_attempted", "not_attempted"], [], "cancelled"),
        (
            add(1, name="add_for_good"),
            ["executed", "not_attempted", "not_attempted"],
            [1],
            "awaiting_human",
        ),
    ],
    ids=["undone", "stands"],
)
async def test_a_turn_cancelled_between_its_actions_leaves_those_that_nobody_has_begun(
    platform: Platform,
    first: tuple[str, dict[str, Any]],
    states: list[str],
    effects: list[int],
    status: str,
) -> None:
    platform.script = routed_to("counter", counting([first, add(2), add(3)]))
    async with cancelling_at_the_first_action(platform, updates=2):
        sent = await platform.send("c1", "add all of it")
    assert sent.status == status
    assert [one.state for one in sent.actions] == states
    assert await platform.effects() == effects
    assert sent.reply is not None
    undone = 3 - len(effects)
    assert f"Not done:\n- {undone} × Add to a counter" in sent.reply
    assert ("Done" in sent.reply) == bool(effects)
    await platform.replay("c1")


async def test_an_approved_turn_cancelled_between_its_actions_leaves_the_rest(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", counting([add(150), add(2)]))
    (approval,) = (await platform.send("c1", "add both")).approvals
    async with cancelling_at_the_first_action(platform, updates=3):
        await platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("rob", roles=["counters"])
        )

        async def ended() -> bool:
            return (await turn_ended(platform))[1]

        await eventually(ended, what="the end of the turn")
    view = await platform.client.show("c1")
    assert [one.state for one in view.actions] == ["compensated", "not_attempted"]
    assert await platform.effects() == []
    await platform.replay("c1")


async def test_a_turn_is_cancelled_that_is_decided_meanwhile(platform: Platform) -> None:
    approval = await parked_while_held(platform)
    async with platform.database.acquire() as connection, connection.transaction():
        await connection.execute(
            "select from holdfast.approvals where tenant = $1 and id = $2 for update",
            platform.tenant,
            approval,
        )
        deciding = asyncio.create_task(
            platform.client.approvals.decide(
                approval, Accept(), by=Reviewer("rob", roles=["counters"])
            )
        )
        await eventually(lambda: accepted_updates(platform, "c1", 3), what="the decision")
        cancelling = asyncio.create_task(platform.client.cancel_turn("c1", 1))
        await eventually(lambda: accepted_updates(platform, "c1", 4), what="the request")
    assert (await deciding).state == "accepted"
    assert await cancelling == 1
    assert await turn_ended(platform) == ("cancelled", True)
    await platform.replay("c1")


async def test_a_held_back_turn_is_cancelled_while_a_person_has_the_conversation(
    platform: Platform,
) -> None:
    await decided_while_held(platform, Accept())
    assert await platform.client.cancel_turn("c1", 1, reason="solved by phone") == 1
    assert await turn_ended(platform) == ("cancelled", True)
    assert "Done:\n- Add to a counter" in await last_word(platform, "c1")
    with pytest.raises(TurnNotFound):
        await platform.client.cancel_turn("c1", 1)
    await platform.client.people.hand_back("c1", reviewer="pat")
    platform.script = routed_to("counter", lambda _: text("Hello again."))
    assert (await platform.send("c1", "what happened?")).reply == "Hello again."
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_closing_ends_a_held_back_turn_of_an_earlier_run(
    stack_settings: Settings, tenant: str
) -> None:
    limits = Limits(turns_per_run=1)
    async with open_platform(stack_settings, tenant, limits=limits) as platform:
        await decided_while_held(platform, Accept())
        for number in range(3):  # each in a run of its own
            sent = await platform.send("c1", f"and {number}?")
            assert sent.status == "awaiting_human"
        assert await turn_ended(platform) == ("awaiting_approval", False)
        await platform.client.close("c1")
        assert await turn_ended(platform) == ("cancelled", True)
        assert "Done:\n- Add to a counter" in await last_word(platform, "c1")
        assert await platform.effects() == [150]
        await platform.replay("c1")


async def test_closing_ends_a_turn_that_asks_again_while_it_closes(platform: Platform) -> None:
    def answer(request: dict[str, Any]) -> ModelReply:
        said = sum(message["role"] == "tool" for message in request["messages"])
        return tool_calls(add(150 + said))

    platform.script = routed_to("counter", answer)
    parked = await platform.send("c1", "add a lot, twice")
    (approval,) = parked.approvals
    async with platform.database.acquire() as connection, connection.transaction():
        await connection.execute(
            "select from holdfast.approvals where tenant = $1 and id = $2 for update",
            platform.tenant,
            approval,
        )
        deciding = asyncio.create_task(
            platform.client.approvals.decide(
                approval, Accept(), by=Reviewer("rob", roles=["counters"])
            )
        )

        async def is_being_recorded() -> bool:
            history = await platform.handle("c1").fetch_history()
            names = [
                event.activity_task_scheduled_event_attributes.activity_type.name
                for event in history.events
            ]
            return wire.DECIDE_APPROVAL in names

        await eventually(is_being_recorded, what="the decision")
        await platform.handle("c1").signal(wire.CLOSE, "closed on request")
    assert (await deciding).state == "accepted"
    await platform.client.close("c1")
    assert await turn_ended(platform) == ("cancelled", True)
    approvals = await platform.client.approvals.list(state=None)
    assert sorted(one.state for one in approvals) == ["accepted", "withdrawn"]
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_a_held_back_turn_whose_run_was_terminated_ends_when_the_conversation_goes_on(
    platform: Platform,
) -> None:
    await decided_while_held(platform, Accept())
    await platform.handle("c1").terminate("an operator's mistake")
    assert (await platform.send("c1", "Are you there?")).status == "awaiting_human"
    assert await turn_ended(platform) == ("cancelled", True)
    audited = [entry async for entry in platform.client.audit.entries()]
    (cancelled,) = [one for one in audited if one.kind == "turn_cancelled"]
    assert cancelled.data == {"turn": 1, "reason": "its run is over"}
    said = [one.text for one in (await platform.client.show("c1")).messages]
    assert sum("Done:\n- Add to a counter" in text for text in said) == 1
    assert await platform.effects() == [150]


async def test_an_approval_that_expires_after_an_effect_says_what_was_done(
    platform: Platform,
) -> None:
    def answer(request: dict[str, Any]) -> ModelReply:
        said = sum(message["role"] == "tool" for message in request["messages"])
        return (tool_calls(add(1)), tool_calls(add(250)), tool_calls(("fail", {})))[said]

    platform.script = routed_to("counter", answer)
    parked = await platform.send("c1", "add one, and a lot")
    assert parked.status == "awaiting_approval"

    async def ended() -> bool:
        return (await platform.client.show("c1")).status == "awaiting_human"

    await eventually(ended, what="the person's call")
    assert "Done:\n- Add to a counter" in await last_word(platform, "c1")
    await platform.replay("c1")


async def test_a_cancelled_turn_leaves_no_action_open(platform: Platform) -> None:
    hold = Hold()
    platform.script = lambda request: (
        route("counter") if is_triage(request) else tool_calls(add(1)).held(hold)
    )
    running = asyncio.create_task(platform.send("c1", "add one"))
    await hold.arrived.wait()
    cancelling = asyncio.create_task(platform.client.cancel_turn("c1", 1))
    hold.release()
    await cancelling
    assert (await running).status in ("cancelled", "awaiting_human")
    view = await platform.client.show("c1")
    assert "proposed" not in [action.state for action in view.actions]


async def test_a_german_customer_reads_german(platform: Platform) -> None:
    answer = then(tool_calls(("fail", {})))
    platform.script = lambda request: (
        route("counter", language="de") if is_triage(request) else answer(request)
    )
    sent = await platform.send("c1", "Bitte eins addieren")
    assert sent.status == "awaiting_human"
    assert sent.reply is not None
    assert sent.reply.startswith("Es tut mir leid")
    assert "Erledigt:\n- Add to a counter" in sent.reply


async def attempts(platform: Platform, conversation: str) -> list[int]:
    """The attempts at each activity that has ended, in order."""
    history = await platform.handle(conversation).fetch_history()
    started = [event.activity_task_started_event_attributes.attempt for event in history.events]
    return [attempt for attempt in started if attempt]


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(failure(400), id="a provider's 400"),
        pytest.param(tool_calls(("route", {})), id="a broken contract"),
    ],
)
async def test_what_would_fail_again_is_tried_once_and_goes_to_a_person(
    platform: Platform, reply: ModelReply
) -> None:
    platform.script = routed_to("counter", lambda _: reply)
    sent = await platform.send("c1", "break")
    assert (sent.status, sent.actions) == ("awaiting_human", ())
    assert sent.reply is not None
    assert "handing you over" in sent.reply
    assert max(await attempts(platform, "c1")) == 1
    await platform.client.people.take_over("c1", reviewer="rita")
    await platform.client.people.hand_back("c1", reviewer="rita")
    platform.script = routed_to("counter", lambda _: text("Fine."))
    assert (await platform.send("c1", "again")).reply == "Fine."
    await platform.replay("c1")


async def test_what_was_refused_once_does_not_make_later_turns_fail(platform: Platform) -> None:
    def answer(request: dict[str, Any]) -> ModelReply:
        if "the unspeakable" in str(request["messages"]):
            return failure(400)
        return route("general") if is_triage(request) else text("Gladly.")

    platform.script = answer
    assert (await platform.send("c1", "Hello.")).reply == "Gladly."
    assert (await platform.send("c1", "Say the unspeakable.")).status == "awaiting_human"
    await platform.client.people.take_over("c1", reviewer="rita")
    await platform.client.people.hand_back("c1", reviewer="rita")
    sent = await platform.send("c1", "And the weather?")
    assert (sent.status, sent.reply) == ("answered", "Gladly.")
    await platform.replay("c1")


async def test_an_agent_that_hands_over_after_an_effect_says_what_was_done(
    platform: Platform,
) -> None:
    platform.script = then(tool_calls(("escalate", {})))
    sent = await platform.send("c1", "add one")
    assert sent.reply is not None
    assert sent.reply.startswith("I am handing you over")
    await assert_a_person_is_called(platform, sent)


async def test_a_german_customer_reads_german_wherever_the_platform_speaks(
    platform: Platform,
) -> None:
    answers = {
        "escalate": (tool_calls(("escalate", {})), "Ich übergebe"),
        "wait": (tool_calls(add(150)), "Ich habe eine Kollegin"),
    }
    for conversation, (reply, words) in answers.items():
        platform.script = lambda request, reply=reply: (  # type: ignore[misc]
            route("counter", language="de") if is_triage(request) else reply
        )
        sent = await platform.send(conversation, "Bitte")
        assert sent.reply is not None
        assert sent.reply.startswith(words)
    platform.script = lambda _: route("counter", confidence=0.2, language="de")
    sent = await platform.send("unclear", "Hm")
    assert sent.reply is not None
    assert sent.reply.startswith("Ich bin nicht sicher")
    sent = await platform.send("unclear", "Hm hm")
    assert sent.reply is not None
    assert sent.reply.startswith("Ich bin noch nicht sicher")


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("Ich möchte bitte mit einem Menschen sprechen", "de"),
        ("I want to talk to a person", "en"),
    ],
)
async def test_who_asks_for_a_person_at_once_is_told_in_their_language(
    platform: Platform, said: str, language: str
) -> None:
    platform.script = lambda _: route("person")
    assert (await platform.send("c1", said)).reply == customer_text("handed_over", language)
