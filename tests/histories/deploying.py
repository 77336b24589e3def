"""The scenario of a deployment: workers of another build become current, and a conversation moves."""

from temporalio.client import WorkflowExecutionStatus

from holdfast.domain import wire
from holdfast.domain.review import Accept, Reviewer
from tests.deployment import make_current
from tests.histories.scenario import park, said_again, scenario
from tests.platform import Platform, eventually, routed_to
from tests.scripted_model import text


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


async def _deploy(platform: Platform, build: str) -> None:
    """Start workers of a build, and make it the current one of the tenant's deployment."""
    await platform.start_worker(HOLDFAST_DEPLOYMENT=platform.tenant, HOLDFAST_BUILD_ID=build)
    await make_current(platform.temporal, platform.tenant, build)
