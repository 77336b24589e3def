"""Scenarios of proposals and approvals: what policy decides, what people decide, what silence decides."""

from datetime import UTC, datetime
from typing import Any

from holdfast.domain import wire
from holdfast.domain.decision import Decision
from holdfast.domain.limits import Limits
from holdfast.domain.review import (
    Accept,
    Claim,
    Comment,
    Delegate,
    Edit,
    Reject,
    Release,
    Respond,
    Reviewer,
)
from holdfast.testing import eventually, routed_to, text
from tests.histories.scenario import adding, park, said_again, scenario
from tests.platform import Platform, counting


@scenario()
async def allowed(platform: Platform) -> None:
    platform.script = routed_to("counter", counting([adding(1)], [adding(2)]))
    await platform.send("allowed", "add one, then two")


@scenario()
async def denied(platform: Platform) -> None:
    platform.script = routed_to("counter", counting([adding(950)], [adding(7)], [adding(13)]))
    await platform.send("denied", "add")


@scenario()
async def compensated(platform: Platform) -> None:
    proposal = [adding(1), adding(2, name="add_for_good"), adding(13), adding(4)]
    platform.script = routed_to("counter", counting(proposal, then="Half."))
    await platform.send("compensated", "add all")


@scenario()
async def parked(platform: Platform) -> None:
    await park(platform, "parked")
    platform.script = routed_to("counter", lambda _: text("Still here."))
    await platform.send("parked", "and the weather?")


@scenario()
async def approved(platform: Platform) -> None:
    approval = await park(platform, "approved")
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    await said_again(platform, "approved")


@scenario()
async def rejected(platform: Platform) -> None:
    approval = await park(platform, "rejected")
    await platform.client.approvals.decide(
        approval, Reject("Too much for May."), by=Reviewer("rita", roles=["counters"])
    )
    await said_again(platform, "rejected")


@scenario()
async def responded(platform: Platform) -> None:
    approval = await park(platform, "responded")
    platform.script = routed_to("counter", counting([adding(150)], [adding(2)], then="Two it is."))
    await platform.client.approvals.decide(
        approval, Respond("Take two."), by=Reviewer("rita", roles=["counters"])
    )
    await said_again(platform, "responded")


@scenario()
async def edited(platform: Platform) -> None:
    """After an edit that is refused."""
    approval = await park(platform, "edited")
    refused: dict[str, Any] = {"counter": "c", "amount": 950}
    await _signal(platform, "edited", approval, kind="edit", actions=[_action(refused)])

    async def is_refused() -> bool:
        seen = [event.type async for event in platform.client.events("edited")]
        return "decision_refused" in seen

    await eventually(is_refused, what="the refusal")
    taken: dict[str, Any] = {"counter": "c", "amount": 120}
    await platform.client.approvals.decide(
        approval, Edit([taken]), by=Reviewer("rita", roles=["counters"])
    )
    await said_again(platform, "edited")


@scenario()
async def signalled(platform: Platform) -> None:
    """After a signal that is refused."""
    approval = await park(platform, "signalled")
    await _signal(platform, "signalled", approval, id="d0", digest="0" * 64)
    await _signal(platform, "signalled", approval)
    await said_again(platform, "signalled")


@scenario()
async def sent_again(platform: Platform) -> None:
    """A decision that was taken, and another one under its id."""
    name = "sent-again"
    approval = await park(platform, name, counter="quorum")
    ann = {"reviewer": "ann", "roles": ("boss",)}

    async def is_taken() -> bool:
        return (await platform.client.approvals.get(approval)).decisions != ()

    await _signal(platform, name, approval, **ann)
    await eventually(is_taken, what="the first decision")
    await _signal(platform, name, approval, **ann)
    await _signal(
        platform, name, approval, kind="reject", text="No.", reviewer="bob", roles=("lead",)
    )
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("cid", roles=["lead"]))
    await said_again(platform, name)


