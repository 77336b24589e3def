"""Approvals that need more than one word: quorum, four eyes, claims, ladders, deadlines, sums."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from holdfast.client.views import SentMessage
from holdfast.domain import wire
from holdfast.domain.approval import ApprovalStatus
from holdfast.domain.conversation import ConversationStart, ConversationState, ParkedTurn
from holdfast.domain.decision import Decision
from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalExpired,
    Claimed,
    InvalidStatement,
    NotAllowed,
    Superseded,
)
from holdfast.domain.identity import ConversationKey
from holdfast.domain.limits import Limits
from holdfast.domain.records import ApprovalRecord
from holdfast.domain.review import Accept, Claim, Comment, Delegate, Edit, Reject, Release, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import sign_decision
from holdfast.testing import eventually, routed_to, text
from tests.platform import Platform, counting, open_platform

Opening = Callable[..., Awaitable[Platform]]


@pytest.fixture
async def under(stack_settings: Settings, tenant: str, tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens a platform under a policy: what it says about adding, and what else stands in the file."""
    async with AsyncExitStack() as stack:

        async def open_(rules: str, more: str = "", **options: Any) -> Platform:
            (tmp_path / f"{tenant}.yaml").write_text(
                f"name: test\nversion: 4\n{more}\nactions:\n  add: {rules}\n  add_for_good: allow\n"
            )
            opening = open_platform(stack_settings, tenant, policy_dir=tmp_path, **options)
            return await stack.enter_async_context(opening)

        yield open_


async def park(
    platform: Platform,
    *amounts: int,
    conversation: str = "c1",
    counter: str = "c",
    customer: str = "customer-1",
) -> str:
    """Have the agent propose to add; the approval that it needs."""
    adding = [("add", {"counter": counter, "amount": amount}) for amount in amounts or (150,)]
    platform.script = routed_to("counter", counting(adding, then="That is settled."))
    parked: SentMessage = await platform.send(conversation, "add it", customer=customer)
    assert parked.status == "awaiting_approval"
    return parked.approvals[0]


async def settled(platform: Platform, conversation: str = "c1", turn: int = 1) -> str:
    """What the agent was told, once the turn has gone on."""

    async def second() -> bool:
        said = await platform.client.messages(conversation)
        return sum(one.turn == turn and one.role == "assistant" for one in said) > 1

    await eventually(second, what="the follow-up")
    told = platform.model.requests[-1]["messages"]
    return "\n".join(str(one["content"]) for one in told if one["role"] == "tool")


async def audited(platform: Platform, *kinds: str) -> list[dict[str, Any]]:
    """The audit entries of these kinds, once each kind is there."""

    async def find() -> list[dict[str, Any]]:
        rows = await platform.database.fetch(
            "select kind, data from holdfast.audit where tenant = $1 order by seq", platform.tenant
        )
        found = [{**row["data"], "kind": row["kind"]} for row in rows if row["kind"] in kinds]
        return found if {one["kind"] for one in found} == set(kinds) else []

    entries: list[dict[str, Any]] = await eventually(find, what=f"audit of {kinds}")
    return entries


async def test_a_quorum_needs_that_many_different_people(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss, lead], quorum: 2}}")
    approval = await park(platform)
    decide = platform.client.approvals.decide
    first = await decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    assert (first.state, [(one.roles, one.quorum) for one in first.waits_for]) == (
        "pending",
        [(("boss", "lead"), 1)],
    )
    with pytest.raises(AlreadyDecided, match="ann has accepted"):
        await decide(approval, Accept(), by=Reviewer("ann", roles=["lead"]))
    assert await platform.effects() == []
    second = await decide(approval, Accept(), by=Reviewer("bob", roles=["lead"]))
    assert second.state == "accepted"
    await settled(platform)
    assert await platform.effects() == [150]
    record = await platform.client.approvals.get(approval)
    assert [(one.kind, one.reviewer) for one in record.decisions] == [
        ("accept", "ann"),
        ("accept", "bob"),
    ]
    await platform.replay("c1")


async def test_one_rejection_ends_a_quorum(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss], quorum: 3}}")
    approval = await park(platform)
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    await platform.client.approvals.decide(
        approval, Reject("No."), by=Reviewer("bob", roles=["boss"])
    )
    assert "No." in await settled(platform)
    assert await platform.effects() == []


