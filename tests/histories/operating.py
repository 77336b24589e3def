"""The scenarios of operations: carried out, and refused."""

import pytest

from holdfast.domain.errors import TurnNotFound
from tests.histories.scenario import park, scenario
from tests.platform import Platform


@scenario()
async def operations(platform: Platform) -> None:
    await platform.send("talk", "hello")
    approval = await park(platform, "operations")
    await platform.client.approvals.get(approval, reader="rita")
    await platform.client.show("talk", reader="tom")
    await platform.client.fork("talk", turn=1, target="talk-again", by="tom")
    with pytest.raises(TurnNotFound):
        await platform.client.fork("talk", turn=9, target="talk-9", by="tom")
    async for _ in platform.client.audit.export(reader="tom"):
        pass
    await platform.client.deliveries.redrive_all(by="tom")
