"""Takeover, closing and reopening, idleness, and the handover from run to run."""

import asyncio
from typing import Any

import pytest
from temporalio.service import RPCError

from holdfast.domain import wire
from holdfast.domain.errors import MessageConflict, NotHeld, WrongCustomer
from holdfast.domain.events import ConversationClosed
from holdfast.domain.limits import Limits
from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.testing import Hold, ModelReply, eventually, last_message, routed_to, text
from tests.platform import Platform, counting, open_platform


def echo(request: dict[str, Any]) -> ModelReply:
    return text(f"You said {last_message(request)}")


async def accepted_updates(platform: Platform, conversation: str, count: int) -> bool:
    """Whether the conversation's latest run has accepted so many updates."""
    try:
        history = await platform.handle(conversation).fetch_history()
    except RPCError:  # it does not run yet
        return False
    return count == sum(
        event.HasField("workflow_execution_update_accepted_event_attributes")
        for event in history.events
    )


async def event_types(platform: Platform, conversation: str) -> list[str]:
    return [event.type async for event in platform.client.events(conversation)]


async def test_agents_keep_quiet_while_a_person_holds_the_conversation(platform: Platform) -> None:
    platform.script = routed_to("counter", echo)
    client = platform.client
    await platform.send("c1", "one")
    await client.people.take_over("c1", reviewer="pat")
    held = await platform.send("c1", "two")
    assert (held.status, held.reply) == ("awaiting_human", None)
    with pytest.raises(NotHeld):
        await client.people.reply("c1", "Hello", reviewer="eve")
    first = await client.people.reply("c1", "I am Pat.", reviewer="pat", reply_id="r1")
    again = await client.people.reply("c1", "I am Pat.", reviewer="pat", reply_id="r1")
    assert first.seq == again.seq
    with pytest.raises(NotHeld):
        await client.people.take_over("c1", reviewer="eve")
    assert (await client.show("c1")).status == "awaiting_human"
    await client.people.hand_back("c1", reviewer="pat", note="The customer is called May.")
    assert (await platform.send("c1", "three")).reply == "You said three"
    said = [(one.role, one.text) for one in (await client.show("c1")).messages]
    assert said[2:5] == [
        ("customer", "two"),
        ("human", "I am Pat."),
        ("note", "The customer is called May."),
    ]
    await platform.replay("c1")


