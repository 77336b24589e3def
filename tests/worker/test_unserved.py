"""Approved actions that no worker has: they hold their conversation for a turn's time, and no longer."""

from pathlib import Path

import pytest

from holdfast.domain.limits import Limits
from holdfast.runtime.settings import Settings
from holdfast.testing import eventually
from tests.platform import ROOT, Platform, open_platform
from tests.worker.test_fleets import COUNTER, OTHER_WAY, SHOP, Change, asked, changed, decided

__all__ = ["changed"]


async def approved_where_nobody_has_it(
    platform: Platform, packages: str, root: Path = ROOT
) -> None:
    """An approval is accepted after its worker has gone, and another one has come."""
    first = await platform.start_worker(HOLDFAST_PACKAGES=COUNTER)
    sent = await asked(platform)
    await first.stop()
    await platform.start_worker(HOLDFAST_PACKAGES=packages, root=root)
    await decided(platform, sent)


async def assert_a_person_knows_that_nothing_was_done(platform: Platform, opening: str) -> None:
    async def is_ended() -> bool:
        ended: bool = await platform.database.fetchval(
            "select ended_at is not null from holdfast.turns where tenant = $1 and turn = 1",
            platform.tenant,
        )
        return ended

    await eventually(is_ended, within=60, what="the end of the turn")
    view = await platform.client.show("c1")
    (action,) = view.actions
    assert (action.state, action.executions) == ("not_attempted", 0)
    assert action.error is not None
    assert action.error.endswith("nothing was done")
    assert opening in view.messages[-1].text
    assert view.messages[-1].text.endswith("- Add to a counter")
    assert await platform.effects() == []


@pytest.mark.parametrize("package", ["gone", "changed"])
async def test_a_person_takes_over_an_approved_action_that_no_worker_has_in_time(
    stack_settings: Settings, tenant: str, changed: Change, package: str
) -> None:
    limits = Limits(turn_seconds=6)
    async with open_platform(stack_settings, tenant, in_process=False, limits=limits) as platform:
        if package == "gone":
            await approved_where_nobody_has_it(platform, SHOP)
        else:
            root = changed(OTHER_WAY)
            await approved_where_nobody_has_it(platform, COUNTER, root)
        await assert_a_person_knows_that_nothing_was_done(platform, "handing you over")
        assert (await platform.client.show("c1")).status == "awaiting_human"
        assert (await platform.send("c1", "Hello?")).status == "awaiting_human"
        await platform.replay("c1")


async def test_a_turn_whose_action_no_worker_has_is_cancelled_at_once(remote: Platform) -> None:
    await approved_where_nobody_has_it(remote, SHOP)

    async def is_asked_for() -> bool:
        history = await remote.handle("c1").fetch_history()
        return "execute_action" in [
            event.activity_task_scheduled_event_attributes.activity_type.name
            for event in history.events
        ]

    await eventually(is_asked_for, what="the action")
    assert await remote.client.cancel_turn("c1", 1) == 1
    await assert_a_person_knows_that_nothing_was_done(remote, "cancelled")
    assert (await remote.client.show("c1")).status == "open"
    await remote.replay("c1")
