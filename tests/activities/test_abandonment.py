"""Actions that are left, since nobody serves them: only where nobody has begun them."""

import pytest

from holdfast.activities.abandonment import AbandonmentActivities
from holdfast.domain.activity_protocol import ActionReport, LeaveRequest
from holdfast.store.actions import begin_execution, begin_undoing
from tests.activities.desk import Asked, Desk, Opening

ADD = ("add", {"counter": "c", "amount": 1})
MORE = ("add", {"counter": "c", "amount": 2})


@pytest.fixture
async def desk(opening: Opening) -> Desk:
    return await opening("c1")


async def leave(
    desk: Desk, asked: Asked, index: int = 0, *, undo: bool = False
) -> ActionReport | None:
    request = desk.request(asked, index)
    wanted = LeaveRequest(**request.model_dump(), reason="nobody came", undo=undo)
    report: ActionReport | None = await desk._run(
        AbandonmentActivities(desk.resources).leave_action, wanted
    )
    return report


async def action_id(desk: Desk, asked: Asked, index: int = 0) -> str:
    found: str = await desk.resources.pool.fetchval(
        "select id from holdfast.actions "
        "where tenant = $1 and conversation = $2 and turn = $3 and index = $4",
        desk.tenant,
        asked.conversation,
        asked.turn,
        index,
    )
    return found


async def test_what_nobody_has_begun_is_not_attempted_and_never_runs(desk: Desk) -> None:
    asked = await desk.propose("c1", ADD, MORE)
    left = await leave(desk, asked)
    assert left is not None
    assert left.state == "not_attempted"
    assert (await desk.execute_one(asked)).state == "not_attempted"
    states = await desk.states(asked)
    assert [state for state, _ in states] == ["not_attempted", "not_attempted"]
    assert states[0][1] == "nobody came; nothing was done"


async def test_what_may_have_been_begun_is_not_left(desk: Desk) -> None:
    asked = await desk.propose("c1", ADD)
    async with desk.resources.pool.acquire() as connection:
        one = await action_id(desk, asked)
        await begin_execution(connection, desk.tenant, one, idempotency_key=one, subject="s")
    assert await leave(desk, asked) is None
    assert [state for state, _ in await desk.states(asked)] == ["proposed"]


async def test_what_was_done_keeps_its_end(desk: Desk) -> None:
    asked = await desk.propose("c1", ADD)
    assert await desk.execute(asked) == ["executed"]
    left = await leave(desk, asked)
    assert left is not None
    assert left.state == "executed"


async def test_what_nobody_begins_to_undo_stands(desk: Desk) -> None:
    asked = await desk.propose("c1", ADD, MORE)
    assert (await desk.execute_one(asked)).state == "executed"
    standing = await leave(desk, asked, undo=True)  # nothing has failed yet
    assert standing is not None
    assert await desk.states(asked) == [("executed", None), ("proposed", None)]
    await leave(desk, asked, 1)
    async with desk.resources.pool.acquire() as connection:
        await begin_undoing(connection, desk.tenant, await action_id(desk, asked))
    assert await leave(desk, asked, undo=True) is None
    async with desk.resources.pool.acquire() as connection:
        await connection.execute(
            "update holdfast.executions set state = 'executed', undo_tries = 0 where tenant = $1",
            desk.tenant,
        )
    await leave(desk, asked, undo=True)
    state, error = (await desk.states(asked))[0]
    assert state == "executed"
    assert error is not None
    assert error.startswith("It should have been undone")