async def test_under_four_eyes_neither_the_customer_nor_an_editor_approves_alone(
    under: Opening,
) -> None:
    platform = await under("{approve: {roles: [boss], four_eyes: true}}")
    approval = await park(platform, customer="ann")
    decide = platform.client.approvals.decide
    with pytest.raises(NotAllowed, match="ann asked for this"):
        await decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    edited: dict[str, Any] = {"counter": "c", "amount": 120}
    status = await decide(approval, Edit([edited]), by=Reviewer("bob", roles=["boss"]))
    assert status.state == "pending"
    with pytest.raises(NotAllowed, match="bob asked for this"):
        await decide(approval, Accept(), by=Reviewer("bob", roles=["boss"]))
    await decide(approval, Accept(), by=Reviewer("cid", roles=["boss"]))
    await settled(platform)
    assert await platform.effects() == [120]
    await platform.replay("c1")


async def test_people_of_one_team_count_once(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss], quorum: 2, other_team: true}}")
    approval = await park(platform)
    decide = platform.client.approvals.decide
    await decide(approval, Accept(), by=Reviewer("ann", team="red", roles=["boss"]))
    with pytest.raises(NotAllowed, match="red"):
        await decide(approval, Accept(), by=Reviewer("bob", team="red", roles=["boss"]))
    with pytest.raises(NotAllowed, match="names none"):
        await decide(approval, Accept(), by=Reviewer("cid", roles=["boss"]))
    await decide(approval, Accept(), by=Reviewer("dora", team="blue", roles=["boss"]))
    await settled(platform)


async def test_an_edit_needs_what_its_amount_needs_and_old_digests_are_superseded(
    under: Opening,
) -> None:
    platform = await under("""
    - {when: args.amount > 200, approve: {roles: [boss]}}
    - {approve: {roles: [counters]}}""")
    approval = await park(platform)
    before = await platform.client.approvals.get(approval)
    decide = platform.client.approvals.decide
    more: dict[str, Any] = {"counter": "c", "amount": 250}
    status = await decide(approval, Edit([more]), by=Reviewer("rita", roles=["counters"]))
    assert [one.roles for one in status.waits_for] == [("boss",)]
    with pytest.raises(Superseded, match="edited since"):
        await decide(
            approval, Accept(), by=Reviewer("cleo", roles=["boss"]), seen=before.args_digest
        )
    await decide(approval, Accept(), by=Reviewer("cleo", roles=["boss"]))
    await settled(platform)
    assert await platform.effects() == [250]


async def test_a_claim_keeps_others_off_until_it_ends(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss], claim_for: 1s}}")
    approval = await park(platform)
    decide = platform.client.approvals.decide
    await decide(approval, Claim(), by=Reviewer("ann", roles=["boss"]))
    record = await platform.client.approvals.get(approval)
    assert record.claimed_by == "ann"
    with pytest.raises(Claimed, match="ann is on approval"):
        await decide(approval, Accept(), by=Reviewer("bob", roles=["boss"]))
    await decide(approval, Comment("Ask the customer first?"), by=Reviewer("bob"))

    async def free() -> bool:
        try:
            await decide(approval, Claim(), by=Reviewer("bob", roles=["boss"]))
        except Claimed:
            return False
        return True

    await eventually(free, what="the end of the claim")
    await decide(approval, Release(), by=Reviewer("bob", roles=["boss"]))
    await decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    await settled(platform)
    record = await platform.client.approvals.get(approval)
    assert [one.kind for one in record.decisions if one.refusal is None] == [
        "claim",
        "comment",
        "claim",
        "release",
        "accept",
    ]
    assert record.decisions[1].text == "Ask the customer first?"


async def test_a_delegate_decides_in_the_place_of_the_reviewer(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss]}}")
    approval = await park(platform)
    decide = platform.client.approvals.decide
    with pytest.raises(NotAllowed):
        await decide(approval, Accept(), by=Reviewer("deb", roles=["intern"]))
    await decide(approval, Delegate("deb"), by=Reviewer("ann", roles=["boss"]))
    with pytest.raises(NotAllowed, match="has delegated"):
        await decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    await decide(approval, Accept(), by=Reviewer("deb", roles=["intern"]))
    await settled(platform)
    assert await platform.effects() == [150]


