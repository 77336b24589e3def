"""An action can't end the transaction that it is lent; where it does all the same, nobody tries it again."""

import pytest

from holdfast.domain.errors import Permanent, TransactionEnded
from holdfast.domain.identity import TurnKey
from holdfast.store.action_history import account_of
from tests.activities.desk import Desk, Opening
from tests.activities.test_actions import effects

PACKAGES = ("tests.counter:package", "tests.activities.ending:package")
POLICY = "name: one\nversion: 1\nactions: {end: allow}\n"


async def _desk(opening: Opening, policy: str = POLICY) -> Desk:
    return await opening(policy=policy, packages=PACKAGES)


@pytest.mark.parametrize("policy", [POLICY, POLICY.replace("allow", "{deny: true}")])
@pytest.mark.parametrize(
    "statement",
    ["commit", "select 1; /* done */ END", "rollback; begin", "deallocate all", "discard temp"],
)
async def test_a_rehearsal_that_wants_to_end_its_transaction_leaves_nothing_and_is_not_tried_again(
    opening: Opening, statement: str, policy: str
) -> None:
    desk = await _desk(opening, policy)
    asked = await desk.propose("c1", ("end", {"statement": statement}), is_last=False)
    ((state, error),) = await desk.states(asked)
    assert state == "failed"
    assert "the transaction and its connection are lent" in str(error)
    assert await effects(desk) == []


@pytest.mark.parametrize("statement", ["commit", "commit; begin", "rollback"])
async def test_a_rehearsal_that_has_ended_its_transaction_ends_the_turn(
    opening: Opening, statement: str
) -> None:
    desk = await _desk(opening)
    end = {"statement": statement, "past": True}
    with pytest.raises(TransactionEnded, match=r"end, rehearsed: .* may stand") as raised:
        await desk.propose("c1", ("end", end), is_last=False)
    assert isinstance(raised.value, Permanent)


async def test_an_action_that_wants_to_end_its_transaction_fails_and_leaves_nothing(
    opening: Opening,
) -> None:
    desk = await _desk(opening)
    asked = await desk.propose("c1", ("end", {"statement": "commit", "when": "executed"}))
    assert await desk.execute(asked) == ["failed"]
    assert await effects(desk) == []


@pytest.mark.parametrize("statement", ["commit", "commit; begin", "rollback"])
async def test_of_an_action_that_has_ended_its_transaction_nobody_knows_what_it_did(
    opening: Opening, statement: str
) -> None:
    desk = await _desk(opening)
    end = {"statement": statement, "past": True, "when": "executed"}
    asked = await desk.propose("c1", ("end", end))
    assert await desk.execute(asked) == ["failed"]
    assert await desk.execute(asked) == ["failed"]
    assert len(await effects(desk)) <= 1
    ((_, error),) = await desk.states(asked)
    assert str(error).startswith("TransactionEnded: ")
    assert str(error).endswith("its outcome is unknown")
    async with desk.resources.pool.acquire() as connection:
        account = await account_of(connection, TurnKey(desk.tenant, "c1", asked.turn))
    assert [one.came_to for one in account.actions] == ["unclear"]
    assert account.half_done  # which calls a person


async def test_what_a_dead_worker_s_action_has_committed_is_not_done_again(
    opening: Opening,
) -> None:
    desk = await _desk(opening)
    end = {"statement": "commit", "past": True, "when": "executed"}
    asked = await desk.propose("c1", ("end", end))
    await desk.resources.pool.execute(
        "insert into holdfast.executions (tenant, action, idempotency_key, state)"
        " select tenant, id, id, 'sending' from holdfast.actions where tenant = $1",
        desk.tenant,
    )
    assert await desk.execute(asked) == ["failed"]
    assert await effects(desk) == []
    ((_, error),) = await desk.states(asked)
    assert str(error).endswith("its outcome is unknown")
