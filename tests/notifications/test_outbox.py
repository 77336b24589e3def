"""What is written down to be sent, and what operators see and redrive."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.domain.approval import Approval
from holdfast.domain.decision import Decision
from holdfast.domain.description import ActionDescription
from holdfast.domain.errors import DeliveryNotDead, DeliveryNotFound, InvalidRequest
from holdfast.domain.identity import ConversationKey
from holdfast.domain.terms import Alarm, Requirement
from holdfast.domain.transitions import decide
from holdfast.notifications.outbox import enqueue_alarm, enqueue_decision, enqueue_request
from holdfast.store.approvals import save_approval
from holdfast.store.deliveries import begin_attempt, record_delivered, record_failed
from holdfast.store.pool import Connection
from holdfast.store.steps import NewAction, NewApproval
from tests.notifications.notices import email, notice, notifications, webhook
from tests.notifications.office import Office

URL = "https://hooks.example.com"

ASKED_AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

APPROVAL = Approval(
    id="ap_1",
    turn=1,
    step=2,
    args_digest="d" * 64,
    requirements=(Requirement(roles=("refunds",)),),
    requested_at=ASKED_AT,
    expires_at=ASKED_AT + timedelta(hours=48),
    schedule=(
        Alarm(at=ASKED_AT + timedelta(hours=1), kind="remind"),
        Alarm(at=ASKED_AT + timedelta(hours=2), kind="escalate", roles=("managers",)),
    ),
)
ASKED = NewApproval(
    approval=APPROVAL,
    agent="orders",
    reason="The parcel is lost.",
    evidence=(),
    policy_name="shop",
    policy_version=1,
    policy_digest="",
    policy_reason=None,
    amount=None,
)
REFUND = NewAction(
    id="act_1",
    index=0,
    name="refund",
    arguments={"amount": 120},
    facts={},
    verdict="approve",
    state="proposed",
    approval="ap_1",
    description=ActionDescription(title="Refund 120.00 EUR"),
)
DECISION = Decision(
    id="dec_1",
    approval="ap_1",
    kind="reject",
    reviewer="lena",
    roles=("refunds",),
    digest=APPROVAL.args_digest,
    text="Not lost.",
)


@pytest.fixture
async def connection(office: Office) -> AsyncIterator[Connection]:
    """In a database that has the approval."""
    async with office.pool.acquire() as opened:
        await opened.execute(
            "insert into holdfast.conversations (tenant, id, customer) values ($1, 'c1', 'cust')",
            office.tenant,
        )
        await opened.execute(
            """
            insert into holdfast.approvals
                (tenant, id, conversation, turn, step, agent, requester, reason, evidence,
                 args_digest, policy_name, policy_version, roles, state, requested_at, expires_at,
                 asked, approval, due_at)
            values ($1, $2, 'c1', 1, 2, 'orders', 'cust', $3, '[]', $4, 'shop', 1, $5, 'pending',
                    $6, $7, $8, $8, $9)
            """,
            office.tenant,
            APPROVAL.id,
            ASKED.reason,
            APPROVAL.args_digest,
            list(APPROVAL.roles),
            APPROVAL.requested_at,
            APPROVAL.expires_at,
            APPROVAL.model_dump(mode="json"),
            APPROVAL.due_at,
        )
        await opened.execute(
            """
            insert into holdfast.actions
                (tenant, id, conversation, turn, step, index, name, arguments, facts, verdict, state,
                 approval, description)
            values ($1, 'act_1', 'c1', 1, 2, 0, 'refund', $2, '{}', 'approve', 'proposed', 'ap_1', $3)
            """,
            office.tenant,
            REFUND.arguments,
            REFUND.description and REFUND.description.model_dump(mode="json"),
        )
        yield opened


async def test_a_notice_is_written_down_once_for_each_receiver(office: Office) -> None:
    told = notifications(
        office.tenant, webhook(URL), email("lena@example.com", "omar@example.com"), smtp_port=25
    )
    first = await office.enqueue(told, notice(office.tenant))
    assert first == await office.enqueue(told, notice(office.tenant))
    assert len(first) == 3
    records = await office.client.deliveries.list()
    assert {one.id for one in records} == set(first)
    assert {one.batch for one in records} == {first[0]}
    assert sorted((one.kind, one.recipient) for one in records if one.recipient) == [
        ("email", "lena@example.com"),
        ("email", "omar@example.com"),
    ]
    other = await office.enqueue(told, notice(office.tenant, occurrence="2"))
    assert not set(other) & set(first)


async def test_what_is_rolled_back_is_not_told(office: Office) -> None:
    told = notifications(office.tenant, webhook(URL))
    async with office.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert await enqueue_request(
            connection,
            told,
            ConversationKey(office.tenant, "c1"),
            asked=ASKED,
            actions=(REFUND,),
        )
        await transaction.rollback()
    assert await office.client.deliveries.list() == []


async def test_who_is_not_asked_is_not_told(office: Office) -> None:
    told = notifications(office.tenant, webhook(URL, roles=["managers"]))
    assert await office.enqueue(told, notice(office.tenant)) == ()
    assert await office.enqueue(notifications("other", webhook(URL)), notice(office.tenant)) == ()
    assert await office.client.deliveries.list() == []


async def test_a_request_says_what_is_asked_for(office: Office, connection: Connection) -> None:
    told = notifications(office.tenant, webhook(URL))
    deliveries = await enqueue_request(
        connection, told, ConversationKey(office.tenant, "c1"), asked=ASKED, actions=(REFUND,)
    )
    payload = (await office.delivery(*deliveries)).payload
    assert (payload.type, payload.timestamp) == ("approval.requested", ASKED_AT)
    data = payload.data
    assert (data.approval, data.conversation, data.turn) == ("ap_1", "c1", 1)
    assert (data.state, data.roles, data.reviewer) == ("pending", ("refunds",), None)
    assert data.due_at == ASKED_AT + timedelta(hours=1)
    (action,) = data.actions
    assert (action.name, action.title) == ("refund", "Refund 120.00 EUR")
    assert action.arguments == {"amount": 120}


async def test_a_decision_tells_those_who_were_asked_who_decided_and_why(
    office: Office, connection: Connection
) -> None:
    told = notifications(office.tenant, webhook(URL, roles=["refunds"]))
    decided = decide(APPROVAL, DECISION, now=ASKED_AT)
    await save_approval(connection, office.tenant, decided)
    deliveries = await enqueue_decision(
        connection, told, tenant=office.tenant, approval=decided, decision=DECISION
    )
    payload = (await office.delivery(*deliveries)).payload
    assert payload.type == "approval.decided"
    data = payload.data
    assert (data.state, data.reviewer, data.text) == ("rejected", "lena", "Not lost.")
    assert (data.roles, data.due_at) == (("refunds",), None)
    assert data.actions[0].title == "Refund 120.00 EUR"


async def test_an_accepted_approval_is_still_told_to_the_roles_that_were_asked(
    office: Office, connection: Connection
) -> None:
    accepting = DECISION.model_copy(update={"kind": "accept", "text": ""})
    accepted = decide(APPROVAL, accepting, now=ASKED_AT)
    assert (accepted.state, accepted.roles) == ("accepted", ())
    await save_approval(connection, office.tenant, accepted)
    told = notifications(office.tenant, webhook(URL, roles=["refunds"]))
    deliveries = await enqueue_decision(
        connection, told, tenant=office.tenant, approval=accepted, decision=accepting
    )
    assert (await office.delivery(*deliveries)).payload.data.state == "accepted"


async def test_a_decision_that_settles_nothing_is_not_told(
    office: Office, connection: Connection
) -> None:
    claiming = DECISION.model_copy(update={"kind": "claim", "text": ""})
    claimed = decide(APPROVAL, claiming, now=ASKED_AT)
    told = notifications(office.tenant, webhook(URL))
    assert not await enqueue_decision(
        connection, told, tenant=office.tenant, approval=claimed, decision=claiming
    )


async def test_each_alarm_is_told_once_and_an_escalation_to_those_who_may_decide_now(
    office: Office, connection: Connection
) -> None:
    told = notifications(office.tenant, webhook(URL), webhook(URL, "managers", roles=["managers"]))
    approval = APPROVAL
    while (due := approval.next_alarm(APPROVAL.expires_at)) is not None:
        approval, alarm = due
        await save_approval(connection, office.tenant, approval)
        for _ in range(2):
            await enqueue_alarm(
                connection, told, tenant=office.tenant, approval=approval, alarm=alarm
            )
    found = await office.client.deliveries.list()
    told_of = sorted((one.channel, one.payload.type) for one in found)
    assert told_of == [
        ("managers", "approval.escalated"),
        ("managers", "approval.expired"),
        ("slack", "approval.escalated"),
        ("slack", "approval.expired"),
        ("slack", "approval.reminded"),
    ]


async def test_a_withdrawn_approval_is_told(office: Office, connection: Connection) -> None:
    told = notifications(office.tenant, webhook(URL))
    withdrawn = APPROVAL.withdraw()
    await save_approval(connection, office.tenant, withdrawn)
    deliveries = await enqueue_alarm(
        connection, told, tenant=office.tenant, approval=withdrawn, alarm=None
    )
    payload = (await office.delivery(*deliveries)).payload
    assert (payload.type, payload.data.state) == ("approval.withdrawn", "withdrawn")


async def test_only_dead_deliveries_are_redriven_and_all_of_them_or_none(office: Office) -> None:
    told = notifications(office.tenant, webhook(URL))
    ids = [
        (await office.enqueue(told, notice(office.tenant, occurrence=one)))[0]
        for one in ("dead", "pending", "delivered")
    ]
    dead, pending, delivered = ids
    async with office.pool.acquire() as connection:
        for one in (dead, delivered):
            assert await begin_attempt(connection, office.tenant, one) is not None
        state = await record_failed(
            connection, office.tenant, dead, status=410, error="HTTP 410", final=True
        )
        assert state == "dead"
        await record_delivered(connection, office.tenant, delivered, status=200)
    for other in (pending, delivered):
        with pytest.raises(DeliveryNotDead, match=other):
            await office.client.deliveries.redrive([dead, other])
    with pytest.raises(DeliveryNotFound, match="dl_nowhere"):
        await office.client.deliveries.redrive([dead, "dl_nowhere"])
    with pytest.raises(InvalidRequest):
        await office.client.deliveries.redrive([])
    other_tenant = office.client.for_tenant(f"{office.tenant}-2")
    with pytest.raises(DeliveryNotFound):
        await other_tenant.deliveries.redrive([dead])
    assert await other_tenant.deliveries.redrive_all() == []
    assert [one.id for one in await office.client.deliveries.list(state="dead")] == [dead]
    assert await office.client.deliveries.redrive_all() == [dead]
    redriven = await office.delivery(dead)
    assert (redriven.state, redriven.attempts) == ("pending", 1)


async def test_a_late_failure_does_not_undo_a_success(office: Office) -> None:
    told = notifications(office.tenant, webhook(URL))
    (delivery,) = await office.enqueue(told, notice(office.tenant))
    async with office.pool.acquire() as connection:
        await record_delivered(connection, office.tenant, delivery, status=204)
        state = await record_failed(
            connection, office.tenant, delivery, status=500, error="late", final=False
        )
        assert state == "delivered"
        assert await begin_attempt(connection, office.tenant, delivery) is None
    record = await office.delivery(delivery)
    assert (record.last_status, record.last_error) == (204, None)
