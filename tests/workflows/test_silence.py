"""Silence allows an action only where somebody could have broken it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from holdfast.domain import wire
from holdfast.domain.activity_protocol import ActionRequest, AlarmRequest
from holdfast.domain.approval import ApprovalState, ApprovalStatus
from holdfast.domain.decision import Decision
from holdfast.domain.errors import ConversationClosed, Refused
from holdfast.domain.identity import ConversationKey
from holdfast.domain.notifications import DeliveryState
from holdfast.domain.records import ApprovalRecord
from holdfast.domain.review import Claim, Comment, Delegate, Edit, Reject, Release, Review, Reviewer
from holdfast.domain.terms import Alarm
from holdfast.runtime.settings import Settings
from holdfast.security.bounds import KeyBounds
from holdfast.store.handed_in import note_handed_in
from holdfast.testing import eventually, routed_to
from tests.platform import Platform, counting, open_platform
from tests.workflows.forging import forging

Opening = Callable[..., Awaitable[Platform]]

_ALLOWS = "{approve: {roles: [boss], expire_after: 2s, on_expiry: allow}}"


@pytest.fixture
async def waiting(stack_settings: Settings, tenant: str, tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens a platform where silence allows, or other rules hold, and has an approval wait there, for two
    seconds."""
    async with AsyncExitStack() as stack:

        async def open_(rules: str = _ALLOWS, **options: Any) -> Platform:
            (tmp_path / f"{tenant}.yaml").write_text(
                f"name: test\nversion: 1\nactions:\n  add: {rules}\n"
            )
            opening = open_platform(stack_settings, tenant, policy_dir=tmp_path, **options)
            platform = await stack.enter_async_context(opening)
            adding = [("add", {"counter": "c", "amount": 1})]
            platform.script = routed_to("counter", counting(adding, then="That is settled."))
            assert (await platform.send("c1", "add")).status == "awaiting_approval"
            return platform

        yield open_


async def ends_as(platform: Platform, state: ApprovalState) -> None:
    async def ended() -> bool:
        (approval,) = await platform.client.approvals.list(state=None)
        return approval.state == state and (
            (await platform.effects() == [1])
            if state == "accepted"
            else (await platform.client.show("c1")).status == "awaiting_human"
        )

    await eventually(ended, what=f"its end as {state}", within=45)
    if state == "expired":
        assert await platform.effects() == []
    await platform.replay("c1")


async def told(platform: Platform, state: DeliveryState) -> None:
    """Have it so that a channel was to be told of the approval, and that came of it."""
    (approval,) = await platform.client.approvals.list()
    await platform.database.execute(
        """
        insert into holdfast.deliveries
            (tenant, id, batch, conversation, approval, kind, channel, payload, state, patience)
        values ($1, 'dl_1', 'dl_1', 'c1', $2, 'webhook', 'ops', '{}', $3, '1 hour')
        """,
        platform.tenant,
        approval.id,
        state,
    )


async def test_silence_allows_what_somebody_could_have_stopped(waiting: Opening) -> None:
    platform = await waiting()
    await told(platform, "delivered")
    await ends_as(platform, "accepted")


async def test_silence_of_people_who_were_never_told_hands_over(waiting: Opening) -> None:
    platform = await waiting()
    await told(platform, "dead")
    await ends_as(platform, "expired")


async def test_silence_of_somebody_who_has_looked_allows(waiting: Opening) -> None:
    platform = await waiting()
    await told(platform, "dead")
    (approval,) = await platform.client.approvals.list()
    await platform.client.approvals.get(approval.id, reader="ann")
    await ends_as(platform, "accepted")


async def test_silence_hands_over_where_no_key_gives_a_role_that_counts(waiting: Opening) -> None:
    platform = await waiting(reviewer_key_bounds={"*": KeyBounds(roles=("support",))})
    await ends_as(platform, "expired")


async def test_silence_behind_a_claim_hands_over(waiting: Opening) -> None:
    platform = await waiting(
        "{approve: {roles: [boss, support], quorum: 2, expire_after: 3s, on_expiry: allow}}"
    )
    (approval,) = await platform.client.approvals.list()
    sue = Reviewer("sue", roles=["support"])
    for review in (Claim(), Release()):
        await platform.client.approvals.decide(approval.id, review, by=sue)
    await ends_as(platform, "expired")


async def edited(platform: Platform) -> ApprovalStatus:
    """Have somebody of support make more of what waits."""
    (approval,) = await platform.client.approvals.list()
    return await platform.client.approvals.decide(
        approval.id, Edit([{"counter": "c", "amount": 900}]), by=Reviewer("sue", roles=["support"])
    )


