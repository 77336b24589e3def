"""Many approvals, many reviewers, decisions that repeat and contradict each other, workers that die."""

import asyncio
import random
import signal
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from holdfast.domain.approval import ApprovalStatus
from holdfast.domain.decision import DecisionKind
from holdfast.domain.errors import AlreadyDecided
from holdfast.domain.review import Accept, Edit, Reject, Respond, Review, Reviewer
from holdfast.runtime.settings import Settings
from holdfast.store.audit import verify_audit
from holdfast.testing import ModelReply, eventually, routed_to
from tests.platform import Platform, counting, open_platform

ENDS = {"accept": "accepted", "edit": "accepted", "reject": "rejected", "respond": "responded"}
AMOUNT = 150
EDITED = 120


@pytest.fixture
async def remote(stack_settings: Settings, tenant: str) -> AsyncIterator[Platform]:
    """A platform whose workers the test starts, and kills."""
    async with open_platform(stack_settings, tenant, in_process=False) as opened:
        yield opened


def adding_to_its_own_counter(request: dict[str, Any]) -> ModelReply:
    """The agent of conversation `c7` wants to add to counter `c7`: its customer names it."""
    asked = next(one["content"] for one in request["messages"] if one["role"] == "user")
    add = ("add", {"counter": str(asked), "amount": AMOUNT})
    reply = counting([add], then="That is settled.")(request)
    assert isinstance(reply, ModelReply)
    return reply


class Reviewers:
    """They take decisions from one heap, and keep what they were told."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self._platform = platform
        self._random = random.Random(seed)
        self.told: dict[str, list[tuple[str, DecisionKind, ApprovalStatus | AlreadyDecided]]] = {}

    def heap(self, approvals: dict[str, str]) -> list[tuple[str, str, DecisionKind, str]]:
        """One decision for each approval; for three of ten another one that repeats it, or that
        contradicts it."""
        heap: list[tuple[str, str, DecisionKind, str]] = []
        kinds: list[DecisionKind] = ["accept", "accept", "edit", "reject", "respond"]
        for conversation, approval in approvals.items():
            first = (conversation, approval, self._random.choice(kinds), f"d-{approval}")
            heap.append(first)
            if self._random.random() < 0.3:
                other = (*first[:2], self._random.choice(kinds), f"e-{approval}")
                heap.append(first if self._random.random() < 0.5 else other)
        self._random.shuffle(heap)
        return heap

    async def work(self, heap: list[tuple[str, str, DecisionKind, str]]) -> None:
        while heap:
            conversation, approval, kind, id = heap.pop()
            reviews: dict[DecisionKind, Review] = {
                "accept": Accept(),
                "edit": Edit([{"counter": conversation, "amount": EDITED}]),
                "reject": Reject("because"),
                "respond": Respond("because"),
            }
            try:
                told: ApprovalStatus | AlreadyDecided
                told = await self._platform.client.approvals.decide(
                    approval,
                    reviews[kind],
                    by=Reviewer(  # who repeats a decision is who took it
                        f"r{zlib.crc32(id.encode()) % 20}", roles=["counters"]
                    ),
                    decision_id=id,
                    timeout=120,
                )
            except AlreadyDecided as refused:
                told = refused
            self.told.setdefault(approval, []).append((id, kind, told))


@pytest.mark.parametrize(
    ("conversations", "reviewers", "kill_every"),
    [
        (40, 8, 2.0),
        pytest.param(500, 20, 4.0, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_every_action_runs_as_often_as_the_decisions_say(
    remote: Platform, conversations: int, reviewers: int, kill_every: float
) -> None:
    remote.script = routed_to("counter", adding_to_its_own_counter)
    workers = [await remote.start_worker() for _ in range(2)]
    approvals: dict[str, str] = {}
    slots = asyncio.Semaphore(10)

    async def park(name: str) -> None:
        async with slots:
            (approvals[name],) = (await remote.send(name, name, timeout=300)).approvals

    await asyncio.gather(*(park(f"c{number}") for number in range(conversations)))
    everyone = Reviewers(remote, seed=conversations)
    heap = everyone.heap(approvals)

    decided = asyncio.Event()
    kills = 0

    async def kill() -> None:
        nonlocal kills
        while not decided.is_set():
            workers.append(await remote.start_worker())
            workers.pop(0).signal(signal.SIGKILL)
            kills += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(decided.wait(), kill_every)

    killing = asyncio.create_task(kill())
    await asyncio.gather(*(everyone.work(heap) for _ in range(reviewers)))
    decided.set()
    await killing
    assert kills

    async def gone_on() -> bool:
        return not await remote.database.fetchval(
            "select exists (select from holdfast.turns where tenant = $1"
            " and status = 'awaiting_approval')",
            remote.tenant,
        )

    await eventually(gone_on, within=60 + conversations / 2, what="every turn going on")
    effects: dict[str, list[int]] = {}
    for row in await remote.database.fetch(
        "select counter, amount from counter.effects where tenant = $1", remote.tenant
    ):
        effects.setdefault(row["counter"], []).append(row["amount"])
    for conversation, approval in approvals.items():
        record = await remote.client.approvals.get(approval)
        winner = record.approval.decision_id
        told = everyone.told[approval]
        kind = next(kind for id, kind, _ in told if id == winner)
        assert record.state == ENDS[kind]
        for id, _, said in told:
            if id == winner:
                assert isinstance(said, ApprovalStatus)
                assert (said.state, said.decision_id) == (ENDS[kind], winner)
            else:
                assert isinstance(said, AlreadyDecided)
        expected = {"accept": [AMOUNT], "edit": [EDITED]}.get(kind, [])
        assert effects.get(conversation, []) == expected, (conversation, kind)
    async with remote.database.acquire() as connection, connection.transaction():
        assert (await verify_audit(connection, remote.tenant)).problems == ()
