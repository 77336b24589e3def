"""Servers that go away in the middle of a turn, and come back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.domain.limits import Limits
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.testing import Hold, ModelReply, eventually, routed_to, text
from holdfast.worker.preparation import prepare
from holdfast_devstack.stack import LocalStack, local_stack
from tests.platform import PACKAGES, Platform, counting, open_platform


@pytest.fixture
async def own_stack(tmp_path: Path) -> AsyncIterator[LocalStack]:
    """Servers that no other test uses, to be killed."""
    async with local_stack(
        tmp_path, search_attributes=SEARCH_ATTRIBUTES, temporal_ui=False
    ) as stack:
        yield stack


@pytest.fixture
async def own_settings(own_stack: LocalStack) -> Settings:
    """Settings that name these servers, which are migrated."""
    settings = Settings.model_validate(
        {
            "temporal_address": own_stack.temporal_address,
            "database_url": own_stack.database_url,
            "migration_url": own_stack.migration_url,
            "unsigned_decisions": True,
            "health_port": 0,
        }
    )
    await prepare(settings, load_packages(PACKAGES), None)
    return settings


@pytest.fixture
async def own_platform(own_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A platform on these servers."""
    async with open_platform(own_settings, tenant) as platform:
        yield platform


@pytest.mark.parametrize("lost", ["postgres", "temporal"])
async def test_a_server_killed_in_the_middle_of_a_turn_costs_nothing(
    own_stack: LocalStack, own_platform: Platform, lost: str
) -> None:
    platform, hold = own_platform, Hold()
    steps = counting([("add", {"counter": "c", "amount": 5})], then="Added.")

    def answer(request: dict[str, object]) -> ModelReply:
        reply = steps(request)
        assert isinstance(reply, ModelReply)
        return reply.held(hold)

    platform.script = routed_to("counter", answer)
    result = asyncio.create_task(platform.send("c1", "add five", message_id="m1"))
    await hold.arrived.wait()
    server = own_stack.postgres if lost == "postgres" else own_stack.temporal
    assert server is not None
    await server.kill()
    hold.release()
    await server.start()
    assert (await result).reply == "Added."
    assert await platform.effects() == [5]
    assert (await platform.send("c1", "add five", message_id="m1")).reply == "Added."
    assert len((await platform.client.show("c1")).messages) == 2
    if lost == "postgres":
        assert platform.model.most_repeated == 1  # the answer has waited to be recorded
    await platform.replay("c1")


LADDER = """
name: ladder
version: 1
actions:
  add:
    approve:
      {roles: [counters], remind_after: 2s, escalate: [{after: 5s, roles: [boss]}], expire_after: 8s}
  add_for_good: allow
"""


async def test_deadlines_hold_over_a_restart_of_temporal_and_a_continue_as_new(
    own_stack: LocalStack,
    own_settings: Settings,
    tenant: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    policies = tmp_path_factory.mktemp("policies")
    (policies / "default.yaml").write_text(LADDER)
    async with open_platform(
        own_settings, tenant, policy_dir=policies, limits=Limits(turns_per_run=1)
    ) as platform:
        add = ("add", {"counter": "c", "amount": 5})
        platform.script = routed_to("counter", counting([add], then="Nobody decided."))
        (approval,) = (await platform.send("c1", "add five")).approvals
        asked_at = (await platform.client.approvals.get(approval)).requested_at
        assert own_stack.temporal is not None
        await own_stack.temporal.kill()
        await own_stack.temporal.start()
        # The policy has changed meanwhile, and a new run has begun: neither counts for what was asked.
        (policies / "default.yaml").write_text(
            LADDER.replace("version: 1", "version: 2").replace("8s", "72h").replace("boss", "lead")
        )
        platform.script = routed_to("counter", lambda _: text("Still here."))
        assert (await platform.send("c1", "and?")).reply == "Still here."

        async def ended() -> bool:
            return (await platform.client.approvals.get(approval)).state == "expired"

        await eventually(ended, within=40)
        record = await platform.client.approvals.get(approval)
        assert record.roles == ("boss", "counters")
        rows = await platform.database.fetch(
            "select kind, at from holdfast.audit where tenant = $1 and subject = $2 order by seq",
            tenant,
            approval,
        )
        passed = {row["kind"]: (row["at"] - asked_at).total_seconds() for row in rows}
        assert list(passed) == [
            "approval_requested",
            "approval_reminded",
            "approval_escalated",
            "approval_expired",
        ]
        due = {"approval_reminded": 2, "approval_escalated": 5, "approval_expired": 8}
        assert all(passed[kind] >= seconds for kind, seconds in due.items())
        # None waits for the one after it, whatever the machine is busy with.
        assert passed["approval_reminded"] < passed["approval_escalated"]
        await platform.replay("c1")