async def test_a_ladder_reminds_and_lets_further_roles_decide(under: Opening) -> None:
    platform = await under(
        "{approve: {roles: [counters], remind_after: 1s, escalate: [{after: 2s, roles: [boss]}]}}"
    )
    approval = await park(platform)
    with pytest.raises(NotAllowed):
        await platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("cleo", roles=["boss"])
        )
    entries = await audited(platform, "approval_reminded", "approval_escalated")
    assert [one["kind"] for one in entries] == ["approval_reminded", "approval_escalated"]
    record = await platform.client.approvals.get(approval)
    assert record.roles == ("boss", "counters")

    async def listed() -> bool:
        query = (
            f"HoldfastTenant = '{platform.tenant}' and HoldfastApprovalRoles = 'boss' "
            f"and HoldfastApprovalDue > '{datetime.now(UTC).isoformat()}'"
        )
        return [one.id async for one in platform.temporal.list_workflows(query)] != []

    await eventually(listed, what="the new role in visibility")
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("cleo", roles=["boss"]))
    await settled(platform)
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_alarms_go_off_over_a_continue_as_new(under: Opening) -> None:
    platform = await under(
        "{approve: {roles: [counters], remind_after: 1s, expire_after: 4s}}",
        limits=Limits(turns_per_run=1),
    )
    approval = await park(platform)
    platform.script = routed_to("counter", lambda _: text("Still here."))
    for _ in range(2):
        assert (await platform.send("c1", "and?")).reply == "Still here."
    await audited(platform, "approval_reminded", "approval_expired")
    assert "Nobody decided in time" in await settled(platform)
    with pytest.raises(ApprovalExpired):
        await platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("ann", roles=["counters"])
        )
    runs = [
        one
        async for one in platform.temporal.list_workflows(
            f"WorkflowId = '{platform.tenant}/c1' and ExecutionStatus = 'ContinuedAsNew'"
        )
    ]
    assert runs
    await platform.replay("c1")


async def test_silence_allows_where_policy_says_so(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss], expire_after: 1s, on_expiry: allow}}")
    await park(platform)
    await settled(platform)
    assert await platform.effects() == [150]


async def test_silence_hands_over_to_a_person_where_policy_says_so(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss], expire_after: 1s, on_expiry: person}}")
    await park(platform)

    async def handed() -> bool:
        return (await platform.client.show("c1")).status == "awaiting_human"

    await eventually(handed, what="the handover")
    assert await platform.effects() == []
    said = [one.text for one in await platform.client.messages("c1") if one.role == "assistant"]
    assert "colleague" in said[-1]
    await platform.replay("c1")


async def test_what_has_changed_since_it_was_asked_for_is_not_done(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss]}}")
    approval = await park(platform, counter="watched")
    await platform.database.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', 5)",
        platform.tenant,
    )
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    told = await settled(platform)
    assert "total was 0 and is now 5" in told
    record = await platform.client.approvals.get(approval)
    assert (record.state, record.actions[0].state) == ("stale", "stale")
    assert record.stale_reason is not None
    assert await platform.effects("watched") == [5]
    await audited(platform, "approval_stale")
    with pytest.raises(AlreadyDecided, match="stale"):
        await platform.client.approvals.decide(
            approval, Accept(), by=Reviewer("bob", roles=["boss"])
        )
    await platform.replay("c1")


async def test_an_action_that_cannot_succeed_any_more_is_stale(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss]}}")
    approval = await park(platform, counter="watched")
    await platform.database.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', -5)",
        platform.tenant,
    )
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    assert "this counter is closed" in await settled(platform)
    assert (await platform.client.approvals.get(approval)).state == "stale"


async def test_parallel_conversations_cannot_slip_under_a_sum_together(under: Opening) -> None:
    platform = await under(
        "[{when: windows.added + double(args.amount) > 100.0, deny: true}, allow]",
        "windows: {added: {amount: args.amount, actions: [add], within: 30d}}\nrepeats: {add: allow}",
    )
    platform.script = routed_to(
        "counter", counting([("add", {"counter": "c", "amount": 40})], then="Done.")
    )
    await asyncio.gather(*(platform.send(f"c{number}", "add") for number in range(6)))
    assert await platform.effects() == [40, 40]
    await platform.send("other", "add", customer="somebody-else")
    assert await platform.effects() == [40, 40, 40]


