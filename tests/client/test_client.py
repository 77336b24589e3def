"""The client on real servers: what it hides (races, restarts, long texts) and what it must not."""

import asyncio
from functools import partial
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr
from temporalio.client import WorkflowExecutionStatus

from holdfast.client import HoldfastClient
from holdfast.domain.decision import Decision
from holdfast.domain.errors import (
    ConfigurationError,
    ConversationClosed,
    ConversationNotFound,
    InvalidRequest,
    MessageConflict,
    TurnNotFound,
    Unavailable,
    WrongCustomer,
)
from holdfast.domain.review import Accept, Comment, Edit, Reject, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.testing import Hold, eventually, routed_to, text, tool_calls
from tests.platform import Platform, open_platform


def adding(amount: int) -> Any:
    """An agent that wants to add to a counter."""
    add = tool_calls(("add", {"counter": "c", "amount": amount}))
    return routed_to("counter", lambda _: add)


async def test_a_reply_too_long_for_the_history_comes_whole(platform: Platform) -> None:
    said = "long! " * 4_000 + "."
    platform.script = routed_to("general", lambda _: text(said))
    sent = await platform.send("c1", "tell me all", message_id="m1")
    assert sent.reply == said
    assert await platform.send("c1", "tell me all", message_id="m1") == sent


async def test_without_a_worker_a_request_times_out_and_is_answered_when_repeated(
    stack_settings: Settings, tenant: str
) -> None:
    async with open_platform(stack_settings, tenant, in_process=False) as platform:
        with pytest.raises(Unavailable, match="a worker run"):
            await platform.send("c1", "hello", message_id="m1", timeout=0.5)
        with pytest.raises(Unavailable, match="a worker run"):
            await platform.send("c1", "hello", message_id="m1", wait=False, timeout=0.5)
        await platform.start_worker()
        assert (await platform.send("c1", "hello", message_id="m1")).turn == 1
        assert len(await platform.client.messages("c1")) == 2


async def test_a_send_that_is_cancelled_ends_at_once_and_its_message_is_answered(
    platform: Platform,
) -> None:
    hold = Hold()
    platform.script = routed_to("general", lambda _: text("Late.").held(hold))
    sending = asyncio.create_task(platform.send("c1", "hello", message_id="m1"))
    await hold.arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(sending, 5)
    hold.release()
    assert (await platform.send("c1", "hello", message_id="m1")).reply == "Late."


async def test_a_terminated_conversation_refuses_people_and_goes_on_with_a_message(
    platform: Platform,
) -> None:
    await platform.send("c1", "hello")
    await platform.handle("c1").terminate("a test")
    for request in (
        platform.client.people.take_over("c1", reviewer="bob"),
        platform.client.close("c1"),
        platform.client.cancel_turn("c1", 1),
    ):
        with pytest.raises(ConversationClosed, match="no running workflow"):
            await request
    sent = await platform.send("c1", "again")
    assert (sent.turn, sent.status) == (2, "answered")


async def test_a_turn_whose_workflow_is_terminated_is_answered_by_the_next_run(
    platform: Platform,
) -> None:
    hold = Hold()
    platform.script = routed_to("general", lambda _: text("At last.").held(hold))
    sending = asyncio.create_task(platform.send("c1", "hello", message_id="m1"))
    await hold.arrived.wait()
    platform.script = routed_to("general", lambda _: text("At last."))
    await platform.handle("c1").terminate("a test")
    hold.release()
    sent = await sending
    assert (sent.turn, sent.reply) == (1, "At last.")
    assert len(await platform.client.messages("c1")) == 2


async def test_the_running_turn_is_cancelled_by_default(platform: Platform) -> None:
    with pytest.raises(ConversationNotFound):
        await platform.client.cancel_turn("c1")
    hold = Hold()
    platform.script = routed_to("general", lambda _: text("Too late.").held(hold))
    sending = asyncio.create_task(platform.send("c1", "hello"))
    await hold.arrived.wait()
    assert await platform.client.cancel_turn("c1") == 1
    assert (await sending).status == "cancelled"
    hold.release()
    platform.script = adding(100)
    await platform.send("c1", "a hundred")
    with pytest.raises(TurnNotFound, match="waiting for approval: 2"):
        await platform.client.cancel_turn("c1")
    await platform.client.close("c1")
    with pytest.raises(ConversationClosed):
        await platform.client.cancel_turn("c1")


