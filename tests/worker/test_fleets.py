"""Workers that differ: in their packages, in their versions, and one that has come after a renaming."""

import asyncio
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from holdfast.client.views import SentMessage
from holdfast.domain.events import ApprovalStale
from holdfast.domain.limits import Limits
from holdfast.domain.review import Accept, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.testing import ModelReply, eventually, is_triage, route, routed_to, text, tool_calls
from holdfast_devstack.ports import remembered_ports
from tests.platform import ROOT, Platform, counting, open_platform

COUNTER, SHOP = '["tests.counter:package"]', '["holdfast_shop:package"]'

_CODE = ("holdfast", "workflows", "activities", "worker.py", "tests")
_CHANGED = ("tests/counter/__init__.py", "holdfast/contract/tool_agent.py")
"""The agent's actions, and its nodes and channels."""

Change = Callable[[dict[str, str]], Path]


@pytest.fixture
def changed(tmp_path: Path) -> Change:
    """Makes a copy of the product in which the counter's package, or its graph, is another one."""

    def make(changes: dict[str, str]) -> Path:
        root = tmp_path / "changed"
        for name in _CODE:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "histories")
                shutil.copytree(source, root / name, symlinks=True, ignore=ignored)
            else:
                root.mkdir(exist_ok=True)
                shutil.copy(source, root / name)
        (root / "tests" / "counter" / "policy.yaml").write_text(
            "name: counter\nversion: 4\ndefault: allow\n"
        )
        for before, after in changes.items():
            modules = [root / name for name in _CHANGED]
            assert any(before in module.read_text() for module in modules)
            for module in modules:
                module.write_text(module.read_text().replace(before, after))
        return root

    return make


RENAMED_NODE = {'"act"': '"perform"'}
RENAMED_CHANNEL = {'"calls"': '"wishes"', "calls: list[dict": "wishes: list[dict"}
FOR_EVER = {'name="add_for_good",': 'name="add_for_ever",'}
OTHER_WAY = {'name="add",': 'name="add_otherwise",'}


async def problems(port: int) -> list[str]:
    async with httpx2.AsyncClient(timeout=10) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/ready")
    found: list[str] = answer.json()["problems"]
    assert (answer.status_code == 200) == (not found)
    return found


@pytest.fixture
def port(tmp_path: Path) -> int:
    """A free port for a worker's health."""
    return remembered_ports(tmp_path / "ports.json", ["health"])["health"]


async def acquainted(remote: Platform) -> None:
    """Wait until the workers that were started know each other, so that triage offers all agents."""

    async def both_are_there() -> object:
        return await remote.database.fetchval(
            "select max(started_at) from holdfast.workers where scope like $1 and left_at is null"
            " having count(*) > 1",
            f"%/{remote.settings.task_queue}",
        )

    async def all_have_been_seen() -> object:
        return await remote.database.fetchval(
            "select max(seen_at) from holdfast.workers where scope like $1 and left_at is null"
            " having min(seen_at) > $2",
            f"%/{remote.settings.task_queue}",
            since,
        )

    since = await eventually(both_are_there, what="meeting each other")
    for _ in range(2):  # a worker is seen before it looks; the second time it has looked
        since = await eventually(all_have_been_seen, what="meeting each other")


async def test_workers_with_different_packages_serve_every_turn_together(remote: Platform) -> None:
    await asyncio.gather(
        remote.start_worker(HOLDFAST_PACKAGES=COUNTER),
        remote.start_worker(HOLDFAST_PACKAGES=SHOP),
    )
    await acquainted(remote)
    remote.script = routed_to(
        "counter", counting([("add", {"counter": "c", "amount": 5})], then="Added.")
    )
    await remote.send("first", "Add five.")
    seconds = []
    for turn in range(8):
        started = time.monotonic()
        sent = await remote.send(f"c{turn}", "Add five.")
        seconds.append(time.monotonic() - started)
        assert (sent.status, sent.reply) == ("answered", "Added.")
    assert await remote.effects() == [5] * 9
    assert statistics.median(seconds) < 1
    for turn in range(8):
        history = await remote.handle(f"c{turn}").fetch_history()
        attempts = [
            event.activity_task_started_event_attributes.attempt
            for event in history.events
            if event.HasField("activity_task_started_event_attributes")
        ]
        assert set(attempts) == {1}  # taken to where it is served, not tried until it hits
    await remote.replay("c0")


