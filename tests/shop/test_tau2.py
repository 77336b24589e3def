"""The reference calls of the tau2 retail tasks, played directly against the reads and actions."""

import pytest

from holdfast import ActionRefused, Connection, ReadError
from holdfast_shop.dataset import dump_dataset
from tests import tau2
from tests.shop.acting import TAU2, context, execute, facts, own_records, read

needs_data = pytest.mark.skipif(tau2.retail_folder() is None, reason=tau2.MISSING)
TASKS = [pytest.param(task, id=f"task-{task.id}") for task in tau2.tasks()] or [
    pytest.param(None, marks=pytest.mark.skip(reason=tau2.MISSING))
]
REPEATABLE = {"modify_pending_order_address", "modify_user_address"}


@needs_data
async def test_the_data_set_comes_out_as_it_went_in(connection: Connection) -> None:
    dumped = await dump_dataset(connection, TAU2)
    assert dumped == tau2.database()
    assert tau2.state_digest(dumped) == tau2.DATABASE_SHA256


@needs_data
def test_only_tasks_that_replace_several_items_differ_from_upstream() -> None:
    different = {
        task.id
        for task in tau2.tasks()
        if task.expected(tau2.database()) != task.upstream(tau2.database())
    }
    assert different == tau2.DIFFERENT_TASKS


@pytest.mark.parametrize("task", TASKS)
async def test_a_task_ends_in_the_expected_state(task: tau2.Task, connection: Connection) -> None:
    customer = task.customer(tau2.database())
    ctx = context(connection, customer=customer, tenant=TAU2)
    for call in task.calls:
        error = None
        try:
            if call.kind == "write":
                await execute(ctx, call.name, call.arguments)
            else:
                await read(connection, call.name, call.arguments, customer=customer, tenant=TAU2)
        except (ActionRefused, ReadError) as raised:
            error = str(raised)
        assert error == call.error, call

    ended = tau2.state_digest(await dump_dataset(connection, TAU2))
    if task.id in tau2.DIFFERENT_TASKS:
        assert tau2.state_digest(task.upstream(tau2.database())) == task.upstream_sha256
        assert ended == tau2.state_digest(task.expected(tau2.database()))
    else:
        assert ended == task.upstream_sha256


@pytest.mark.parametrize("task", TASKS)
async def test_facts_refuse_what_execution_would_and_no_write_succeeds_twice(
    task: tau2.Task, connection: Connection
) -> None:
    customer = task.customer(tau2.database())
    ctx = context(connection, customer=customer, tenant=TAU2)
    for call in task.calls:
        if call.kind != "write":
            continue
        if call.error:
            with pytest.raises(ActionRefused, match=f"^{call.error}$"):
                await facts(ctx, call.name, call.arguments)
            continue
        assert await facts(ctx, call.name, call.arguments)
        await execute(ctx, call.name, call.arguments)
        before = await own_records(connection, customer, tenant=TAU2)
        if call.name not in REPEATABLE:
            with pytest.raises(ActionRefused):
                await facts(ctx, call.name, call.arguments)
            with pytest.raises(ActionRefused):
                await execute(ctx, call.name, call.arguments)
        else:
            await execute(ctx, call.name, call.arguments)
        assert await own_records(connection, customer, tenant=TAU2) == before