async def test_conditions_see_the_customer_and_the_conversation(under: Opening) -> None:
    platform = await under("""
    - when: customer.tier == 'gold' && customer.id == 'golda'
      allow: true
    - when: conversation.turns > 1 && conversation.age < duration('1h')
      allow: true
    - deny""")
    adding = routed_to("counter", counting([("add", {"counter": "c", "amount": 1})], then="Done."))
    platform.script = adding
    await platform.send("c1", "add", customer="golda")
    assert await platform.effects() == [1]
    await platform.send("c2", "add", customer="plain")
    assert await platform.effects() == [1]
    await platform.send("c2", "add", customer="plain")
    assert await platform.effects() == [1, 1]


async def test_a_policy_that_changes_counts_for_what_is_proposed_from_then_on(
    under: Opening, tenant: str, tmp_path: Path
) -> None:
    platform = await under("{approve: {roles: [boss]}}", "repeats: {add: allow}")
    approval = await park(platform)
    path = tmp_path / f"{tenant}.yaml"
    path.write_text(path.read_text().replace("version: 4", "version: 5").replace("boss", "chief"))
    number = 1

    async def changed() -> bool:
        nonlocal number
        number += 1
        later = await park(platform, conversation=f"c{number}")
        record = await platform.client.approvals.get(later)
        assert (record.policy_version, record.roles) in ((4, ("boss",)), (5, ("chief",)))
        return record.policy_version == 5

    await eventually(changed, what="the new policy")
    asked = await platform.client.approvals.get(approval)
    assert (asked.policy_version, asked.roles) == (4, ("boss",))


async def test_every_verdict_is_recorded_with_its_rule_and_policy(under: Opening) -> None:
    platform = await under("[{when: args.amount > 900, deny: true}, allow]")
    platform.script = routed_to(
        "counter", counting([("add", {"counter": "c", "amount": 1})], then="Done.")
    )
    await platform.send("c1", "add")
    row = await platform.database.fetchrow(
        "select policy, policy_version, policy_digest, rule, verdict from holdfast.actions"
        " where tenant = $1",
        platform.tenant,
    )
    assert row is not None
    assert tuple(row)[:2] == ("test", 4)
    assert len(row["policy_digest"]) == 64
    assert (row["rule"], row["verdict"]) == ("add[1]", "allow")


async def signalled(platform: Platform, decision: Decision) -> None:
    """Send a decision straight to the workflow."""
    await platform.handle("c1").signal(wire.APPROVAL_DECISION, decision)


def accepting(record: ApprovalRecord, **changes: Any) -> Decision:
    """A decision to accept, unsigned."""
    fields = {
        "id": "d1",
        "approval": record.id,
        "kind": "accept",
        "reviewer": "ann",
        "roles": ("boss",),
        "digest": record.args_digest,
    }
    return Decision.model_validate({**fields, **changes})


async def test_decisions_that_are_not_genuine_change_nothing_but_the_audit(
    under: Opening,
) -> None:
    platform = await under("{approve: {roles: [boss]}}")
    record = await platform.client.approvals.get(await park(platform))
    assert platform.settings.signing_key is not None
    key = SigningKey.read(platform.settings.signing_key)
    forger = SigningKey.generate(key.kid)
    genuine = sign_decision(accepting(record), tenant=platform.tenant, key=key)
    long_ago = datetime.now(UTC) - timedelta(days=2)
    for number, forged in enumerate(
        [
            accepting(record),
            sign_decision(accepting(record), tenant=platform.tenant, key=forger),
            sign_decision(accepting(record), tenant="another", key=key),
            sign_decision(accepting(record), tenant=platform.tenant, key=key, now=long_ago),
            genuine.model_copy(update={"reviewer": "eve"}),
            genuine.model_copy(update={"roles": ("boss", "more")}),
            genuine.model_copy(update={"id": "d2"}),
            sign_decision(
                accepting(record, digest="0" * 64), tenant=platform.tenant, key=key
            ).model_copy(update={"digest": record.args_digest}),
            accepting(record, digest="0" * 64),
            genuine.model_copy(update={"kind": "reject", "text": "No."}),
        ],
        start=1,
    ):
        await signalled(platform, forged)

        async def refused(expected: int = number) -> bool:
            entries = await audited(platform, "decision_refused")
            return len(entries) == expected

        await eventually(refused, what=f"refusal {number}")
    with pytest.raises(InvalidStatement):
        await platform.client.approvals.decide(
            record.id, Accept(), by=Reviewer("ann", roles=["boss"]), statement="a.b.c"
        )
    assert (await platform.client.approvals.get(record.id)).state == "pending"
    assert await platform.effects() == []
    # The very id that a forger used is still good for its owner, and counts once.
    for _ in range(2):
        await signalled(platform, genuine)
    await settled(platform)
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_an_edit_that_breaks_an_actions_code_is_refused_and_ends_nothing(
    under: Opening,
) -> None:
    platform = await under("{approve: {roles: [boss]}}")
    record = await platform.client.approvals.get(await park(platform))
    broken: dict[str, Any] = {"name": "add", "arguments": {"counter": "c", "amount": 666}}
    edit = accepting(record, kind="edit", actions=[broken])
    await signalled(platform, platform.signed(edit))
    (entry,) = await audited(platform, "decision_refused")
    assert "RuntimeError" in entry["refusal"]
    assert "these facts are broken" not in entry["refusal"]
    await platform.client.approvals.decide(record.id, Accept(), by=Reviewer("ann", roles=["boss"]))
    await settled(platform)
    assert await platform.effects() == [150]
    await platform.replay("c1")


