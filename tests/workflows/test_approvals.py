"""Proposals: allowed, denied, approved, rejected, edited, expired, undone."""

import asyncio
from typing import Any

import pytest

from holdfast.client.views import SentMessage
from holdfast.domain import wire
from holdfast.domain.decision import Decision
from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalNotFound,
    DigestMismatch,
    InvalidEdit,
    InvalidRequest,
    NotAllowed,
)
from holdfast.domain.review import Accept, Edit, Reject, Respond, Reviewer
from holdfast.testing import eventually, routed_to, text
from tests.platform import Platform, counting


def add(amount: int, *, name: str = "add") -> tuple[str, dict[str, Any]]:
    return name, {"counter": "c", "amount": amount}


def results(platform: Platform) -> str:
    """What the agent was told of its proposals, in the latest request to the model."""
    said = platform.model.requests[-1]["messages"]
    return "\n".join(str(one["content"]) for one in said if one["role"] == "tool")


async def park(platform: Platform, conversation: str = "c1", amount: int = 150) -> SentMessage:
    """A conversation whose turn 1 waits for somebody with the role "counters"."""
    platform.script = routed_to("counter", counting([add(amount)], then="It is added."))
    parked = await platform.send(conversation, "add a lot")
    assert parked.status == "awaiting_approval"
    return parked


async def follow_up(platform: Platform, conversation: str, turn: int) -> str:
    """The message with which a parked turn goes on."""

    async def second() -> str | None:
        view = await platform.client.show(conversation)
        said = [one.text for one in view.messages if one.turn == turn and one.role == "assistant"]
        return said[1] if len(said) > 1 else None

    return str(await eventually(second, what="the follow-up"))


async def test_an_approved_action_is_executed_once_and_the_answer_follows(
    platform: Platform,
) -> None:
    parked = await park(platform)
    assert parked.reply is not None
    assert "colleague" in parked.reply
    (waiting,) = await platform.client.approvals.list()
    assert (waiting.id, waiting.roles, waiting.reason) == (
        parked.approvals[0],
        ("counters",),
        "The customer wants it.",
    )
    assert waiting.actions[0].arguments == {"counter": "c", "amount": 150}
    assert waiting.actions[0].facts == {"amount": 150}
    assert (waiting.policy_name, waiting.policy_version, waiting.policy_reason) == (
        "counter",
        3,
        "It is much.",
    )
    assert await platform.effects() == []
    status = await platform.client.approvals.decide(
        waiting.id, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    assert status.state == "accepted"
    assert await follow_up(platform, "c1", 1) == "It is added."
    assert await platform.effects() == [150]
    view = await platform.client.show("c1")
    assert [(one.name, one.state, one.executions) for one in view.actions] == [
        ("add", "executed", 1)
    ]
    assert (view.status, view.pending_approvals) == ("open", ())
    await platform.replay("c1")


async def test_a_conversation_goes_on_while_an_approval_waits(platform: Platform) -> None:
    parked = await park(platform)
    platform.script = routed_to("counter", lambda _: text("Still here."))
    meanwhile = await platform.send("c1", "and the weather?")
    assert (meanwhile.turn, meanwhile.reply) == (2, "Still here.")
    view = await platform.client.show("c1")
    assert view.status == "awaiting_approval"
    assert [waiting.turn for waiting in view.pending_approvals] == [1]
    platform.script = routed_to("counter", counting([add(150)], then="It is added."))
    await platform.client.approvals.decide(
        parked.approvals[0], Accept(), by=Reviewer("r", roles=["counters"])
    )
    assert await follow_up(platform, "c1", 1) == "It is added."
    await platform.replay("c1")


async def test_a_rejection_and_its_reason_reach_the_agent(platform: Platform) -> None:
    parked = await park(platform)
    await platform.client.approvals.decide(
        parked.approvals[0], Reject("Too much for May."), by=Reviewer("rita", roles=["counters"])
    )
    await follow_up(platform, "c1", 1)
    assert "Too much for May." in results(platform)
    assert await platform.effects() == []


async def test_a_response_lets_the_agent_propose_anew(platform: Platform) -> None:
    platform.script = routed_to("counter", counting([add(150)], [add(2)], then="Two it is."))
    parked = await platform.send("c1", "add a lot")
    await platform.client.approvals.decide(
        parked.approvals[0], Respond("Take two."), by=Reviewer("rita", roles=["counters"])
    )
    assert await follow_up(platform, "c1", 1) == "Two it is."
    assert await platform.effects() == [2]


async def test_an_edit_is_checked_like_a_proposal_and_then_executed(platform: Platform) -> None:
    parked = await park(platform)

    async def edit(arguments: dict[str, Any]) -> None:
        await platform.client.approvals.decide(
            parked.approvals[0], Edit([arguments]), by=Reviewer("rita", roles=["counters"])
        )

    for wrong in (
        {"counter": "c", "amount": "lots"},
        {"counter": "c", "amount": 950},
        {"counter": "c", "amount": 7},
    ):
        with pytest.raises(InvalidEdit):
            await edit(wrong)
    await edit({"counter": "c", "amount": 120})
    await follow_up(platform, "c1", 1)
    assert await platform.effects() == [120]
    await platform.replay("c1")


async def test_decisions_that_may_not_be_taken_are_refused_by_type(platform: Platform) -> None:
    parked = await park(platform)
    approval = parked.approvals[0]
    client = platform.client
    with pytest.raises(ApprovalNotFound):
        await client.approvals.decide("ap_unknown", Accept(), by=Reviewer("r", roles=["counters"]))
    with pytest.raises(NotAllowed):
        await client.approvals.decide(approval, Accept(), by=Reviewer("r", roles=["support"]))
    with pytest.raises(DigestMismatch):
        await client.approvals.decide(
            approval, Accept(), by=Reviewer("r", roles=["counters"]), seen="0" * 64
        )
    with pytest.raises(InvalidRequest):
        await client.approvals.decide(approval, Reject(""), by=Reviewer("r", roles=["counters"]))
    await client.approvals.decide(approval, Accept(), by=Reviewer("r", roles=["counters"]))
    with pytest.raises(AlreadyDecided):
        await client.approvals.decide(approval, Reject("no"), by=Reviewer("r", roles=["counters"]))
    await follow_up(platform, "c1", 1)
    assert await platform.effects() == [150]


async def test_two_reviewers_at_once_and_a_signal_have_one_effect(platform: Platform) -> None:
    parked = await park(platform)
    approval = parked.approvals[0]
    (record,) = await platform.client.approvals.list()
    signalled = Decision(
        id="signal-1",
        approval=approval,
        kind="accept",
        reviewer="sid",
        roles=("counters",),
        digest=record.args_digest,
    )
    answers = await asyncio.gather(
        platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("ann", roles=["counters"])
        ),
        platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("bob", roles=["counters"])
        ),
        platform.handle("c1").signal(wire.APPROVAL_DECISION, platform.signed(signalled)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, AlreadyDecided) for answer in answers) >= 1
    await follow_up(platform, "c1", 1)
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_a_refused_signal_becomes_an_event_and_an_audit_entry(platform: Platform) -> None:
    parked = await park(platform)
    forged = Decision(
        id="forged",
        approval=parked.approvals[0],
        kind="accept",
        reviewer="eve",
        roles=("nobody",),
        digest="0" * 64,
    )
    await platform.handle("c1").signal(wire.APPROVAL_DECISION, forged)

    async def refused() -> bool:
        events = [event async for event in platform.client.events("c1")]
        return any(event.type == "decision_refused" for event in events)

    await eventually(refused)
    entry = await platform.database.fetchrow(
        "select * from holdfast.audit where tenant = $1 and kind = 'decision_refused'",
        platform.tenant,
    )
    assert entry is not None
    assert entry["data"]["reviewer"] == "eve"
    assert await platform.effects() == []