async def test_a_decision_that_comes_as_a_signal_is_seen_by_the_client(platform: Platform) -> None:
    platform.script = adding(100)
    await platform.send("c1", "a hundred")
    (waiting,) = await platform.client.approvals.list(conversation="c1")
    decision = Decision(
        id="d1", approval=waiting.id, kind="reject", reviewer="bob", roles=("counters",),
        digest=waiting.args_digest, text="no",
    )  # fmt: skip
    await platform.handle("c1").signal("approval_decision", platform.signed(decision))

    async def decided() -> bool:
        return (await platform.client.approvals.get(waiting.id)).state == "rejected"

    await eventually(decided)
    repeated = await platform.client.approvals.decide(
        waiting.id, Reject("no"), by=Reviewer("bob", roles=["counters"]), decision_id="d1"
    )
    assert (repeated.state, repeated.decision_id) == ("rejected", "d1")


async def test_a_decision_id_that_was_used_for_another_decision_is_refused(
    platform: Platform,
) -> None:
    platform.script = adding(100)
    (waiting,) = (await platform.send("c1", "a hundred")).approvals
    decide = partial(
        platform.client.approvals.decide,
        waiting,
        by=Reviewer("bob", roles=["counters"]),
        decision_id="d1",
    )
    await decide(Comment("Who is it?"))
    assert (await decide(Comment("Who is it?"))).state == "pending"
    for other in (Comment("It is May."), Accept()):
        with pytest.raises(MessageConflict, match="'d1' was used before"):
            await decide(other)
    with pytest.raises(MessageConflict):
        await decide(Comment("Who is it?"), by=Reviewer("eve", roles=["counters"]))
    decide = partial(decide, decision_id="d2")
    assert (await decide(Edit([{"counter": "c", "amount": 101}]))).state == "accepted"
    assert (await decide(Edit([{"counter": "c", "amount": 101}]))).state == "accepted"
    with pytest.raises(MessageConflict, match="'d2' was used before"):
        await decide(Edit([{"counter": "c", "amount": 102}]))


async def test_a_nul_character_is_refused_wherever_people_write(platform: Platform) -> None:
    platform.script = adding(100)
    (approval,) = (await platform.send("c1", "a hundred")).approvals
    edited: list[dict[str, JsonValue]] = [{"counter": "c\0", "amount": 1}]
    client = platform.client
    for request in (
        platform.send("c1", "a\0b"),
        client.people.reply("c1", "a\0b", reviewer="bob"),
        client.people.hand_back("c1", reviewer="bob", note="\0"),
        client.cancel_turn("c1", 1, reason="\0"),
        client.close("c1", reason="\0"),
        client.close("c1", reason="caf\udce9"),
        client.list_conversations(query="caf\udce9"),
        client.approvals.decide(approval, Reject("\0"), by=Reviewer("bob", roles=["counters"])),
        client.approvals.decide(approval, Edit(edited), by=Reviewer("bob", roles=["counters"])),
    ):
        with pytest.raises(InvalidRequest, match="NUL"):
            await request


async def test_tenants_see_nothing_of_each_other(platform: Platform) -> None:
    await platform.send("c1", "hello")
    other = platform.client.for_tenant(f"{platform.tenant}-2")
    with pytest.raises(ConversationNotFound):
        await other.show("c1")
    with pytest.raises(ConversationNotFound):
        await other.people.take_over("c1", reviewer="bob")
    assert await other.messages("c1") == []
    widened = f"HoldfastStatus = 'none') OR (HoldfastTenant = '{platform.tenant}'"

    async def listed() -> bool:
        return len(await platform.client.list_conversations()) == 1

    await eventually(listed)
    assert await other.list_conversations(query=widened) == []
    with pytest.raises(InvalidRequest):
        platform.client.for_tenant("a/b")


async def test_a_conversation_that_was_reopened_is_listed_once_as_it_is_now(
    platform: Platform,
) -> None:
    await platform.send("c1", "one")
    await platform.client.close("c1")
    await platform.send("c1", "two")

    async def both_runs_are_visible() -> bool:
        query = f"HoldfastTenant = '{platform.tenant}'"
        runs = [run.status async for run in platform.temporal.list_workflows(query)]
        return sorted(runs, key=str) == sorted(
            [WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.RUNNING], key=str
        )

    await eventually(both_runs_are_visible)
    (line,) = await platform.client.list_conversations()
    assert (line.conversation, line.status, line.running) == ("c1", "open", True)
    assert await platform.client.list_conversations(status="closed") == []