async def test_silence_about_an_edit_means_what_the_stricter_rule_says(waiting: Opening) -> None:
    platform = await waiting(
        "[{when: args.amount > 100, approve: {roles: [boss], expire_after: 1h, on_expiry: deny}},"
        " {approve: {roles: [support], expire_after: 4s, on_expiry: allow}}]"
    )
    status = await edited(platform)
    assert (status.state, [one.roles for one in status.waits_for]) == ("pending", [("boss",)])

    async def ended() -> bool:
        (approval,) = await platform.client.approvals.list(state=None)
        return approval.state == "expired" and approval.approval.on_expiry == "deny"

    await eventually(ended, what="the denial", within=45)
    assert await platform.effects() == []
    await platform.replay("c1")


async def test_an_edit_into_a_rule_with_an_earlier_deadline_ends_by_then(waiting: Opening) -> None:
    platform = await waiting(
        "[{when: args.amount > 100, approve: {roles: [boss], expire_after: 1s}},"
        " {approve: {roles: [support], remind_after: 1h, expire_after: 2h}}]"
    )
    assert (await edited(platform)).state == "pending"

    async def ended() -> bool:
        (approval,) = await platform.client.approvals.list(state=None)
        due = approval.expires_at - approval.requested_at
        return approval.state == "expired" and due < timedelta(minutes=5)

    await eventually(ended, what="the earlier deadline", within=45)
    assert await platform.effects() == []
    await platform.replay("c1")


@pytest.mark.parametrize("review", [Reject("No!"), Comment("Wait!")])
async def test_what_somebody_has_said_is_no_silence_also_where_no_workflow_takes_it(
    waiting: Opening, review: Review
) -> None:
    """Whoever reaches Temporal terminates the conversation, and has the alarm go off and the action run."""
    platform = await waiting()
    await is_heard_without_a_workflow(platform, review, by=Reviewer("ann", roles=["boss"]))


async def test_what_somebody_has_said_to_whom_a_voice_was_lent_is_no_silence(
    waiting: Opening,
) -> None:
    platform = await waiting()
    (approval,) = await platform.client.approvals.list()
    await platform.client.approvals.decide(
        approval.id, Delegate("Ada"), by=Reviewer("lena", roles=["boss"])
    )
    await is_heard_without_a_workflow(platform, Reject("No!"), by=Reviewer("ada"))


async def is_heard_without_a_workflow(platform: Platform, review: Review, *, by: Reviewer) -> None:
    """Check that a review which no workflow takes calls a person, whoever has the alarm go off."""
    (approval,) = await platform.client.approvals.list()
    await platform.handle("c1").terminate("an intruder was here")
    with pytest.raises(ConversationClosed):
        await platform.client.approvals.decide(approval.id, review, by=by)
    alarm = AlarmRequest(
        tenant=platform.tenant,
        conversation="c1",
        approval=approval.approval,
        alarm=Alarm(at=approval.expires_at, kind="expire"),
    )
    action = ActionRequest(
        tenant=platform.tenant, conversation="c1", turn=1, step=approval.step, index=0, attempts=1
    )
    async with forging(platform) as forge:
        ended = (await forge(wire.RECORD_ALARM, alarm))["approval"]
        assert (ended["state"], ended["on_expiry"]) == ("expired", "person")
        assert (await forge(wire.EXECUTE_ACTION, action))["state"] != "executed"
    assert await platform.effects() == []


async def test_silence_is_broken_by_nobody_whose_word_does_not_count(waiting: Opening) -> None:
    platform = await waiting()
    (approval,) = await platform.client.approvals.list()
    with pytest.raises(Refused):
        await platform.client.approvals.decide(
            approval.id, Reject("No!"), by=Reviewer("sue", roles=["support"])
        )
    await ends_as(platform, "accepted")


async def test_what_was_taken_and_leaves_it_open_breaks_no_silence(waiting: Opening) -> None:
    platform = await waiting()
    (approval,) = await platform.client.approvals.list()
    await platform.client.approvals.decide(
        approval.id, Comment("Fine with me."), by=Reviewer("ann", roles=["boss"])
    )
    await ends_as(platform, "accepted")


