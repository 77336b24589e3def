"""An action runs only as policy allows at that moment, and no two on one subject run at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from holdfast.activities.services import Services
from holdfast.domain.errors import NotApproved
from holdfast.domain.ids import json_digest
from holdfast.runtime.settings import Settings
from holdfast.store.faults import pausing
from holdfast.subgraphs.registry import load_packages
from holdfast.worker.assembly import open_services
from tests.activities.desk import Desk
from tests.platform import eventually

Opening = Callable[..., Awaitable[Desk]]

SUM = """
name: sums
version: {version}
windows: {{added: {{amount: args.amount, actions: [add], within: 30d}}}}
repeats: {{add: allow}}
actions:
  add: [{{when: windows.added + double(args.amount) > {limit}.0, {over}}}, allow]
"""


@pytest.fixture
async def opening(stack_settings: Settings, tenant: str, tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens a desk with conversations; under the counter's own policy, or the one given."""
    async with AsyncExitStack() as stack:

        async def open_(*conversations: str, policy: str | None = None) -> Desk:
            if policy is not None:
                (tmp_path / f"{tenant}.yaml").write_text(policy)
            settings = stack_settings.model_copy(
                update={"policy_dir": tmp_path, "database_connections": 25}
            )
            services: Services = await stack.enter_async_context(
                open_services(settings, load_packages(["tests.counter:package"]))
            )
            desk = Desk(services, settings, tenant, "cust")
            for conversation in conversations or ("c1",):
                await desk.open(conversation)
            return desk

        yield open_


def add(amount: int, counter: str = "c") -> tuple[str, dict[str, Any]]:
    return "add", {"counter": counter, "amount": amount}


async def effects(desk: Desk, counter: str = "c") -> list[int]:
    rows = await desk.services.pool.fetch(
        "select amount from counter.effects where tenant = $1 and counter = $2 order by amount",
        desk.tenant,
        counter,
    )
    return [row["amount"] for row in rows]


async def waiting_for_a_lock(desk: Desk) -> bool:
    found: bool = await desk.services.reads.fetchval(
        "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
    )
    return found


@pytest.mark.parametrize(
    ("action", "customers"), [("tally", ["cust"]), ("tally_together", ["cust", "other", "third"])]
)
async def test_twenty_executions_at_once_leave_twenty_records(
    opening: Opening, action: str, customers: list[str]
) -> None:
    names = [f"c{number}" for number in range(20)]
    desk = await opening()
    for number, name in enumerate(names, start=1):
        await desk.open(f"{name}-x", customers[number % len(customers)])
    asked = [await desk.propose(f"{name}-x", (action, {"counter": "n"})) for name in names]
    ended = await asyncio.gather(*(desk.execute(one) for one in asked))
    assert ended == [["executed"]] * 20
    assert await effects(desk, "n") == list(range(1, 21))


async def test_no_action_begins_between_another_s_permission_and_its_commit(
    opening: Opening,
) -> None:
    desk = await opening("c1", "c2")
    first, second = [await desk.propose(name, ("tally", {"counter": "n"})) for name in ("c1", "c2")]
    reached: list[str] = []

    async def hold() -> None:
        reached.append("permitted")
        if len(reached) == 1:
            await eventually(lambda: waiting_for_a_lock(desk), what="the second one waiting")
            assert reached == ["permitted"]

    with pausing("after_permission", hold):
        await asyncio.gather(desk.execute(first), desk.execute(second))
    assert await effects(desk, "n") == [1, 2]


async def test_two_proposals_are_not_counted_at_once_under_one_window(opening: Opening) -> None:
    desk = await opening("c1", "c2", policy=SUM.format(version=1, limit=100, over="deny: true"))
    reached: list[str] = []

    async def hold() -> None:
        reached.append("counted")
        if len(reached) == 1:
            await eventually(lambda: waiting_for_a_lock(desk), what="the second one waiting")

    with pausing("after_counting", hold):
        asked = await asyncio.gather(desk.propose("c1", add(60)), desk.propose("c2", add(60)))
    assert sorted(one.proposed.blocked for one in asked) == [False, True]


async def test_twenty_conversations_cannot_pass_one_window(opening: Opening) -> None:
    names = [f"c{number}" for number in range(20)]
    desk = await opening(*names, policy=SUM.format(version=1, limit=100, over="deny: true"))

    async def one(name: str) -> None:
        asked = await desk.propose(name, add(15), add(15))
        if not asked.proposed.blocked:
            assert await desk.execute(asked) == ["executed", "executed"]

    await asyncio.gather(*(one(name) for name in names))
    assert await effects(desk) == [15] * 6


async def test_a_window_is_counted_again_when_the_action_runs(opening: Opening) -> None:
    over = "approve: {roles: [boss]}"
    desk = await opening("c1", "c2", policy=SUM.format(version=1, limit=100, over=over))
    allowed = await desk.propose("c1", add(60))
    asked = await desk.propose("c2", add(60))
    assert await desk.accept(asked, reviewer="ann", roles=["boss"]) == "accepted"
    assert await desk.execute(asked) == ["executed"]
    assert await desk.execute(allowed) == ["stale"]
    assert "needs an approval now" in str(await desk.states(allowed))
    assert await effects(desk) == [60]


