"""A forged workflow may ask activities for anything; records, the clock and statements decide."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from holdfast.domain import wire
from holdfast.domain.activity_protocol import (
    ActionRequest,
    AlarmRequest,
    DecisionRequest,
    HumanTurnRequest,
    TakeoverRequest,
)
from holdfast.domain.approval import Approval
from holdfast.domain.decision import Decision
from holdfast.domain.people import PersonAct
from holdfast.domain.records import ApprovalRecord
from holdfast.domain.review import Accept, Claim, Release, Reviewer
from holdfast.domain.terms import Alarm, Requirement
from holdfast.domain.transitions import decide
from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import sign_act, sign_decision
from holdfast.testing import eventually, routed_to
from tests.platform import Platform, counting, open_platform
from tests.workflows.forging import Forging, forging


@pytest.fixture
async def platform(
    stack_settings: Settings, tenant: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    (tmp_path / f"{tenant}.yaml").write_text(
        "name: test\nversion: 1\nactions:\n"
        "  add: [{when: args.amount > 100, approve: {roles: [boss], on_expiry: allow}}, allow]\n"
    )
    async with open_platform(stack_settings, tenant, policy_dir=tmp_path) as opened:
        yield opened


@pytest.fixture
async def forge(platform: Platform) -> AsyncIterator[Forging]:
    async with forging(platform) as forge:
        yield forge


def key_of(platform: Platform) -> SigningKey:
    assert platform.settings.signing_key is not None
    return SigningKey.read(platform.settings.signing_key)


async def asked(platform: Platform) -> ApprovalRecord:
    """An approval that waits."""
    adding = [("add", {"counter": "c", "amount": 150})]
    platform.script = routed_to("counter", counting(adding, then="That is settled."))
    parked = await platform.send("c1", "add it")
    return await platform.client.approvals.get(parked.approvals[0])


def accepting(record: ApprovalRecord, **changes: Any) -> Decision:
    fields = {
        "id": "d1",
        "approval": record.id,
        "kind": "accept",
        "reviewer": "ann",
        "roles": ("boss",),
        "digest": record.args_digest,
    }
    return Decision.model_validate({**fields, **changes})


def deciding(
    platform: Platform, record: ApprovalRecord, decision: Decision, **changes: Any
) -> DecisionRequest:
    fields = {
        "tenant": platform.tenant,
        "conversation": "c1",
        "approval": record.approval,
        "decision": decision,
        "at": datetime.now(UTC),
    }
    return DecisionRequest.model_validate({**fields, **changes})


def acting(platform: Platform, record: ApprovalRecord | None = None) -> ActionRequest:
    return ActionRequest(
        tenant=platform.tenant,
        conversation="c1",
        turn=1,
        step=record.step if record else 2,
        index=0,
        attempts=1,
    )


async def test_a_statement_of_yesterday_is_too_old_whatever_time_a_workflow_says_it_is(
    platform: Platform, forge: Forging
) -> None:
    record = await asked(platform)
    signed_at = datetime.now(UTC) - timedelta(hours=30)
    decision = sign_decision(
        accepting(record),
        tenant=platform.tenant,
        key=key_of(platform),
        now=signed_at,
        lifetime=timedelta(hours=24),
    )
    then = signed_at + timedelta(hours=1)
    outcome = await forge(wire.DECIDE_APPROVAL, deciding(platform, record, decision, at=then))
    assert outcome["code"] == "InvalidStatement"
    assert "expired at" in outcome["refusal"]
    assert (await platform.client.approvals.get(record.id)).state == "pending"


async def test_the_time_of_a_decision_is_the_databases(platform: Platform, forge: Forging) -> None:
    record = await asked(platform)
    decision = platform.signed(accepting(record))
    past = datetime(2020, 1, 1, tzinfo=UTC)
    before = await platform.database.fetchval("select clock_timestamp()")
    outcome = await forge(wire.DECIDE_APPROVAL, deciding(platform, record, decision, at=past))
    assert outcome["approval"]["state"] == "accepted"
    after = await platform.database.fetchval("select clock_timestamp()")
    (taken,) = (await platform.client.approvals.get(record.id)).decisions
    assert before <= taken.at <= after


async def test_what_an_approval_needs_is_what_was_recorded(
    platform: Platform, forge: Forging
) -> None:
    record = await asked(platform)
    decision = platform.signed(accepting(record, roles=("intern",)))
    needs_less = record.approval.model_copy(
        update={"requirements": (Requirement(roles=("intern",)),)}
    )
    request = deciding(platform, record, decision, approval=needs_less)
    assert (await forge(wire.DECIDE_APPROVAL, request))["code"] == "NotAllowed"
    await platform.send("c2", "hello")
    other = deciding(platform, record, platform.signed(accepting(record, id="d2")))
    elsewhere = other.model_copy(update={"conversation": "c2"})
    assert (await forge(wire.DECIDE_APPROVAL, elsewhere))["code"] == "ApprovalNotFound"
    assert (await platform.client.approvals.get(record.id)).state == "pending"


@pytest.mark.parametrize("kind", ["expire", "remind", "escalate"])
async def test_no_alarm_goes_off_before_the_databases_clock_says_so(
    platform: Platform, forge: Forging, kind: str
) -> None:
    record = await asked(platform)
    accepted = record.approval.model_copy(update={"state": "accepted", "alarms": 0})
    alarm = Alarm.model_validate({"at": datetime.now(UTC), "kind": kind, "roles": ("intern",)})
    request = AlarmRequest(
        tenant=platform.tenant, conversation="c1", approval=accepted, alarm=alarm
    )
    with pytest.raises(ApplicationError, match="is due at") as refused:
        await forge(wire.RECORD_ALARM, request)
    assert refused.value.type == "NotDue"
    now = await platform.client.approvals.get(record.id)
    assert (now.state, now.approval) == ("pending", record.approval)


async def test_an_action_is_undone_only_where_its_proposal_has_failed(
    platform: Platform, forge: Forging
) -> None:
    adding = [("add", {"counter": "c", "amount": 1}), ("add", {"counter": "c", "amount": 2})]
    platform.script = routed_to("counter", counting(adding, then="Done."))
    await platform.send("c1", "add")
    assert await platform.effects() == [1, 2]
    report = await forge(wire.COMPENSATE_ACTION, acting(platform))
    assert report["state"] == "executed"
    assert await platform.effects() == [1, 2]
    assert [one.state for one in (await platform.client.show("c1")).actions] == ["executed"] * 2
    rows = await platform.database.fetch(
        "select kind from holdfast.audit where tenant = $1 and kind like 'action%'", platform.tenant
    )
    assert [row["kind"] for row in rows] == ["action_executed"] * 2


async def test_nobody_replies_without_holding_the_conversation_and_a_statement(
    platform: Platform, forge: Forging
) -> None:
    await platform.send("c1", "hello")

    def replying(text: str, signed: str | None = None, reviewer: str = "pat") -> HumanTurnRequest:
        act = PersonAct(id="r1", kind="reply", reviewer=reviewer, conversation="c1", text=text)
        statement = sign_act(act, tenant=platform.tenant, key=key_of(platform))
        return HumanTurnRequest(
            tenant=platform.tenant,
            conversation="c1",
            turn=1,
            reviewer=reviewer,
            text=signed or text,
            id="r1",
            statement=statement if signed is None else "",
        )

    async def refused(request: HumanTurnRequest) -> str | None:
        with pytest.raises(ApplicationError) as error:
            await forge(wire.RECORD_HUMAN_TURN, request)
        return error.value.type

    assert await refused(replying("I am Pat.")) == "NotHeld"
    await platform.client.people.take_over("c1", reviewer="pat")
    assert await refused(replying("I am Pat.", signed="I am Pat.")) == "InvalidStatement"
    assert await refused(replying("I am Eve.", reviewer="eve")) == "NotHeld"
    said = [one.text for one in await platform.client.messages("c1") if one.role == "human"]
    assert said == []
    await platform.client.people.reply("c1", "It is me.", reviewer="pat")


async def test_nobody_takes_over_or_hands_back_without_a_fresh_statement(
    platform: Platform, forge: Forging
) -> None:
    await platform.send("c1", "hello")
    act = PersonAct(id="t1", kind="take_over", reviewer="pat", conversation="c1")
    signed = act.model_copy(
        update={"statement": sign_act(act, tenant=platform.tenant, key=key_of(platform))}
    )

    def taking(act: PersonAct | None, reviewer: str | None = "pat") -> TakeoverRequest:
        return TakeoverRequest(
            tenant=platform.tenant, conversation="c1", turn=1, reviewer=reviewer, act=act
        )

    async def refused(request: TakeoverRequest) -> str | None:
        with pytest.raises(ApplicationError) as error:
            await forge(wire.RECORD_TAKEOVER, request)
        return error.value.type

    for forged in (taking(None), taking(act), taking(signed, "eve")):
        assert await refused(forged) == "InvalidStatement"
        assert (await platform.client.show("c1")).held_by is None
    await platform.client.people.take_over("c1", reviewer="lena")
    assert await refused(taking(signed)) == "NotHeld"
    assert await refused(taking(act.model_copy(update={"kind": "hand_back"}), None)) == (
        "InvalidStatement"
    )
    await platform.client.people.hand_back("c1", reviewer="lena")
    # It was refused while Lena held the conversation, and is spent.
    padded = signed.model_copy(update={"statement": signed.statement + "=="})
    for again in (signed, padded):
        assert await refused(taking(again)) == "InvalidStatement"
        assert (await platform.client.show("c1")).held_by is None


async def test_an_accepted_approval_that_nobody_signed_runs_nothing(
    platform: Platform, forge: Forging
) -> None:
    record = await asked(platform)
    await platform.handle("c1").terminate("an intruder was here")
    forger = SigningKey.generate(key_of(platform).kid)
    for number, statement in enumerate(
        ["", sign_decision(accepting(record), tenant=platform.tenant, key=forger).statement]
    ):
        await write_acceptance(platform, record, statement)
        report = await forge(wire.EXECUTE_ACTION, acting(platform, record))
        assert report["state"] == "failed", number
        assert await platform.effects() == []
        (action,) = (await platform.client.show("c1")).actions
        assert action.error is not None
        assert action.error.startswith("InvalidStatement")
        await platform.database.execute(
            "update holdfast.actions set state = 'proposed' where tenant = $1", platform.tenant
        )
        await platform.database.execute(
            "delete from holdfast.executions where tenant = $1", platform.tenant
        )


async def write_acceptance(platform: Platform, record: ApprovalRecord, statement: str) -> None:
    """What somebody writes who can write to the tables of approvals and has no key."""
    decision = accepting(record)
    accepted = decide(record.approval, decision, now=datetime.now(UTC))
    await platform.database.execute(
        "update holdfast.approvals set state = 'accepted', approval = $3 "
        "where tenant = $1 and id = $2",
        platform.tenant,
        record.id,
        accepted.model_dump(mode="json"),
    )
    await platform.database.execute(
        "delete from holdfast.decisions where tenant = $1", platform.tenant
    )
    await platform.database.execute(
        """
        insert into holdfast.decisions
            (tenant, approval, id, kind, reviewer, roles, digest, text, actions, statement,
             decided_at, ordinal, outcome)
        values ($1, $2, $3, 'accept', 'ann', $4, $5, '', '[]', $6, clock_timestamp(), 1, $7)
        """,
        platform.tenant,
        record.id,
        decision.id,
        list(decision.roles),
        decision.digest,
        statement,
        accepted.model_dump(mode="json"),
    )


async def accepted_but_not_run(
    platform: Platform, forge: Forging, record: ApprovalRecord
) -> Approval:
    """The approval, genuinely accepted, while no workflow is there to run its action."""
    await platform.handle("c1").terminate("nobody goes on with it")
    decision = platform.signed(accepting(record))
    outcome = await forge(wire.DECIDE_APPROVAL, deciding(platform, record, decision))
    return Approval.model_validate(outcome["approval"])


async def test_arguments_that_were_changed_after_the_approval_are_not_executed(
    platform: Platform, forge: Forging
) -> None:
    record = await asked(platform)
    assert (await accepted_but_not_run(platform, forge, record)).state == "accepted"
    # The facts that the reviewer saw stay as they were: the counter is none of them.
    await platform.database.execute(
        'update holdfast.actions set arguments = arguments || \'{"counter": "mine"}\' '
        "where tenant = $1",
        platform.tenant,
    )
    report = await forge(wire.EXECUTE_ACTION, acting(platform, record))
    assert report["state"] == "failed"
    assert (await platform.effects("mine"), await platform.effects()) == ([], [])
    (action,) = (await platform.client.show("c1")).actions
    assert action.error is not None
    assert action.error.startswith("NotApproved")


async def test_a_genuine_approval_runs_once_whoever_asks_for_it(
    platform: Platform, forge: Forging
) -> None:
    record = await asked(platform)
    assert (await accepted_but_not_run(platform, forge, record)).state == "accepted"
    for _ in range(2):
        report = await forge(wire.EXECUTE_ACTION, acting(platform, record))
        assert report["state"] == "executed"
    assert await platform.effects() == [150]


async def test_a_statement_that_was_refused_is_spent(platform: Platform) -> None:
    record = await asked(platform)
    await platform.client.approvals.decide(record.id, Claim(), by=Reviewer("ann", roles=["boss"]))
    bobs = platform.signed(accepting(record, reviewer="bob"))

    async def refusals() -> list[str]:
        found = (await platform.client.approvals.get(record.id)).decisions
        return [one.refusal for one in found if one.refusal is not None]

    async def refused(times: int) -> list[str]:
        async def so_often() -> list[str]:
            found = await refusals()
            return found if len(found) == times else []

        found: list[str] = await eventually(so_often, what=f"refusal {times}")
        return found

    await platform.handle("c1").signal(wire.APPROVAL_DECISION, bobs)
    assert (await refused(1))[0].startswith("Claimed")
    await platform.client.approvals.decide(record.id, Release(), by=Reviewer("ann", roles=["boss"]))
    await platform.handle("c1").signal(wire.APPROVAL_DECISION, bobs)
    assert "refused before" in (await refused(2))[1]
    padded = bobs.model_copy(update={"statement": bobs.statement + "=="})
    await platform.handle("c1").signal(wire.APPROVAL_DECISION, padded)
    assert "base64url" in (await refused(3))[2]
    assert (await platform.client.approvals.get(record.id)).state == "pending"
    status = await platform.client.approvals.decide(
        record.id, Accept(), by=Reviewer("bob", roles=["boss"])
    )
    assert status.state == "accepted"
    await platform.replay("c1")


@pytest.mark.timeout(300)  # without a cache, each of the many tasks replays all before it
async def test_refused_decisions_are_recorded_up_to_a_bound_and_block_no_decision(
    platform: Platform,
) -> None:
    record = await asked(platform)
    handle = platform.handle("c1")
    for number in range(55):
        await handle.signal(wire.APPROVAL_DECISION, accepting(record, id=f"forged-{number}"))
        await handle.signal(
            wire.APPROVAL_DECISION, accepting(record, id=f"forged-{number}", approval="none")
        )
    status = await platform.client.approvals.decide(
        record.id, Accept(), by=Reviewer("ann", roles=["boss"]), timeout=120
    )
    assert status.state == "accepted"

    async def executed() -> bool:
        return await platform.effects() == [150]

    await eventually(executed, within=90, what="the action")

    async def recorded() -> bool:
        rows = await platform.database.fetch(
            "select approval, count(*) as refused from holdfast.decisions "
            "where tenant = $1 and refusal is not null group by approval",
            platform.tenant,
        )
        return {row["approval"]: row["refused"] for row in rows} == {record.id: 50, "none": 50}

    await eventually(recorded, within=60, what="the refusals, up to the bound")
