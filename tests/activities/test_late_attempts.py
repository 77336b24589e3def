"""What a worker that was thought dead still tries to record, after another one has done it."""

import dataclasses
from collections.abc import AsyncIterator

import pytest
from temporalio.testing import ActivityEnvironment

from activities.conversations import ConversationActivities
from holdfast.domain.errors import StaleAttempt
from holdfast.domain.steps import CloseRequest, OpenRequest, TakeoverRequest
from holdfast.runtime.settings import Settings
from holdfast.store.conversations import read_conversation
from holdfast.subgraphs.registry import load_packages
from worker import open_services


@pytest.fixture
async def records(stack_settings: Settings) -> AsyncIterator[ConversationActivities]:
    async with open_services(stack_settings, load_packages(["tests.counter:package"])) as services:
        yield ConversationActivities(services)


def attempt(number: int, activity: str = "1") -> ActivityEnvironment:
    """What an activity sees of itself in this attempt."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, attempt=number, activity_id=activity, workflow_run_id="run"
    )
    return environment


async def test_a_late_attempt_changes_nothing(records: ConversationActivities, tenant: str) -> None:
    opening = OpenRequest(tenant=tenant, conversation="c1", customer="cust")
    closing = CloseRequest(tenant=tenant, conversation="c1", reason="test")
    taking = TakeoverRequest(tenant=tenant, conversation="c1", turn=0, reviewer="pat")
    await attempt(2).run(records.open_conversation, opening)
    await attempt(2, "2").run(records.record_takeover, taking)
    await attempt(1, "3").run(records.record_takeover, taking.model_copy(update={"reviewer": None}))
    await attempt(3, "4").run(records.close_conversation, closing)
    with pytest.raises(StaleAttempt):
        await attempt(1).run(records.open_conversation, opening)
    with pytest.raises(StaleAttempt):
        await attempt(1, "2").run(records.record_takeover, taking)
    with pytest.raises(StaleAttempt):
        await attempt(2, "4").run(records.close_conversation, closing)
    async with records._pool.acquire() as connection:
        record = await read_conversation(connection, tenant, "c1")
    assert (record.status, record.held_by) == ("closed", None)


async def test_the_same_attempt_may_try_its_transaction_again(
    records: ConversationActivities, tenant: str
) -> None:
    opening = OpenRequest(tenant=tenant, conversation="c1", customer="cust")
    for number in (1, 1, 2):
        opened = await attempt(number).run(records.open_conversation, opening)
        assert not opened.closed
