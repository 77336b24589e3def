"""The scenario of notifications: two receivers, one of which fails, refuses, and then takes what comes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from holdfast.domain.review import Accept, Reviewer
from holdfast.testing import eventually
from tests.histories.scenario import park, said_again, scenario
from tests.notifications.receiving import Answered, endpoint
from tests.platform import Platform

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@asynccontextmanager
async def receivers(folder: Path) -> AsyncIterator[Path]:
    """Two receivers of webhooks, and the folder of the file that names them."""
    async with AsyncExitStack() as stack:
        willing = await stack.enter_async_context(endpoint())
        unwilling = await stack.enter_async_context(endpoint())
        answers = {0: Answered(500), 1: Answered(410)}
        unwilling.script = lambda number: answers.get(number, Answered())
        channels = folder / "channels"
        channels.mkdir()
        named = "\n".join(
            f"  - {{name: {name}, url: '{receiver.url}', secret: {_SECRET}}}"
            for name, receiver in (("willing", willing), ("unwilling", unwilling))
        )
        (channels / "default.yaml").write_text(f"webhooks:\n{named}\n")
        yield channels


@scenario(notified=True)
async def notifications(platform: Platform) -> None:
    approval = await park(platform, "notifications")

    async def dead() -> list[str]:
        return [one.id for one in await platform.client.deliveries.list() if one.state == "dead"]

    await platform.client.deliveries.redrive(
        await eventually(dead, what="a delivery that is given up")
    )
    await platform.client.approvals.decide(
        approval, Accept(), by=Reviewer("rita", roles=["counters"])
    )
    await said_again(platform, "notifications")

    async def all_delivered() -> bool:
        states = [one.state for one in await platform.client.deliveries.list()]
        return states == ["delivered"] * 4

    await eventually(all_delivered, what="every delivery")