async def test_an_id_that_was_used_for_something_else_loses_nobody_s_request(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", echo)
    people = platform.client.people
    await platform.send("c1", "one")
    await people.take_over("c1", reviewer="pat", request_id="r1")
    with pytest.raises(NotHeld, match="pat holds"):
        await people.take_over("c1", reviewer="eve", request_id="r1")
    await people.reply("c1", "First.", reviewer="pat", reply_id="r1")
    with pytest.raises(MessageConflict, match="'r1' was used before"):
        await people.reply("c1", "Second.", reviewer="pat", reply_id="r1")
    assert (await people.hand_back("c1", reviewer="pat", request_id="r1")).held_by is None
    with pytest.raises(NotHeld, match="nobody holds"):
        await people.hand_back("c1", reviewer="pat", request_id="r1", note="She is called May.")
    said = [one.text for one in (await platform.client.show("c1")).messages]
    assert said[2:] == ["First."]
    await platform.replay("c1")


async def test_taking_over_ends_the_running_turn_without_an_agents_answer(
    platform: Platform,
) -> None:
    hold = Hold()
    platform.script = routed_to("counter", lambda _: text("Too late.").held(hold))
    running = asyncio.create_task(platform.send("c1", "one"))
    await hold.arrived.wait()
    await platform.client.people.take_over("c1", reviewer="pat")
    assert (await running).status == "awaiting_human"
    hold.release()
    await platform.replay("c1")


async def test_an_approved_action_runs_during_a_takeover_and_the_agent_speaks_after_it(
    platform: Platform,
) -> None:
    call = ("add", {"counter": "c", "amount": 150})
    platform.script = routed_to("counter", counting([call], then="It is added."))
    parked = await platform.send("c1", "add")
    await platform.client.people.take_over("c1", reviewer="pat")
    await platform.client.approvals.decide(
        parked.approvals[0], Accept(), by=Reviewer("r", roles=["counters"])
    )

    async def executed() -> bool:
        return await platform.effects() == [150]

    await eventually(executed)
    assert "It is added." not in [m.text for m in (await platform.client.show("c1")).messages]
    await platform.client.people.hand_back("c1", reviewer="pat")

    async def spoken() -> bool:
        return "It is added." in [m.text for m in (await platform.client.show("c1")).messages]

    await eventually(spoken)
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_a_closed_conversation_reopens_with_a_new_message_and_keeps_its_numbers(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", echo)
    await platform.send("c1", "one", message_id="m1")
    closed = await platform.client.close("c1", reason="solved")
    assert closed.status == "closed"
    reopened = await platform.send("c1", "two", message_id="m2")
    assert (reopened.turn, reopened.reply) == (2, "You said two")
    view = await platform.client.show("c1")
    assert (view.status, [m.seq for m in view.messages]) == ("open", [1, 2, 3, 4])
    types = await event_types(platform, "c1")
    assert types.count("conversation_closed") == types.count("conversation_reopened") == 1
    await platform.replay("c1")


async def test_a_repeated_message_after_closing_gets_its_answer_and_reopens_nothing(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", echo)
    first = await platform.send("c1", "one", message_id="m1")
    await platform.client.close("c1")
    assert await platform.send("c1", "one", message_id="m1") == first
    with pytest.raises(MessageConflict):
        await platform.send("c1", "other", message_id="m1")
    with pytest.raises(WrongCustomer):
        await platform.send("c1", "hello", customer="somebody-else")
    assert (await platform.client.show("c1")).status == "closed"
    assert platform.model.most_repeated == 1
    await platform.replay("c1")


async def test_closing_withdraws_what_waits_for_approval(platform: Platform) -> None:
    call = ("add", {"counter": "c", "amount": 150})
    platform.script = routed_to("counter", counting([call]))
    parked = await platform.send("c1", "add")
    await platform.client.close("c1")
    record = await platform.client.approvals.get(parked.approvals[0])
    assert record.state == "withdrawn"
    await platform.replay("c1")


async def test_an_idle_conversation_closes_itself_with_a_farewell(
    stack_settings: Settings, tenant: str
) -> None:
    async with open_platform(stack_settings, tenant, limits=Limits(idle_seconds=1)) as platform:
        await platform.send("c1", "hello")

        async def closed() -> bool:
            return (await platform.client.show("c1")).status == "closed"

        await eventually(closed)
        events = [event async for event in platform.client.events("c1")]
        last = events[-1].data
        assert isinstance(last, ConversationClosed)
        assert "closed since nobody wrote" in str(last.farewell)
        await platform.replay("c1")


async def test_runs_continue_as_new_and_nobody_notices(
    stack_settings: Settings, tenant: str
) -> None:
    limits = Limits(turns_per_run=3, remembered_messages=4)
    async with open_platform(stack_settings, tenant, limits=limits) as platform:
        call = ("add", {"counter": "c", "amount": 150})
        platform.script = routed_to("counter", counting([call], then="It is added."))
        parked = await platform.send("c1", "add")
        platform.script = routed_to("counter", echo)
        first = {}
        for number in range(12):
            id_ = f"m{number}"
            first[id_] = await platform.send("c1", f"text {number}", message_id=id_)
            assert first[id_].reply == f"You said text {number}"
        for id_, answer in first.items():
            again = await platform.send("c1", f"text {id_[1:]}", message_id=id_)
            assert again == answer
        with pytest.raises(MessageConflict):
            await platform.send("c1", "other text", message_id="m11")
        with pytest.raises(MessageConflict):
            await platform.send("c1", "other text", message_id="m0")
        assert platform.model.most_repeated == 1
        platform.script = routed_to("counter", counting([call], then="It is added."))
        await platform.client.approvals.decide(
            parked.approvals[0], Accept(), by=Reviewer("r", roles=["counters"])
        )

        async def added() -> bool:
            return await platform.effects() == [150]

        await eventually(added)
        runs = [
            run
            async for run in platform.temporal.list_workflows(
                f'WorkflowId = "{platform.tenant}/c1"'
            )
        ]
        assert len(runs) >= 4
        await platform.replay("c1")


async def test_messages_at_once_across_a_handover_are_each_answered_once(
    stack_settings: Settings, tenant: str
) -> None:
    limits = Limits(turns_per_run=2, queued_messages=20)
    async with open_platform(stack_settings, tenant, limits=limits) as platform:
        platform.script = routed_to("counter", echo)
        answers = await asyncio.gather(
            *(platform.send("c1", f"t{n}", message_id=f"m{n}") for n in range(9)),
            *(platform.send("c1", f"t{n}", message_id=f"m{n}") for n in range(9)),
        )
        assert [answer.reply for answer in answers[:9]] == [f"You said t{n}" for n in range(9)]
        assert answers[:9] == answers[9:]
        assert sorted(answer.turn or 0 for answer in answers[:9]) == list(range(1, 10))
        await platform.replay("c1")


async def test_a_fork_starts_from_an_earlier_turn_and_goes_its_own_way(platform: Platform) -> None:
    platform.script = routed_to("counter", echo)
    for number in (1, 2, 3):
        await platform.send("c1", f"text {number}")
    await platform.client.fork("c1", turn=2, target="c2")
    assert (await platform.send("c2", "elsewhere")).turn == 3
    forked = await platform.client.show("c2")
    original = await platform.client.show("c1")
    assert [m.text for m in forked.messages[:4]] == [m.text for m in original.messages[:4]]
    assert forked.messages[4].text == "elsewhere"
    assert len(original.messages) == 6


async def test_events_are_numbered_without_gaps_and_resume_anywhere(platform: Platform) -> None:
    platform.script = routed_to("counter", echo)
    await platform.send("c1", "one")
    await platform.send("c1", "two")
    events = [event async for event in platform.client.events("c1")]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    for cut in range(len(events)):
        rest = [event async for event in platform.client.events("c1", after=cut)]
        assert events[:cut] + rest == events


async def test_a_conversation_whose_workflow_was_terminated_goes_on_with_the_next_message(
    platform: Platform,
) -> None:
    call = ("add", {"counter": "c", "amount": 150})
    platform.script = routed_to("counter", counting([call]))
    parked = await platform.send("c1", "add", message_id="m1")
    await platform.handle("c1").terminate("an operator's mistake")
    platform.script = routed_to("counter", echo)
    assert (await platform.send("c1", "two")).turn == 2
    assert (await platform.client.approvals.get(parked.approvals[0])).state == "withdrawn"
    assert (await platform.send("c1", "add", message_id="m1")).turn == 1
    assert (await platform.client.show("c1")).status == "open"


async def test_another_text_that_comes_first_after_reopening_does_not_take_an_old_id(
    platform: Platform,
) -> None:
    hold = Hold()
    platform.script = routed_to("counter", echo)
    await platform.send("c1", "one", message_id="m1")
    await platform.client.close("c1")
    platform.script = routed_to("counter", lambda request: echo(request).held(hold))
    await platform.send("c1", "two", message_id="m2", wait=False)
    await hold.arrived.wait()
    wrong = asyncio.create_task(platform.send("c1", "another", message_id="m1"))
    await eventually(lambda: accepted_updates(platform, "c1", 2))
    right = asyncio.create_task(platform.send("c1", "one", message_id="m1"))
    await asyncio.sleep(0.1)
    hold.release()
    with pytest.raises(MessageConflict):
        await wrong
    assert (await right).reply == "You said one"
    with pytest.raises(MessageConflict):
        await platform.send("c1", "yet another", message_id="m1")
    assert (await platform.send("c1", "one", message_id="m1")).turn == 1
    await platform.replay("c1")


async def test_both_texts_of_an_old_id_that_come_at_once_after_reopening_get_what_is_due_to_them(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", echo)
    await platform.send("c1", "one", message_id="m1")
    await platform.client.close("c1")

    async with platform.database.acquire() as connection, connection.transaction():
        # The run can't open the conversation before all three messages wait for that.
        await connection.execute(
            "select * from holdfast.conversations where tenant = $1 for update", platform.tenant
        )
        two = asyncio.create_task(platform.send("c1", "two", message_id="m2"))
        await eventually(lambda: accepted_updates(platform, "c1", 1))
        wrong = asyncio.create_task(platform.send("c1", "another", message_id="m1"))
        await eventually(lambda: accepted_updates(platform, "c1", 2))
        right = asyncio.create_task(platform.send("c1", "one", message_id="m1"))
        await eventually(lambda: accepted_updates(platform, "c1", 3))

    assert (await two).reply == "You said two"
    with pytest.raises(MessageConflict):
        await wrong
    assert (await right).reply == "You said one"
    await platform.replay("c1")


async def test_an_old_interrupting_message_does_not_end_the_turn_that_runs_after_reopening(
    platform: Platform,
) -> None:
    hold = Hold()
    platform.script = routed_to("counter", echo)
    await platform.send("c1", "one", message_id="m1", on_busy="interrupt")
    await platform.client.close("c1")
    platform.script = routed_to("counter", lambda request: echo(request).held(hold))
    running = asyncio.create_task(platform.send("c1", "two", message_id="m2"))
    await hold.arrived.wait()
    again = await platform.send("c1", "one", message_id="m1", on_busy="interrupt", timeout=20)
    assert (again.turn, again.reply) == (1, "You said one")
    with pytest.raises(MessageConflict):
        await platform.send("c1", "another", message_id="m1", on_busy="interrupt", timeout=20)
    hold.release()
    assert (await running).reply == "You said two"
    await platform.replay("c1")


async def test_an_old_message_gets_its_answer_also_while_a_person_holds_the_conversation(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", echo)
    await platform.send("c1", "one", message_id="m1")
    await platform.client.close("c1")
    await platform.send("c1", "two", message_id="m2")
    await platform.client.people.take_over("c1", reviewer="pat")
    again = await platform.send("c1", "one", message_id="m1", timeout=20)
    assert (again.turn, again.reply) == (1, "You said one")
    with pytest.raises(MessageConflict):
        await platform.send("c1", "another", message_id="m2")
    await platform.replay("c1")


async def test_a_message_that_comes_again_while_its_turn_goes_on_gets_its_first_answer(
    stack_settings: Settings, tenant: str
) -> None:
    limits = Limits(turns_per_run=1)  # the turn is parked by one run, and goes on in the next
    async with open_platform(stack_settings, tenant, limits=limits) as platform:
        call = ("add", {"counter": "c", "amount": 150})
        platform.script = routed_to("counter", counting([call]))
        parked = await platform.send("c1", "add", message_id="m1")
        hold = Hold()
        platform.script = lambda _: text("It is added.").held(hold)
        await platform.client.approvals.decide(
            parked.approvals[0], Accept(), by=Reviewer("r", roles=["counters"])
        )
        await hold.arrived.wait()
        assert await platform.send("c1", "add", message_id="m1", timeout=20) == parked
        hold.release()
        platform.script = routed_to("counter", echo)
        assert (await platform.send("c1", "two")).turn == 2
        await platform.replay("c1")


async def test_a_message_that_a_closing_run_sends_on_reopens_the_conversation(
    stack_settings: Settings, tenant: str
) -> None:
    async with open_platform(stack_settings, tenant, in_process=False) as platform:
        platform.script = routed_to("counter", echo)
        deciding = await platform.start_worker("--role", "workflows")
        sending = asyncio.create_task(platform.send("c1", "one", timeout=30))

        await eventually(lambda: accepted_updates(platform, "c1", 1))
        await platform.handle("c1").signal(wire.CLOSE, "closed at once")
        await platform.start_worker("--role", "subgraphs")
        assert (await sending).reply == "You said one"
        await deciding.stop()
