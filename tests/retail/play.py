"""Plays the retail tasks through the whole platform: message, triage, subgraph, proposal, policy,
approval, execution, resume.

Each task has a tenant of its own, loaded with the whole data set. The model is scripted on the wire:
it routes the message to the agent for orders and there makes the reference calls, one in each
completion, finding its place by the tool messages that it has got. Two forms differ in the policy
only: `allow` lets every write run at once, `approve` parks each for a reviewer, who accepts it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal
from uuid import uuid4

import asyncpg
from pydantic import SecretStr

from holdfast.client import HoldfastClient
from holdfast.domain.review import Accept, Reviewer
from holdfast.packages.registry import load_packages
from holdfast.runtime.connection import require_database_url, require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.testing import ModelReply, eventually, routed_to, text, tool_calls
from holdfast.worker.preparation import prepare
from holdfast_shop.dataset import dump_dataset, load_dataset
from tests import tau2
from tests.platform import Platform, open_platform
from tests.retail import journal

Form = Literal["allow", "approve"]
FORMS: tuple[Form, ...] = ("allow", "approve")

_POLICIES = Path(__file__).parent / "policies"
_PACKAGES = ("holdfast_shop:package",)
_CONVERSATION = "c1"
_FAREWELL = "That is all I could do for you today."
_MOVES_PAYMENT = "modify_pending_order_payment"
_TRANSFER = "transfer_to_human_agents"


@dataclass(frozen=True, kw_only=True)
class Played:
    """How a task went: without `problems` as the reference says. `seconds` is without loading."""

    task: tau2.Task
    form: Form
    problems: tuple[str, ...]
    seconds: float


class Retail:
    """A platform with the shop in which tasks can be played, any number of them at once."""

    def __init__(self, platform: Platform, form: Form) -> None:
        self._platform = platform
        self._form = form
        self._tasks = {_message(task): task for task in tau2.tasks()}
        self._told: dict[str, list[str]] = {}
        """What the model was told by its tools, by task."""
        platform.script = routed_to("orders", self._next_call)

    async def play(self, task: tau2.Task) -> Played:
        """Play one task and compare everything that came of it with the reference."""
        client = self._platform.client.for_tenant(f"task-{task.id}-{uuid4().hex[:8]}")
        async with self._platform.database.acquire() as connection, connection.transaction():
            await load_dataset(connection, client.tenant, tau2.database())
            await journal.forget(connection, client.tenant)
        started = monotonic()
        customer = task.customer(tau2.database())
        sent = await client.send(_CONVERSATION, _message(task), customer=customer)
        if sent.status == "awaiting_approval":
            await eventually(partial(_approve, client), within=60.0, what="the end of the turn")
        seconds = monotonic() - started
        problems = [
            *self._wrong_answers(task),
            *await self._wrong_records(client, task),
            *await self._wrong_effects(client.tenant, task),
        ]
        return Played(task=task, form=self._form, problems=tuple(problems), seconds=seconds)

    def _next_call(self, request: dict[str, Any]) -> ModelReply:
        """The model: the next reference call, or the last words."""
        said = [one["content"] for one in request["messages"] if one["role"] == "user"]
        task = self._tasks[said[-1]]
        told = [one["content"] for one in request["messages"] if one["role"] == "tool"]
        self._told[task.id] = told
        if len(told) == len(task.calls):
            return text(_FAREWELL)
        call = task.calls[len(told)]
        return tool_calls((call.name, call.arguments))

    def _wrong_answers(self, task: tau2.Task) -> list[str]:
        """Calls that were answered by another error than the reference's, or by one at all."""
        told = self._told.get(task.id, [])
        return _differences(
            "errors",
            [_error(answer) for answer in told],
            [call.error for call in task.calls],
        )

    async def _wrong_records(self, client: HoldfastClient, task: tau2.Task) -> list[str]:
        """Whether the platform's own records say that each write ran once, as its form demands."""
        view = await client.show(_CONVERSATION)
        approvals = await client.approvals.list(state=None, conversation=_CONVERSATION)
        done = _succeeding(task)
        transferred = any(call.name == _TRANSFER for call in task.calls)
        return [
            *_differences(
                "actions",
                [(one.name, one.verdict, one.state, one.executions) for one in view.actions],
                [
                    (call.name, "deny", "refused", 0)
                    if call.error
                    else (call.name, self._form, "executed", 1)
                    for call in task.calls
                    if call.kind == "write"
                ],
            ),
            *_differences(
                "approvals",
                [(one.actions[0].name, one.state) for one in approvals],
                [(call.name, "accepted") for call in done if self._form == "approve"],
            ),
            *_differences("last message", view.messages[-1].text, _FAREWELL),
            *_differences("status", view.status, "awaiting_human" if transferred else "open"),
        ]

    async def _wrong_effects(self, tenant: str, task: tau2.Task) -> list[str]:
        """Whether the shop saw each write once, and ended in the expected state.

        For the tasks of `DIFFERENT_TASKS` that is the state in which each replaced item has the
        price and options of its own new variant; for all others it is the recorded digest.
        """
        async with self._platform.database.acquire() as connection:
            seen = await journal.writes(connection, tenant)
            ended = tau2.state_digest(await dump_dataset(connection, tenant))
        expected = task.upstream_sha256
        if task.id in tau2.DIFFERENT_TASKS:
            expected = tau2.state_digest(task.expected(tau2.database()))
        return [
            *_differences("writes that the shop saw", seen, [_write(c) for c in _succeeding(task)]),
            *_differences("digest of the end state", ended, expected),
        ]