@scenario(in_process=False)
async def signalled_past_the_deadline(platform: Platform) -> None:
    """While no worker ran, where silence would be consent."""
    name = "signalled-past-the-deadline"
    policies = str(platform.settings.policy_dir)
    worker = await platform.start_worker(HOLDFAST_POLICY_DIR=policies)
    approval = await park(platform, name, counter="silent")
    await worker.stop()
    for number in range(2):
        await _signal(
            platform, name, approval, id=f"d{number}", kind="reject", text="No.", roles=("boss",)
        )
    record = await platform.client.approvals.get(approval)

    async def is_past() -> bool:
        return datetime.now(UTC) > record.expires_at

    await eventually(is_past, what="the deadline")
    await platform.start_worker(HOLDFAST_POLICY_DIR=policies)

    async def is_settled() -> bool:
        return (await platform.client.approvals.get(approval)).state != "pending"

    await eventually(is_settled, what="its end")
    await said_again(platform, name)


@scenario(limits=Limits(events_per_run=100))
async def flooded(platform: Platform) -> None:
    """By signals that are refused, beyond what is recorded; the parked turn goes along to the next run."""
    approval = await park(platform, "flooded")
    run = (await platform.handle("flooded").describe()).run_id
    for number in range(60):
        await _signal(platform, "flooded", approval, id=f"d{number}", digest="0" * 64)

    async def moved() -> bool:
        return (await platform.handle("flooded").describe()).run_id != run

    await eventually(moved, what="another run")
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    await said_again(platform, "flooded")


@scenario()
async def quorum(platform: Platform) -> None:
    approval = await park(platform, "quorum", counter="quorum")
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("bob", roles=["lead"]))
    await said_again(platform, "quorum")


@scenario()
async def claimed(platform: Platform) -> None:
    approval = await park(platform, "claimed", counter="claimed")
    decide = platform.client.approvals.decide
    await decide(approval, Claim(), by=Reviewer("ann", roles=["boss"]))
    await decide(approval, Comment("Ask the customer first?"), by=Reviewer("bob"))
    await decide(approval, Release(), by=Reviewer("ann", roles=["boss"]))
    await decide(approval, Delegate("deb"), by=Reviewer("ann", roles=["boss"]))
    await decide(approval, Accept(), by=Reviewer("deb", roles=["intern"]))
    await said_again(platform, "claimed")


@scenario()
async def escalated(platform: Platform) -> None:
    approval = await park(platform, "escalated", counter="ladder")

    async def has_escalated() -> bool:
        return "boss" in (await platform.client.approvals.get(approval)).roles

    await eventually(has_escalated, what="the escalation")
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("cleo", roles=["boss"]))
    await said_again(platform, "escalated")


@scenario()
async def expired(platform: Platform) -> None:
    await park(platform, "expired", counter="hasty")
    await said_again(platform, "expired")


@scenario()
async def expired_to_allow(platform: Platform) -> None:
    await park(platform, "expired-to-allow", counter="silent")
    await said_again(platform, "expired-to-allow")


@scenario()
async def expired_to_person(platform: Platform) -> None:
    await park(platform, "expired-to-person", counter="personal")
    await said_again(platform, "expired-to-person")


@scenario()
async def stale(platform: Platform) -> None:
    approval = await park(platform, "stale", counter="watched")
    await platform.database.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', 5)",
        platform.tenant,
    )
    await platform.client.approvals.decide(approval, Accept(), by=Reviewer("ann", roles=["boss"]))
    await said_again(platform, "stale")


async def _signal(platform: Platform, conversation: str, approval: str, **changes: Any) -> None:
    """Send a signed decision straight to the workflow."""
    record = await platform.client.approvals.get(approval)
    fields = {
        "id": "d1",
        "approval": approval,
        "kind": "accept",
        "reviewer": "sid",
        "roles": ("counters",),
        "digest": record.args_digest,
    }
    decision = Decision.model_validate({**fields, **changes})
    await platform.handle(conversation).signal(wire.APPROVAL_DECISION, platform.signed(decision))


def _action(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": "add", "arguments": arguments}
