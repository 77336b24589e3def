"""What a worker that was thought dead still tries to record, after another one has done it."""

import dataclasses
from collections.abc import AsyncIterator, Callable

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.conversations import ConversationActivities
from holdfast.activities.people import PeopleActivities
from holdfast.activities.resources import Resources
from holdfast.domain.activity_protocol import CloseRequest, OpenRequest, TakeoverRequest
from holdfast.domain.errors import InvalidStatement, StaleAttempt
from holdfast.domain.identity import ConversationKey
from holdfast.domain.people import ActKind, PersonAct
from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import sign_act
from holdfast.store.conversations import read_conversation
from holdfast.worker.assembly import open_resources


@pytest.fixture
async def resources(stack_settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(stack_settings, load_packages(["tests.counter:package"])) as opened:
        yield opened


@pytest.fixture
def records(resources: Resources) -> ConversationActivities:
    return ConversationActivities(resources)


@pytest.fixture
def taking(stack_settings: Settings, tenant: str) -> Callable[[ActKind], TakeoverRequest]:
    """Makes pat's signed request to take the conversation over, or to hand it back."""

    def request(kind: ActKind) -> TakeoverRequest:
        assert stack_settings.signing_key is not None
        act = PersonAct(id=f"{kind}-1", kind=kind, reviewer="pat", conversation="c1")
        statement = sign_act(act, tenant=tenant, key=SigningKey.read(stack_settings.signing_key))
        return TakeoverRequest(
            tenant=tenant,
            conversation="c1",
            turn=0,
            reviewer="pat" if kind == "take_over" else None,
            act=act.model_copy(update={"statement": statement}),
        )

    return request


def attempt(number: int, activity: str = "1") -> ActivityEnvironment:
    """What an activity sees of itself in this attempt."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, attempt=number, activity_id=activity, workflow_run_id="run"
    )
    return environment


async def test_a_late_attempt_changes_nothing(
    records: ConversationActivities,
    resources: Resources,
    taking: Callable[[ActKind], TakeoverRequest],
    tenant: str,
) -> None:
    people = PeopleActivities(resources)
    opening = OpenRequest(tenant=tenant, conversation="c1", customer="cust")
    closing = CloseRequest(tenant=tenant, conversation="c1", reason="test")
    over, back = taking("take_over"), taking("hand_back")
    await attempt(2).run(records.open_conversation, opening)
    await attempt(2, "2").run(people.record_takeover, over)
    await attempt(1, "3").run(people.record_takeover, back)
    await attempt(3, "4").run(records.close_conversation, closing)
    with pytest.raises(StaleAttempt):
        await attempt(1).run(records.open_conversation, opening)
    with pytest.raises(StaleAttempt):
        await attempt(1, "2").run(people.record_takeover, over)
    with pytest.raises(StaleAttempt):
        await attempt(2, "4").run(records.close_conversation, closing)
    async with records._pool.acquire() as connection:
        record = await read_conversation(connection, ConversationKey(tenant, "c1"))
    assert (record.status, record.held_by) == ("closed", None)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_statement_counts_once_whatever_attempt_of_which_activity_it_is_handed_in_by(
    records: ConversationActivities,
    resources: Resources,
    taking: Callable[[ActKind], TakeoverRequest],
    tenant: str,
    number: int,
) -> None:
    """Whoever starts workflows gives several activities one id, or has one tried again when it suits."""
    people = PeopleActivities(resources)
    opening = OpenRequest(tenant=tenant, conversation="c1", customer="cust")
    await attempt(1).run(records.open_conversation, opening)
    over = taking("take_over")
    for _ in range(2):  # the second is a try whose answer was lost
        await attempt(1, "2").run(people.record_takeover, over)
    await attempt(1, "3").run(people.record_takeover, taking("hand_back"))
    with pytest.raises(ApplicationError, match="handed in before") as refused:
        await attempt(number, "2").run(people.record_takeover, over)
    assert refused.value.type == InvalidStatement.code
    async with records._pool.acquire() as connection:
        record = await read_conversation(connection, ConversationKey(tenant, "c1"))
    assert record.held_by is None


async def test_the_same_attempt_may_try_its_transaction_again(
    records: ConversationActivities, tenant: str
) -> None:
    opening = OpenRequest(tenant=tenant, conversation="c1", customer="cust")
    for number in (1, 1, 2):
        opened = await attempt(number).run(records.open_conversation, opening)
        assert not opened.closed