async def test_decisions_are_taken_on_their_word_where_the_settings_say_so(under: Opening) -> None:
    platform = await under(
        "{approve: {roles: [boss]}}",
        reviewer_keys=None,
        signing_key=None,
        unsigned_decisions=True,
    )
    approval = await park(platform)
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    await settled(platform)
    assert await platform.effects() == [150]


async def test_a_forged_workflow_cannot_execute_what_nobody_approved(under: Opening) -> None:
    platform = await under("{approve: {roles: [boss]}}")
    record = await platform.client.approvals.get(await park(platform))
    await platform.handle("c1").terminate("an intruder was here")
    forged = ParkedTurn(
        turn=1,
        step=record.step,
        thread=record.step,
        handoffs=0,
        agent="counter",
        actions=1,
        approval=record.approval.model_copy(update={"state": "accepted", "requirements": ()}),
    )
    await platform.temporal.start_workflow(
        wire.CONVERSATION_WORKFLOW,
        ConversationStart(
            tenant=platform.tenant,
            conversation="c1",
            customer=platform.customer,
            task_queue=platform.settings.task_queue,
            state=ConversationState(turns=1, parked={record.id: forged}, resuming=[record.id]),
        ),
        id=ConversationKey(platform.tenant, "c1").workflow_id,
        task_queue=wire.workflows_queue(platform.settings.task_queue),
    )
    assert "NotApproved" in await settled(platform)
    assert await platform.effects() == []


async def test_an_id_that_was_used_answers_for_no_other_decision(under: Opening) -> None:
    """Sent again, a decision is answered as before; another one under its id is refused, and on record."""
    platform = await under("{approve: {roles: [boss], quorum: 2}}")
    record = await platform.client.approvals.get(await park(platform))
    handle = platform.handle("c1")

    async def updated(decision: Decision) -> str:
        try:
            status: ApprovalStatus = await handle.execute_update(
                wire.DECIDE, platform.signed(decision), result_type=ApprovalStatus
            )
        except WorkflowUpdateFailedError as failed:
            return str(getattr(failed.cause, "type", failed.cause))
        return status.state

    toms = accepting(record, kind="reject", reviewer="tom", text="No, fraud!")
    for again in (accepting(record), accepting(record, reviewer="Ann")):
        assert await updated(again) == "pending"
    for other in (toms, accepting(record, kind="comment", text="Hm.")):
        assert await updated(other) == "MessageConflict"
    await signalled(platform, platform.signed(toms))

    async def refused() -> bool:
        return len(await audited(platform, "decision_refused")) == 3

    await eventually(refused, what="the refusal of the signal")
    bobs = accepting(record, id="d2", reviewer="bob")
    assert await updated(bobs) == "accepted"
    await settled(platform)
    assert await updated(bobs) == "accepted"
    assert await updated(toms.model_copy(update={"id": "d2"})) == "MessageConflict"
    entries = await audited(platform, "decision_refused")
    assert {entry["refusal"].partition(":")[0] for entry in entries} == {"MessageConflict"}
    assert await platform.effects() == [150]
    await platform.replay("c1")
