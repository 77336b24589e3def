"""Scenarios of deployments: workers of another build become current, or ones come that lack an action."""

from temporalio.client import WorkflowExecutionStatus

from holdfast.domain import wire
from holdfast.domain.limits import Limits
from holdfast.domain.review import Accept, Reviewer
from holdfast.testing import eventually, routed_to, text
from tests.deployment import make_current
from tests.histories.scenario import park, said_again, scenario
from tests.platform import Platform


@scenario(in_process=False)
async def moved_to_another_build(platform: Platform) -> None:
    """With a parked turn, which is decided afterwards."""
    name = "moved-to-another-build"
    await _deploy(platform, "1")
    approval = await park(platform, name)
    await _deploy(platform, "2")
    await platform.handle(name).signal(wire.UPGRADE)

    async def has_moved() -> bool:
        left = [
            run
            async for run in platform.temporal.list_workflows(
                f"HoldfastTenant = '{platform.tenant}'"
            )
            if run.status is WorkflowExecutionStatus.CONTINUED_AS_NEW
        ]
        return left != []

    await eventually(has_moved, what="the move")
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    await said_again(platform, name)
    platform.script = routed_to("counter", lambda _: text("Still here."))
    await platform.send(name, "and the weather?")


@scenario(in_process=False, limits=Limits(turn_seconds=5))
async def unserved(platform: Platform) -> None:
    """No worker has the approved action in time."""
    await _accept_where_nobody_has_it(platform, "unserved")

    async def a_person_is_called() -> bool:
        return (await platform.client.show("unserved")).status == "awaiting_human"

    await eventually(a_person_is_called, within=60, what="the person's call")


@scenario(in_process=False)
async def cancelled_unserved(platform: Platform) -> None:
    await _accept_where_nobody_has_it(platform, "cancelled-unserved")

    async def is_asked_for() -> bool:
        history = await platform.handle("cancelled-unserved").fetch_history()
        scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
        return wire.EXECUTE_ACTION in [one.activity_type.name for one in scheduled]

    await eventually(is_asked_for, what="the action")
    await platform.client.cancel_turn("cancelled-unserved", 1)


async def _accept_where_nobody_has_it(platform: Platform, name: str) -> None:
    first = await platform.start_worker(HOLDFAST_PACKAGES='["tests.counter:package"]')
    approval = await park(platform, name)
    await first.stop()
    await platform.start_worker(HOLDFAST_PACKAGES='["holdfast_shop:package"]')
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )


async def _deploy(platform: Platform, build: str) -> None:
    """Start workers of a build, and make it the current one of the tenant's deployment."""
    await platform.start_worker(HOLDFAST_DEPLOYMENT=platform.tenant, HOLDFAST_BUILD_ID=build)
    await make_current(platform.temporal, platform.tenant, build)