async def test_proposals_that_come_later_do_not_stop_an_earlier_one(opening: Opening) -> None:
    over = "approve: {roles: [boss]}"
    desk = await opening("c1", "c2", policy=SUM.format(version=1, limit=100, over=over))
    first = await desk.propose("c1", add(60), add(30))
    await desk.propose("c2", add(60))
    assert await desk.execute(first) == ["executed", "executed"]


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("deny: true", "stale"),
        ("allow: true", "executed"),
        ("approve: {roles: [boss]}", "executed"),
    ],
)
async def test_a_denial_of_the_policy_in_force_counts_beside_the_version_asked_under(
    opening: Opening, now: str, state: str, tmp_path: Path
) -> None:
    rules = "name: one\nversion: {}\nactions: {{add: {{{}}}}}\n"
    desk = await opening(policy=rules.format(1, "allow: true"))
    asked = await desk.propose("c1", add(1))
    later = await opening("c9", policy=rules.format(2, now))
    assert await later.execute(asked) == [state]


async def test_the_version_that_was_asked_under_is_asked_again(opening: Opening) -> None:
    rules = (
        "name: one\nversion: {}\nactions:\n  add:\n"
        "    - {{when: has(facts.total) && facts.total > {}, deny: true, reason: Too much.}}\n"
        "    - allow\n"
    )
    desk = await opening(policy=rules.format(1, 5))
    asked = await desk.propose("c1", add(1, "watched"))
    await desk.services.pool.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, 'watched', 6)",
        desk.tenant,
    )
    later = await opening("c9", policy=rules.format(2, 5_000))
    assert await later.execute(asked) == ["stale"]
    assert "Too much." in str(await later.states(asked))


async def test_facts_that_inform_do_not_bind_and_new_ids_are_the_same(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", ("open_ticket", {"counter": "n"}))
    await desk.accept(asked, reviewer="ann", roles=["counters"])
    assert await desk.execute(asked) == ["executed"]
    facts, result = await desk.services.pool.fetchrow(  # type: ignore[misc]
        "select facts, result from holdfast.actions where tenant = $1", desk.tenant
    )
    assert facts["ticket"] == result["ticket"]


async def test_facts_cannot_write(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", ("write_facts", {"counter": "n"}))
    assert asked.proposed.blocked
    ((state, error),) = await desk.states(asked)
    assert state == "failed"
    assert "ReadOnlySQLTransactionError" in str(error)
    assert await effects(desk, "n") == []


async def test_a_rehearsal_leaves_nothing_behind(opening: Opening) -> None:
    desk = await opening()
    asked = await desk.propose("c1", ("tally", {"counter": "n"}), ("tally", {"counter": "n"}))
    assert await effects(desk, "n") == []
    assert await desk.execute(asked) == ["executed", "executed"]
    assert await effects(desk, "n") == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        "arguments = arguments || '{\"amount\": 151}'",
        "facts = facts || '{\"amount\": 151}'",
        "description = jsonb_set(description, '{title}', '\"Harmless\"')",
    ],
)
async def test_what_is_changed_in_the_table_after_the_approval_is_not_executed(
    opening: Opening, change: str
) -> None:
    desk = await opening()
    asked = await desk.propose("c1", add(150))
    await desk.accept(asked, reviewer="ann", roles=["counters"])
    await desk.services.pool.execute(
        f"update holdfast.actions set {change} where tenant = $1", desk.tenant
    )
    with pytest.raises(NotApproved, match="something else"):
        await desk.execute(asked, attempts=3)
    assert await effects(desk) == []


async def test_an_approval_of_an_earlier_version_runs_all_its_actions(opening: Opening) -> None:
    """Its digest covers names and arguments, and the facts of all its actions are those before any ran."""
    desk = await opening()
    actions = [add(150, "watched"), add(160, "watched")]
    asked = await desk.propose("c1", *actions)
    before = json_digest([{"name": name, "arguments": given} for name, given in actions])
    await desk.services.pool.execute(
        "update holdfast.actions set facts = facts || '{\"total\": 0}' where tenant = $1",
        desk.tenant,
    )
    await desk.services.pool.execute(
        """
        update holdfast.approvals
           set asked = asked - 'covers' || jsonb_build_object('args_digest', $2::text),
               approval = approval - 'covers' || jsonb_build_object('args_digest', $2::text),
               args_digest = $2
         where tenant = $1
        """,
        desk.tenant,
        before,
    )
    assert await desk.accept(asked, reviewer="ann", roles=["counters"]) == "accepted"
    assert await desk.execute(asked) == ["executed", "executed"]


async def test_a_forged_acceptance_is_not_executed(opening: Opening) -> None:
    """The row of the approval says accepted, the decision is there, and nobody has signed it."""
    desk = await opening()
    asked = await desk.propose("c1", add(150))
    await desk.accept(asked, reviewer="ann", roles=["counters"])
    await desk.services.pool.execute(
        "update holdfast.decisions set reviewer = 'bob', roles = '[\"counters\"]' where tenant = $1",
        desk.tenant,
    )
    with pytest.raises(Exception, match="statement"):
        await desk.execute(asked, attempts=3)
    assert await effects(desk) == []