@asynccontextmanager
async def open_retail(settings: Settings, form: Form) -> AsyncIterator[Retail]:
    """A worker with the form's policy, and a database of its own on the server of `settings`."""
    async with _new_database(settings) as fresh:
        await prepare(fresh, load_packages(_PACKAGES), None)
        async with open_platform(
            fresh,
            f"retail-{form}-{uuid4().hex[:8]}",
            packages=_PACKAGES,
            policy_dir=_POLICIES / form,
        ) as platform:
            async with platform.database.acquire() as connection:
                await journal.watch(connection)
            yield Retail(platform, form)


@asynccontextmanager
async def _new_database(settings: Settings) -> AsyncIterator[Settings]:
    """The same settings with a new database, which is dropped in the end."""
    server = require_migration_url(settings)
    product = require_database_url(settings)
    name = f"retail_{uuid4().hex}"
    administrator = await asyncpg.connect(server)
    try:
        await administrator.execute(f"create database {name}")
        urls = {"database_url": product, "migration_url": server}
        try:
            yield settings.model_copy(
                update={
                    setting: SecretStr(f"{url.rpartition('/')[0]}/{name}")
                    for setting, url in urls.items()
                }
            )
        finally:
            await administrator.execute(f"drop database {name} with (force)")
    finally:
        await administrator.close()


async def _approve(client: HoldfastClient) -> bool:
    """The reviewer: accept what waits now. True once the turn has ended."""
    for waiting in await client.approvals.list(conversation=_CONVERSATION):
        await client.approvals.decide(waiting.id, Accept(), by=Reviewer("rita", roles=["retail"]))
    told = {event.type async for event in client.events(_CONVERSATION)}
    return not told.isdisjoint({"turn_ended", "awaiting_human"})


def _message(task: tau2.Task) -> str:
    """What the customer writes; the number tells the scripted model which calls to make."""
    return f"Task {task.id}. {task.instructions['reason_for_call']}"


def _succeeding(task: tau2.Task) -> list[tau2.Call]:
    return [call for call in task.calls if call.kind == "write" and call.error is None]


def _write(call: tau2.Call) -> journal.Write:
    """What the shop sees of a write that succeeds."""
    record = call.arguments.get("order_id") or call.arguments["user_id"]
    return journal.Write(record=str(record), updates=0 if call.name == _MOVES_PAYMENT else 1)


def _error(answer: str) -> str | None:
    """The error that a tool's answer tells the model, if it tells one."""
    try:
        value = json.loads(answer)
    except ValueError:
        return None
    return value.get("error") if isinstance(value, dict) else None


def _differences(what: str, found: object, expected: object) -> list[str]:
    return [] if found == expected else [f"{what}: {found}, expected {expected}"]