async def test_an_agent_hands_over_to_one_that_another_worker_has(remote: Platform) -> None:
    await asyncio.gather(
        remote.start_worker(HOLDFAST_PACKAGES=COUNTER),
        remote.start_worker(HOLDFAST_PACKAGES=SHOP),
    )
    await acquainted(remote)

    def answer(request: dict[str, Any]) -> ModelReply:
        if is_triage(request):
            return route("counter")
        tools = {one["function"]["name"] for one in request.get("tools", ())}
        if "hand_over" in tools:
            return tool_calls(("hand_over", {"agent": "orders"}))
        return text("This is the shop.")

    remote.script = answer
    for turn in range(4):
        assert (await remote.send(f"c{turn}", "Hello.")).reply == "This is the shop."


async def asked(platform: Platform, then: str = "Added.") -> SentMessage:
    platform.script = routed_to(
        "counter", counting([("add", {"counter": "c", "amount": 150})], then=then)
    )
    sent = await platform.send("c1", "Add 150.")
    assert sent.status == "awaiting_approval"
    return sent


async def decided(platform: Platform, sent: SentMessage) -> None:
    await platform.client.approvals.decide(
        sent.approvals[0], Accept(), by=Reviewer("rita", roles=["counters"])
    )


async def test_an_approved_action_waits_for_a_worker_that_has_it(
    remote: Platform, port: int
) -> None:
    first = await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)
    sent = await asked(remote)
    await first.stop()
    without = await remote.start_worker(HOLDFAST_PACKAGES=SHOP, HOLDFAST_HEALTH_PORT=str(port))
    await decided(remote, sent)

    async def is_named() -> bool:
        found = " ".join(await problems(port))
        return "no worker has the action 'add'" in found and "turn 1 of" in found

    await eventually(is_named, within=40, what="the problem")
    assert await remote.effects() == []
    await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)

    async def is_answered() -> bool:
        return "Added." in [one.text for one in await remote.client.messages("c1")]

    await eventually(is_answered, what="the answer")
    assert await remote.effects() == [150]

    async def is_served() -> bool:
        return await problems(port) == []

    await eventually(is_served, within=40, what="the end of the problem")
    assert any("no worker has the action 'add'" in line for line in without.log)


async def test_no_action_of_a_proposal_runs_before_all_can(
    remote: Platform, port: int, changed: Change
) -> None:
    first = await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)
    both = [
        ("add", {"counter": "c", "amount": 150}),
        ("add_for_good", {"counter": "c", "amount": 5}),
    ]
    remote.script = routed_to("counter", counting(both, then="Added."))
    sent = await remote.send("c1", "Add 150, and 5 for good.")
    assert sent.status == "awaiting_approval"
    await first.stop()
    second = await remote.start_worker(
        HOLDFAST_PACKAGES=COUNTER, root=changed(FOR_EVER), HOLDFAST_HEALTH_PORT=str(port)
    )

    async def is_named() -> bool:  # the first is known to be gone
        return "no worker has the action 'add_for_good'" in " ".join(await problems(port))

    await eventually(is_named, within=40, what="the problem")
    await decided(remote, sent)

    async def is_handed_back() -> bool:
        handed_back: bool = await remote.database.fetchval(
            "select exists (select from holdfast.attempts where tenant = $1 and lacking like $2)",
            remote.tenant,
            "%add_for_good%",
        )
        return handed_back

    await eventually(is_handed_back, within=40, what="handing back")
    assert await remote.effects() == []
    await second.stop()
    await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)

    async def is_answered() -> bool:
        return "Added." in [one.text for one in await remote.client.messages("c1")]

    await eventually(is_answered, within=40, what="the answer")
    assert await remote.effects() == [150, 5]


async def test_a_message_waits_for_the_worker_of_its_agent(remote: Platform, port: int) -> None:
    first = await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)
    remote.script = routed_to("counter", lambda _: text("Here I am."))
    assert (await remote.send("c1", "Hello?")).reply == "Here I am."
    await first.stop()
    await remote.start_worker(HOLDFAST_PACKAGES=SHOP, HOLDFAST_HEALTH_PORT=str(port))
    waiting = asyncio.create_task(remote.send("c2", "Hello?"))

    async def is_named() -> bool:
        return "no worker has the package 'counter': 1 tasks wait" in " ".join(await problems(port))

    await eventually(is_named, within=40, what="the problem")
    assert not waiting.done()
    await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)
    assert (await waiting).reply == "Here I am."


