"""Policy is asked beside the event loop: while one tenant's takes long, others are answered."""

import asyncio
import threading
from pathlib import Path

import pytest

from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.store.faults import FaultPoint, holding
from holdfast.testing import eventually
from holdfast.worker.assembly import open_resources
from tests.activities.desk import Desk

ADD = ("add", {"counter": "c", "amount": 150})


@pytest.mark.parametrize("point", ["while_judging", "while_scheduling"])
async def test_another_tenant_is_answered_while_a_policy_is_asked(
    stack_settings: Settings, tenant: str, tmp_path: Path, point: FaultPoint
) -> None:
    settings = stack_settings.model_copy(update={"policy_dir": tmp_path})
    packages = load_packages(["tests.counter:package"])
    passed: list[threading.Thread] = []
    released = threading.Event()

    def hold() -> None:
        passed.append(threading.current_thread())
        if len(passed) == 1:
            assert threading.current_thread() is not threading.main_thread()
            released.wait()

    async def held() -> bool:
        return passed != []

    async with open_resources(settings, packages) as resources:
        slow, quick = (Desk(resources, settings, f"{tenant}-{n}", "cust") for n in (1, 2))
        await slow.open("c1")
        await quick.open("c1")
        with holding(point, hold):
            waiting = asyncio.create_task(slow.propose("c1", ADD))
            try:
                await eventually(held, what="the first tenant's policy")
                asked = await quick.propose("c1", ADD)
                await quick.accept(asked, reviewer="ann", roles=["counters"])
                assert await quick.execute(asked) == ["executed"]
                assert not waiting.done()
            finally:
                released.set()
            await waiting
    assert threading.main_thread() not in passed
    # Judged when both were proposed, and again when one was executed.
    assert len(passed) == {"while_judging": 3}.get(point, 2)