async def test_a_word_under_an_id_that_was_taken_for_another_one_breaks_the_silence(
    waiting: Opening,
) -> None:
    """Both were handed in at once, and the workflow took the harmless one."""
    platform = await waiting()
    (approval,) = await platform.client.approvals.list()
    ann = Reviewer("ann", roles=["boss"])
    await platform.client.approvals.decide(approval.id, Comment("Hm."), by=ann, decision_id="d1")
    rejection = rejecting(approval)
    async with platform.database.acquire() as connection:
        await note_handed_in(connection, ConversationKey(platform.tenant, "c1"), rejection)
    await ends_as(platform, "expired")


@pytest.mark.parametrize(("reviewer", "end"), [("ann", "accepted"), ("bob", "expired")])
async def test_what_an_earlier_version_noted_is_what_was_taken_under_its_id(
    waiting: Opening, reviewer: str, end: ApprovalState
) -> None:
    platform = await waiting()
    (approval,) = await platform.client.approvals.list()
    ann = Reviewer("ann", roles=["boss"])
    await platform.client.approvals.decide(approval.id, Comment("Hm."), by=ann, decision_id="d1")
    await platform.database.execute(
        """
        insert into holdfast.handed_in (tenant, approval, decision, reviewer, roles)
        values ($1, $2, 'd1', $3, $4) on conflict do nothing
        """,
        platform.tenant,
        approval.id,
        reviewer,
        ["boss"],
    )
    await ends_as(platform, end)


def rejecting(record: ApprovalRecord, **changes: Any) -> Decision:
    fields = {
        "id": "d1",
        "approval": record.id,
        "kind": "reject",
        "reviewer": "ann",
        "roles": ("boss",),
        "digest": record.args_digest,
        "text": "No!",
    }
    return Decision.model_validate({**fields, **changes})


@pytest.fixture
async def unattended(
    stack_settings: Settings, tenant: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    """A platform where an approval waits that silence allows, and no worker runs."""
    (tmp_path / f"{tenant}.yaml").write_text(f"name: t\nversion: 1\nactions:\n  add: {_ALLOWS}\n")
    async with open_platform(
        stack_settings, tenant, policy_dir=tmp_path, in_process=False
    ) as platform:
        adding = [("add", {"counter": "c", "amount": 1})]
        platform.script = routed_to("counter", counting(adding, then="That is settled."))
        platform.environment["HOLDFAST_POLICY_DIR"] = str(tmp_path)
        worker = await platform.start_worker()
        assert (await platform.send("c1", "add")).status == "awaiting_approval"
        await worker.stop()
        yield platform


async def past(record: ApprovalRecord) -> None:
    """Wait for a deadline."""

    async def is_past() -> bool:
        return datetime.now(UTC) > record.expires_at

    await eventually(is_past, what="the deadline")


async def test_what_was_signalled_before_the_alarm_went_off_is_no_silence(
    unattended: Platform,
) -> None:
    """What comes before it hides it not, and neither does what is forged."""
    (record,) = await unattended.client.approvals.list()
    handle = unattended.handle("c1")
    for number in range(3):
        await handle.signal(wire.APPROVAL_DECISION, rejecting(record, id=f"forged-{number}"))
    await handle.signal(wire.APPROVAL_DECISION, unattended.signed(rejecting(record)))
    await past(record)
    await unattended.start_worker()
    await ends_as(unattended, "expired")
    said = (await unattended.client.approvals.get(record.id)).decisions
    refusals = {one.id: (one.refusal or "").partition(":")[0] for one in said}
    assert refusals.pop("d1") == "ApprovalExpired"
    assert set(refusals.values()) == {"InvalidStatement"}


async def test_an_update_that_waited_for_a_worker_past_the_deadline_is_no_silence(
    unattended: Platform,
) -> None:
    (record,) = await unattended.client.approvals.list()
    update = asyncio.create_task(
        unattended.handle("c1").execute_update(
            wire.DECIDE, unattended.signed(rejecting(record)), result_type=ApprovalStatus
        )
    )
    await past(record)
    await unattended.start_worker()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await update
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "ApprovalExpired"
    await ends_as(unattended, "expired")


async def test_forged_words_break_no_silence(unattended: Platform) -> None:
    (record,) = await unattended.client.approvals.list()
    genuine = unattended.signed(rejecting(record, roles=("support",)))
    for forged in (
        rejecting(record),
        genuine.model_copy(update={"roles": ("boss",)}),
        genuine,  # whose word does not count
    ):
        await unattended.handle("c1").signal(wire.APPROVAL_DECISION, forged)
    await past(record)
    await unattended.start_worker()
    await ends_as(unattended, "accepted")
