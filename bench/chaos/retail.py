"""The shared retail tasks as conversations of a run, each in a tenant of its own with the whole data set."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.chaos.plan import ConversationPlan, PlannedMessage, Round
from bench.chaos.stack import ChaosStack
from holdfast_shop.dataset import dump_dataset, load_dataset
from tests import tau2
from tests.retail import journal

_POLICIES = Path(journal.__file__).parent / "policies"
_CONVERSATION = "c1"
_MOVES_PAYMENT = "modify_pending_order_payment"

Form = Literal["allow", "approve"]


@dataclass(frozen=True, kw_only=True)
class RetailPlay:
    """A task, and whether its writes run at once or wait for a reviewer."""

    task: tau2.Task
    form: Form

    @property
    def tenant(self) -> str:
        """Where it is played."""
        return f"retail-{self.task.id}-{self.form}"

    def plan(self) -> ConversationPlan:
        """Its conversation: one message, and a reviewer who accepts everything."""
        said = f"Task {self.task.id}. {self.task.instructions['reason_for_call']}"
        message = PlannedMessage(id=f"task-{self.task.id}", text=said, delays=(0.0, 0.3))
        return ConversationPlan(
            tenant=self.tenant,
            conversation=_CONVERSATION,
            customer=self.task.customer(tau2.database()),
            rounds=(Round(kind="retail", messages=(message,), reviewer_accepts=True),),
        )


def choose_plays(seed: int, count: int) -> list[RetailPlay]:
    """Some of the tasks; none where the data is missing."""
    tasks = list(tau2.tasks())
    chance = random.Random(f"{seed}-retail")
    chance.shuffle(tasks)
    return [
        RetailPlay(task=task, form=chance.choice(("allow", "approve"))) for task in tasks[:count]
    ]


async def load_plays(stack: ChaosStack, plays: Sequence[RetailPlay]) -> None:
    """Load the tenants' data and policies, and begin to note what happens to the data."""
    for play in plays:
        policy = await asyncio.to_thread((_POLICIES / play.form / "default.yaml").read_text)
        own = stack.policies / f"{play.tenant}.yaml"
        await asyncio.to_thread(own.write_text, policy)
    async with stack.database.acquire() as connection:
        for play in plays:
            await load_dataset(connection, play.tenant, tau2.database())
        await journal.watch(connection)


async def problems_of(stack: ChaosStack, play: RetailPlay) -> list[str]:
    """How the shop differs from what the task should have made of it, and its writes from once each."""
    async with stack.database.acquire() as connection:
        seen = await journal.writes(connection, play.tenant)
        ended = tau2.state_digest(await dump_dataset(connection, play.tenant))
    expected = play.task.upstream_sha256
    if play.task.id in tau2.DIFFERENT_TASKS:
        expected = tau2.state_digest(play.task.expected(tau2.database()))
    done = [call for call in play.task.calls if call.kind == "write" and call.error is None]
    problems = []
    if seen != (writes := [_write(call) for call in done]):
        problems.append(f"{play.tenant}: the shop saw the writes {seen}, expected {writes}")
    if ended != expected:
        problems.append(f"{play.tenant}: the shop's end state is another one than the task's")
    return problems


def _write(call: tau2.Call) -> journal.Write:
    record = call.arguments.get("order_id") or call.arguments["user_id"]
    return journal.Write(record=str(record), updates=0 if call.name == _MOVES_PAYMENT else 1)
