"""Operations: once, however often they are tried; by workers alone; on nobody's word."""

import asyncio
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from temporalio import activity
from temporalio.client import WorkflowExecution, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.exceptions import TimeoutError as OutOfTime

from holdfast.client import HoldfastClient
from holdfast.domain import wire
from holdfast.domain.errors import InvalidRequest, Unavailable
from holdfast.domain.operations import OperationStart, SightingRequest
from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.connection import require_migration_url
from holdfast.store.faults import pausing
from holdfast.testing import eventually, routed_to
from tests.platform import ROOT, Platform, counting
from tests.workflows.test_audited import entries

_GRANTS = re.compile("`(grant [^`]+)`")
_PAGE = ROOT / "docs" / "operations.md"

_ROLES_LOCK = 0x526F6C65
"""As in `holdfast.store.roles`."""


async def asked(platform: Platform) -> str:
    """An approval that waits, in a conversation of which a turn has ended."""
    adding = [("add", {"counter": "c", "amount": 150})]
    await platform.send("c1", "hello")
    platform.script = routed_to("counter", counting(adding, then="That is settled."))
    return (await platform.send("c1", "add it")).approvals[0]


async def everything(client: HoldfastClient, approval: str) -> None:
    """Whatever the client has written outside of a conversation's workflow."""
    await client.approvals.get(approval, reader="ann")
    await client.show("c1", reader="ann")
    forked = await client.fork("c1", turn=1, target="c2", by="ann")
    assert (forked.id, forked.forked_from) == ("c2", "c1@1")
    assert [one async for one in client.audit.export(reader="ann")][-1].kind == "audit_exported"
    assert await client.deliveries.redrive_all(by="ann") == []


KINDS = ("approval_seen", "conversation_read", "conversation_forked", "audit_exported")


async def test_an_operation_whose_worker_lost_the_answer_is_not_carried_out_again(
    platform: Platform,
) -> None:
    approval = await asked(platform)
    lost = []

    async def lose() -> None:
        info = activity.info()
        if info.attempt == 1:
            lost.append(info.activity_type)
            raise RuntimeError("after the commit")

    with pausing("after_operation_commit", lose):
        await everything(platform.client, approval)
    assert len(lost) == 5
    assert [one.kind for one in await entries(platform, *KINDS)] == [*KINDS]


async def operations(platform: Platform) -> list[WorkflowExecution]:
    """The workflows of the tenant's operations."""
    query = f"WorkflowType = '{wire.OPERATION_WORKFLOW}' AND HoldfastTenant = '{platform.tenant}'"
    return [one async for one in platform.temporal.list_workflows(query)]


async def test_what_a_reviewer_has_seen_before_starts_no_workflow(platform: Platform) -> None:
    approval = await asked(platform)
    for reader in ("ann", "ann", "bob"):
        await platform.client.approvals.get(approval, reader=reader)

    async def both() -> bool:
        return len(await operations(platform)) >= 2

    await eventually(both, what="the workflows to be listed")
    assert len(await operations(platform)) == 2


async def test_without_a_worker_an_operation_is_unavailable_and_is_not_carried_out_later(
    platform: Platform,
) -> None:
    elsewhere = platform.settings.model_copy(update={"task_queue": f"q-{platform.tenant}-nobody"})
    async with HoldfastClient.connect(elsewhere, tenant=platform.tenant) as client:
        with pytest.raises(Unavailable, match="redrive_deliveries was not answered within 2 s"):
            await client.deliveries.redrive_all(timeout=2.0)
    [started] = await eventually(lambda: operations(platform), what="its workflow to be listed")
    handle = platform.temporal.get_workflow_handle(started.id)
    with pytest.raises(WorkflowFailureError) as failed:
        await asyncio.wait_for(handle.result(), timeout=10)
    assert isinstance(failed.value.cause, OutOfTime)


async def test_nobody_who_has_not_read_an_approval_can_say_that_somebody_has_seen_it(
    platform: Platform,
) -> None:
    record = await platform.client.approvals.get(await asked(platform))
    sighting = SightingRequest(
        tenant=platform.tenant,
        approval=record.id,
        reviewer="ann",
        digest=record.args_digest,
        receipt=record.args_digest,
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await platform.temporal.execute_workflow(
            wire.OPERATION_WORKFLOW,
            OperationStart(task_queue=platform.settings.task_queue, operation=sighting),
            id=f"{platform.tenant}/operations/{uuid4().hex}",
            task_queue=wire.workflows_queue(platform.settings.task_queue),
            execution_timeout=timedelta(seconds=20),
        )
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == InvalidRequest.code
    assert await entries(platform, "approval_seen") == []


async def test_the_client_works_with_a_role_that_may_only_write_what_it_lets_in(
    platform: Platform,
) -> None:
    role = f"{platform.tenant}-services"
    url = make_url(require_migration_url(platform.settings)).set(username=role, password="secret")

    async def change(statements: str) -> None:
        async with platform.database.acquire() as connection, connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _ROLES_LOCK)
            await connection.execute(statements)

    own = SecretStr(url.render_as_string(hide_password=False))
    settings = platform.settings.model_copy(update={"database_url": own})
    grants = _GRANTS.findall(_PAGE.read_text())
    assert len(grants) == 4
    made = f"create role \"{role}\" login password 'secret'"
    await change("; ".join([made, *(f'{grant} to "{role}"' for grant in grants)]))
    try:
        async with HoldfastClient.connect(settings, tenant=platform.tenant) as client:
            await client.send("c1", "hello", customer=platform.customer)
            approval = await asked(platform)
            await everything(client, approval)
            await client.approvals.decide(
                approval, Accept(), by=Reviewer("rita", roles=["counters"])
            )
            await client.people.take_over("c1", reviewer="ann")
            await client.close("c2")
    finally:
        await change(f'drop owned by "{role}"; drop role "{role}"')
