"""Equal proposals: answered from the earlier one, unless the customer has confirmed that they want it twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from holdfast.client.views import SentMessage
from holdfast.domain.errors import InvalidEdit
from holdfast.domain.review import Accept, Edit, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.store.faults import pausing
from holdfast.testing import ModelReply, eventually, routed_to, text, tool_calls
from tests.activities.test_permission import noting
from tests.activities.test_remote_actions import other_system
from tests.platform import Platform, counting, open_platform

POLICY = """
name: careful
version: 1
actions:
  add:
    - {when: args.amount >= 100, approve: {roles: [counters], expire_after: 48h}}
    - allow
  add_for_good: [{when: args.amount >= 100, approve: {roles: [counters]}}, allow]
  send: allow
repeats:
  add_for_good: {say: deny, within: 2h}
  tally: allow
"""


@pytest.fixture
async def platform(
    stack_settings: Settings, tenant: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    (tmp_path / "default.yaml").write_text(POLICY)
    async with open_platform(stack_settings, tenant, policy_dir=tmp_path) as opened:
        yield opened


def add(amount: int, *, name: str = "add", **more: Any) -> tuple[str, dict[str, Any]]:
    return name, {"counter": "c", "amount": amount, **more}


async def ask(
    platform: Platform, *calls: tuple[str, dict[str, Any]], conversation: str = "c1", **options: Any
) -> SentMessage:
    """A turn whose agent proposes these actions together, and then answers."""
    platform.script = routed_to("counter", counting(list(calls)))
    return await platform.send(conversation, "please", **options)


def told(platform: Platform) -> str:
    """What the agent was told of its latest proposal."""
    said = platform.model.requests[-1]["messages"]
    return str([one["content"] for one in said if one["role"] == "tool"][-1])


async def test_what_waits_for_approval_is_not_asked_for_again(platform: Platform) -> None:
    first = await ask(platform, add(150))
    assert first.status == "awaiting_approval"
    for conversation in ("c1", "another"):
        again = await ask(platform, add(150), conversation=conversation)
        assert (again.status, again.approvals) == ("answered", ())
        assert '"state": "repeated"' in told(platform)
        assert "waits for a person's approval" in told(platform)
    assert [one.id for one in await platform.client.approvals.list()] == list(first.approvals)
    await platform.client.approvals.decide(
        first.approvals[0], Accept(), by=Reviewer("r", roles=["counters"])
    )

    async def executed() -> bool:
        return bool(await platform.effects())

    await eventually(executed, what="the effect")
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_what_a_reviewer_has_edited_is_what_the_customer_asked_for_as_well(
    platform: Platform,
) -> None:
    first = await ask(platform, add(150))
    (approval,) = first.approvals
    edited: list[dict[str, JsonValue]] = [{"counter": "c", "amount": 120}]
    await platform.client.approvals.decide(
        approval, Edit(edited), by=Reviewer("r", roles=["counters"])
    )
    for amount in (150, 120):
        again = await ask(platform, add(amount), conversation=f"c-{amount}")
        assert (again.status, again.approvals) == ("answered", ())
    await eventually(platform.effects, what="the effect")
    again = await ask(platform, add(150), conversation="another")
    assert (again.status, again.approvals) == ("answered", ())
    error = json.loads(told(platform))["error"]
    assert 'A reviewer has changed it, to {"amount":120,"counter":"c"}.' in error
    assert await platform.effects() == [120]


async def test_what_may_yet_be_undone_is_told_as_under_way(platform: Platform) -> None:
    """Between the two actions of a proposal, the second of which is refused."""
    told_meanwhile: list[str] = []

    async def ask_meanwhile() -> None:
        if await platform.effects() and not told_meanwhile:
            told_meanwhile.append("asked")
            await ask(platform, add(1), conversation="another")
            told_meanwhile.append(told(platform))

    async with other_system(409) as system:
        with pausing("after_action_commit", ask_meanwhile):
            await ask(platform, add(1), ("send", {"url": system.url}))
    assert "is being done" in told_meanwhile[1]
    assert '"effect"' not in told_meanwhile[1]
    assert await platform.effects() == []


@pytest.mark.parametrize("conversation", ["c1", "another"])
async def test_what_was_just_done_is_answered_with_its_result(
    platform: Platform, conversation: str
) -> None:
    await ask(platform, add(1))
    await ask(platform, add(1), conversation=conversation)
    assert await platform.effects() == [1]
    assert '"state": "repeated"' in told(platform)
    assert 'result": {"effect":' in told(platform)
    await ask(platform, add(2))
    await ask(platform, add(1), conversation="elsewhere", customer="customer-2")
    assert await platform.effects() == [1, 2, 1]


async def test_numbers_are_compared_and_not_their_spelling(platform: Platform) -> None:
    await ask(platform, add(1))
    await ask(platform, ("add", {"amount": 1.0, "counter": "c"}))
    assert await platform.effects() == [1]


async def test_once_told_a_customer_may_confirm_and_gets_it_twice(platform: Platform) -> None:
    await ask(platform, add(1))
    await ask(platform, add(1, confirmed_again=True))  # nobody has told the customer yet
    assert await platform.effects() == [1]
    await ask(platform, add(1, confirmed_again=True))
    assert await platform.effects() == [1, 1]
    await ask(platform, add(1, confirmed_again=True))  # one confirmation is for one time
    assert await platform.effects() == [1, 1]
    await ask(platform, add(1))
    assert await platform.effects() == [1, 1]


async def test_a_confirmation_counts_for_what_waits_as_well(platform: Platform) -> None:
    await ask(platform, add(150))
    await ask(platform, add(150))
    second = await ask(platform, add(150, confirmed_again=True))
    assert second.status == "awaiting_approval"
    assert len(await platform.client.approvals.list()) == 2


async def test_an_agent_cannot_confirm_within_the_turn_that_was_told(platform: Platform) -> None:
    once = add(1)
    sure = add(1, confirmed_again=True)
    platform.script = routed_to("counter", counting([once], [once], [sure]))
    await platform.send("c1", "please")
    assert await platform.effects() == [1]
    await ask(platform, sure, conversation="another")  # whose customer was told nothing there
    assert await platform.effects() == [1]


async def test_the_same_twice_in_one_proposal_is_not_done(platform: Platform) -> None:
    await ask(platform, add(1), add(1))
    assert await platform.effects() == []
    assert "propose it once" in told(platform)


async def test_a_new_action_beside_a_repeated_one_is_left_to_a_proposal_of_its_own(
    platform: Platform,
) -> None:
    await ask(platform, add(1))
    platform.script = routed_to("counter", counting([add(1), add(2)], [add(2)]))
    await platform.send("c1", "please")
    assert await platform.effects() == [1, 2]


async def test_policy_says_what_may_be_repeated(platform: Platform) -> None:
    for _ in range(3):
        await ask(platform, add(1, name="add_for_good", confirmed_again=True))
    assert await platform.effects() == [1]
    assert "Policy does not let it be done again within 2 hours" in told(platform)
    await platform.database.execute(
        "update holdfast.actions set updated_at = updated_at - interval '3 h' where tenant = $1",
        platform.tenant,
    )
    await ask(platform, add(1, name="add_for_good"))
    assert await platform.effects() == [1, 1]


async def test_a_repetition_is_not_what_was_undone_or_refused(platform: Platform) -> None:
    await ask(platform, add(1), add(13))
    assert await platform.effects() == []
    await ask(platform, add(1))
    assert await platform.effects() == [1]


async def test_two_equal_proposals_at_once_have_one_effect(platform: Platform) -> None:
    """The first that has looked waits until the second waits for it."""
    other_is_there = asyncio.Event()
    arrived = 0

    async def pause() -> None:
        nonlocal arrived
        arrived += 1
        if arrived > 1:
            other_is_there.set()
        await asyncio.wait_for(other_is_there.wait(), 20)

    def answer(request: dict[str, Any]) -> ModelReply:
        done = any(message["role"] == "tool" for message in request["messages"])
        return text("Done.") if done else tool_calls(add(1))

    platform.script = routed_to("counter", answer)
    with pausing("after_repeats", pause), pausing("lock_taken", noting(other_is_there)):
        await asyncio.gather(platform.send("c1", "please"), platform.send("another", "please"))
    assert await platform.effects() == [1]


async def test_a_call_that_nobody_knows_the_end_of_is_not_made_again(platform: Platform) -> None:
    async with other_system(500) as system:
        await ask(platform, ("send", {"url": system.url}))
        made = len(system.keys)
        assert made > 0
        await ask(platform, ("send", {"url": system.url}), conversation="another")
        assert len(system.keys) == made
        assert "nobody knows yet whether it was done" in told(platform)


async def test_an_edit_may_not_make_what_policy_lets_nobody_repeat(platform: Platform) -> None:
    await ask(platform, add(5, name="add_for_good"))
    waiting = await ask(platform, add(150, name="add_for_good"), conversation="c2")

    async def edit(amount: int) -> str:
        status = await platform.client.approvals.decide(
            waiting.approvals[0],
            Edit([{"counter": "c", "amount": amount}]),
            by=Reviewer("ann", roles=["counters"]),
        )
        return status.state

    with pytest.raises(InvalidEdit, match="Policy does not let it be done again within 2 hours"):
        await edit(5)
    assert await edit(6) == "accepted"