async def test_a_fork_goes_on_for_its_customer_only_and_leaves_the_original_alone(
    platform: Platform,
) -> None:
    await platform.send("c1", "one")
    await platform.send("c1", "two")
    await platform.client.fork("c1", turn=1, target="c2")
    with pytest.raises(WrongCustomer):
        await platform.send("c2", "mine now", customer="somebody-else")
    assert (await platform.send("c2", "another two")).turn == 2
    said = [one.text for one in await platform.client.messages("c2") if one.role == "customer"]
    assert said == ["one", "another two"]
    assert len(await platform.client.messages("c1")) == 4


async def test_what_is_read_for_another_customer_is_refused(platform: Platform) -> None:
    await platform.send("c1", "one")
    assert await platform.client.messages("c1", customer=platform.customer)
    assert await platform.client.messages("c2", customer="somebody-else") == []
    with pytest.raises(WrongCustomer):
        await platform.client.messages("c1", customer="somebody-else")
    with pytest.raises(WrongCustomer):
        async for _ in platform.client.events("c1", customer="somebody-else"):
            pass


async def test_a_follower_that_starts_again_misses_no_event(platform: Platform) -> None:
    await platform.send("c1", "one")
    seen: list[int] = []
    async for event in platform.client.events("c1", follow=True):
        seen.append(event.seq)
        if len(seen) == 2:
            break
    await platform.send("c1", "two")
    recorded = [event.seq async for event in platform.client.events("c1")]
    async for event in platform.client.events("c1", after=seen[-1], follow=True):
        seen.append(event.seq)
        if event.seq == recorded[-1]:
            break
    assert seen == recorded == list(range(1, len(recorded) + 1))


async def test_a_temporal_namespace_that_is_not_there_is_named(
    stack_settings: Settings, tenant: str
) -> None:
    elsewhere = stack_settings.model_copy(update={"temporal_namespace": "nowhere"})
    async with open_platform(elsewhere, tenant, in_process=False) as platform:
        with pytest.raises(ConfigurationError, match="nowhere"):
            await platform.send("c1", "hello", timeout=10)


async def test_a_database_that_was_not_migrated_is_told_from_an_unknown_conversation(
    stack_settings: Settings, tenant: str
) -> None:
    assert stack_settings.database_url is not None
    url = stack_settings.database_url.get_secret_value().rpartition("/")[0] + "/template1"
    empty = stack_settings.model_copy(update={"database_url": SecretStr(url)})
    async with HoldfastClient.connect(empty, tenant=tenant) as client:
        with pytest.raises(ConfigurationError, match="--migrate"):
            await client.show("c1")


BAD_IDS: tuple[Any, ...] = ("a/b", "", "x" * 65, "a\0b", "a\n", "\ud800", None, 7, b"c1", ["c1"])


@pytest.mark.parametrize("bad", BAD_IDS, ids=repr)
async def test_reads_refuse_what_can_be_no_id(platform: Platform, bad: Any) -> None:
    client = platform.client
    for read in (
        client.show(bad),
        client.messages(bad),
        anext(client.events(bad)),
        client.approvals.get(bad),
        client.approvals.get(bad, reader="bob"),
        client.fork(bad, turn=1, target="c2"),
        client.fork("c1", turn=1, target=bad),
        client.deliveries.redrive([bad]),
        client.close(bad),
        client.cancel_turn(bad),
        client.approvals.decide(bad, Accept(), by=Reviewer("bob")),
        client.people.take_over(bad, reviewer="bob"),
        *(
            (
                client.approvals.list(conversation=bad),
                client.approvals.list(mine=bad),
                client.approvals.get("ap_1", reader=bad),
            )
            if bad is not None
            else ()
        ),
    ):
        with pytest.raises(InvalidRequest):
            await read


BAD_NUMBERS: tuple[Any, ...] = (-1, 2**63, 10**40, "1", 1.5, None, True)


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=repr)
async def test_reads_refuse_what_can_be_no_number(platform: Platform, bad: Any) -> None:
    client = platform.client
    for read in (
        client.messages("c1", after=bad),
        anext(client.events("c1", after=bad)),
        anext(client.audit.entries(after=bad)),
        client.list_conversations(limit=bad),
        client.deliveries.list(limit=bad),
        client.fork("c1", turn=bad, target="c2"),
    ):
        with pytest.raises(InvalidRequest):
            await read


async def test_reads_refuse_states_that_there_are_not_and_texts_that_postgres_has_not(
    platform: Platform,
) -> None:
    unknown: Any = "waiting"
    for read in (
        platform.client.approvals.list(state=unknown),
        platform.client.approvals.list(roles=["a\0b"]),
        platform.client.deliveries.list(state=unknown),
    ):
        with pytest.raises(InvalidRequest):
            await read