async def test_an_approval_that_nobody_decides_expires(platform: Platform) -> None:
    parked = await park(platform, amount=300)
    await follow_up(platform, "c1", 1)
    assert "Nobody decided in time" in results(platform)
    with pytest.raises(Exception, match="expired"):
        await platform.client.approvals.decide(
            parked.approvals[0], Accept(), by=Reviewer("r", roles=["boss"])
        )
    assert await platform.effects() == []
    await platform.replay("c1")


async def test_denied_and_impossible_actions_come_back_as_results(platform: Platform) -> None:
    platform.script = routed_to("counter", counting([add(950)], [add(7)], [add(13)], then="No."))
    answer = await platform.send("c1", "add")
    assert (answer.status, answer.reply) == ("answered", "No.")
    said = results(platform)
    assert "Nobody adds that much." in said
    assert "7 can never be added" in said
    assert "13 is not added here" in said
    view = await platform.client.show("c1")
    assert [action.state for action in view.actions] == ["denied", "refused", "refused"]
    assert await platform.effects() == []


async def test_arguments_that_do_not_fit_are_refused_before_policy_is_asked(
    platform: Platform,
) -> None:
    platform.script = routed_to("counter", counting([("add", {"counter": "c"})], then="Oh."))
    assert (await platform.send("c1", "add")).reply == "Oh."
    assert "Field required" in results(platform)


async def test_when_the_rehearsal_of_a_later_action_is_refused_none_runs(
    platform: Platform,
) -> None:
    proposal = [add(1), add(2, name="add_for_good"), add(13), add(4)]
    platform.script = routed_to("counter", counting(proposal, then="Nothing."))
    assert (await platform.send("c1", "add all")).reply == "Nothing."
    view = await platform.client.show("c1")
    states = [(action.arguments["amount"], action.state) for action in view.actions]
    assert states == [
        (1, "not_attempted"),
        (2, "not_attempted"),
        (13, "refused"),
        (4, "not_attempted"),
    ]
    assert await platform.effects() == []


async def test_a_broken_action_is_tried_a_few_times_and_then_reported(platform: Platform) -> None:
    broken = ("add_for_good", {"counter": "c", "amount": 500})
    platform.script = routed_to("counter", counting([add(3, name="add_for_good"), broken]))
    await platform.send("c1", "add")
    view = await platform.client.show("c1")
    assert [action.state for action in view.actions] == ["not_attempted", "failed"]
    assert "RuntimeError" in results(platform)
    assert await platform.effects() == []


async def test_more_parked_turns_than_allowed_are_refused_to_the_agent(platform: Platform) -> None:
    for number in range(5):
        platform.script = routed_to("counter", counting([add(150 + number)]))
        assert (await platform.send("c1", "add")).status == "awaiting_approval"
    platform.script = routed_to("counter", counting([add(160)], then="Too many wait."))
    assert (await platform.send("c1", "add")).reply == "Too many wait."
    assert len(await platform.client.approvals.list()) == 5


async def test_cancelling_a_parked_turn_withdraws_its_approval(platform: Platform) -> None:
    parked = await park(platform)
    await platform.client.cancel_turn("c1", 1)
    with pytest.raises(AlreadyDecided):
        await platform.client.approvals.decide(
            parked.approvals[0], Accept(), by=Reviewer("r", roles=["counters"])
        )
    assert (await platform.client.show("c1")).status == "open"
    assert await platform.effects() == []
    await platform.replay("c1")
