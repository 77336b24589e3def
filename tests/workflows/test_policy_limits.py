"""A policy at its limits can be worked with from the proposal to the execution."""

from pathlib import Path

from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.testing import eventually, routed_to, text
from tests.platform import counting, open_platform

SMILE = "\N{SMILING FACE WITH SUNGLASSES}"


def roles(prefix: str, number: int) -> str:
    """As long as they may be, in bytes too."""
    return "[" + ", ".join(f"{prefix}{n:02d}{SMILE * 61}" for n in range(number)) + "]"


async def test_an_approval_at_all_limits_is_asked_for_and_given(
    stack_settings: Settings, tenant: str, tmp_path: Path
) -> None:
    steps = ", ".join(f"{{after: {n + 1}s, roles: {roles(f'{n}', 3)}}}" for n in range(10))
    (tmp_path / f"{tenant}.yaml").write_text(
        f"name: {SMILE * 100}\nversion: 2147483647\n"
        "working_time: {zone: Europe/Berlin, hours: {mon-sun: '00:00-24:00'}}\n"
        f"actions: {{add: {{approve: {{roles: {roles('r', 20)}, escalate: [{steps}], "
        f"working_time: true, expire_after: 3400d, claim_for: 3650d}}, reason: {SMILE * 2_000}}}}}\n"
    )
    async with open_platform(stack_settings, tenant, policy_dir=tmp_path) as platform:
        adding = [("add", {"counter": "c", "amount": 5})]
        platform.script = routed_to("counter", counting(adding))
        parked = await platform.send("c1", "add it")
        assert parked.status == "awaiting_approval"
        platform.script = routed_to("general", lambda _: text("Hello."))
        assert (await platform.send("c1", "hello")).reply == "Hello."

        async def escalated() -> bool:
            return len((await platform.client.approvals.get(parked.approvals[0])).roles) == 50

        await eventually(escalated, what="all escalations")
        await platform.client.approvals.decide(
            parked.approvals[0], Accept(), by=Reviewer("ann", roles=[f"902{SMILE * 61}"])
        )

        async def executed() -> bool:
            return await platform.effects() == [5]

        await eventually(executed, what="the execution")
        await platform.replay("c1")