async def test_handing_back_counts_as_no_attempt(
    stack_settings: Settings, tenant: str, changed: Change
) -> None:
    limits = Limits(attempts=1)
    async with open_platform(stack_settings, tenant, in_process=False, limits=limits) as platform:
        root = changed(OTHER_WAY)
        first = await platform.start_worker(HOLDFAST_PACKAGES=COUNTER)
        sent = await asked(platform)
        await first.stop()
        await platform.start_worker(HOLDFAST_PACKAGES=COUNTER, root=root)
        await decided(platform, sent)

        async def handed_back() -> bool:
            count = await platform.database.fetchval(
                "select max(handed_back) from holdfast.attempts where tenant = $1", tenant
            )
            return bool(count and count >= 3)

        await eventually(handed_back, what="handing back")
        await platform.start_worker(HOLDFAST_PACKAGES=COUNTER)

        async def is_answered() -> bool:
            return "Added." in [one.text for one in await platform.client.messages("c1")]

        await eventually(is_answered, what="the answer")
        assert await platform.effects() == [150]


async def test_an_action_fails_as_before_once_it_is_where_it_belongs(
    stack_settings: Settings, tenant: str, changed: Change
) -> None:
    limits = Limits(attempts=2)
    async with open_platform(stack_settings, tenant, in_process=False, limits=limits) as platform:
        await platform.start_worker(HOLDFAST_PACKAGES=COUNTER, root=changed(OTHER_WAY))
        await platform.start_worker(HOLDFAST_PACKAGES=COUNTER)
        await platform.start_worker(HOLDFAST_PACKAGES=SHOP)
        platform.script = routed_to(
            "counter",
            counting([("add_for_good", {"counter": "c", "amount": 500})], then="It broke."),
        )
        assert (await platform.send("c1", "Add 500.")).reply == "It broke."
        (action,) = (await platform.client.show("c1")).actions
        assert action.state == "failed"


@pytest.mark.parametrize(
    ("change", "lacking"),
    [(RENAMED_NODE, "the node 'act'"), (RENAMED_CHANNEL, "the channel 'calls'")],
    ids=["node", "channel"],
)
async def test_an_action_is_not_executed_where_the_graph_could_not_go_on_afterwards(
    remote: Platform, changed: Change, port: int, change: dict[str, str], lacking: str
) -> None:
    first = await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)
    sent = await asked(remote)
    await first.stop()
    second = await remote.start_worker(
        HOLDFAST_PACKAGES=COUNTER, root=changed(change), HOLDFAST_HEALTH_PORT=str(port)
    )

    async def is_named() -> bool:
        named = f"the agent 'counter' cannot go on without {lacking}"
        return any(named in one and "turn 1 of" in one for one in await problems(port))

    await eventually(is_named, within=40, what="the problem")
    assert any("WARNING" in line and lacking in line for line in second.log)
    await decided(remote, sent)

    async def is_ended() -> bool:
        return (await remote.client.show("c1")).status == "awaiting_human"

    await eventually(is_ended, what="the end of the turn")
    assert await remote.effects() == []
    view = await remote.client.show("c1")
    assert [one.state for one in view.actions] == ["stale"]
    (stale,) = [
        e.data async for e in remote.client.events("c1") if isinstance(e.data, ApprovalStale)
    ]
    assert lacking in stale.reason
    assert (await remote.client.approvals.get(sent.approvals[0])).state == "stale"
    await remote.replay("c1")


async def test_a_graph_goes_on_in_the_worker_that_has_it_as_it_was(
    remote: Platform, changed: Change
) -> None:
    await remote.start_worker(HOLDFAST_PACKAGES=COUNTER)
    sent = await asked(remote)
    await remote.start_worker(HOLDFAST_PACKAGES=COUNTER, root=changed(RENAMED_NODE))
    await decided(remote, sent)

    async def is_answered() -> bool:
        return "Added." in [one.text for one in await remote.client.messages("c1")]

    await eventually(is_answered, what="the answer")
    assert await remote.effects() == [150]
    assert (await remote.client.show("c1")).status == "open"
