"""A Holdfast for one test: a worker (in this process, or in its own), a scripted model, a client."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer

from holdfast.client import HoldfastClient
from holdfast.client.views import SentMessage
from holdfast.domain.decision import Decision
from holdfast.domain.identity import ConversationKey
from holdfast.domain.limits import Limits
from holdfast.domain.outcomes import PriorityName
from holdfast.packages.registry import load_packages
from holdfast.runtime.connection import (
    connect_temporal,
    require_database_url,
    require_migration_url,
)
from holdfast.runtime.plugin import PLUGIN
from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import sign_decision
from holdfast.store.pool import open_pool
from holdfast.worker.assembly import open_resources
from holdfast.worker.queues import build_workers
from holdfast.workflows.conversation import ConversationWorkflow
from tests.scripted_model import Answer, Reply, ScriptedModel, structured, text, tool_calls

ROOT = Path(__file__).parent.parent

PACKAGES = ("holdfast_shop:package", "tests.counter:package")


def is_triage(request: Mapping[str, Any]) -> bool:
    """Whether a request to the model comes from triage."""
    return "response_format" in request


def route(
    agent: str, *, confidence: float = 0.95, priority: PriorityName = "normal", language: str = "en"
) -> Reply:
    """Triage's answer."""
    return structured(
        {
            "intent": "test",
            "confidence": confidence,
            "agent": agent,
            "priority": priority,
            "language": language,
        }
    )


def routed_to(agent: str, answer: Callable[[dict[str, Any]], Reply | Awaitable[Reply]]) -> Answer:
    """A script that routes every message to `agent`, and asks `answer` for the rest."""
    return lambda request: route(agent) if is_triage(request) else answer(request)


def counting(*steps: Sequence[tuple[str, dict[str, Any]]], then: str = "Done.") -> Answer:
    """An agent that calls these tools, one list for each completion, and then says something."""

    def answer(request: dict[str, Any]) -> Reply:
        said = sum(message["role"] == "assistant" for message in request["messages"])
        return tool_calls(*steps[said]) if said < len(steps) else text(then)

    return answer


@dataclass
class Platform:
    """What a test works with. `script` decides what the model answers, and may be set anew."""

    settings: Settings
    tenant: str
    temporal: Client
    client: HoldfastClient
    model: ScriptedModel
    script: Answer
    database: "asyncpg.Pool[asyncpg.Record]"
    environment: dict[str, str]
    customer: str = "customer-1"
    _workers: list["WorkerProcess"] = field(default_factory=list)

    async def send(self, conversation: str, said: str, **options: Any) -> SentMessage:
        """Send a message and wait for the turn."""
        options.setdefault("customer", self.customer)
        return await self.client.send(conversation, said, **options)

    def handle(self, conversation: str) -> WorkflowHandle[Any, Any]:
        """The conversation's workflow, the latest run."""
        return self.temporal.get_workflow_handle(
            ConversationKey(self.tenant, conversation).workflow_id
        )

    def signed(self, decision: Decision) -> Decision:
        """The decision with a statement of the key that this installation's client signs with."""
        assert self.settings.signing_key is not None
        key = SigningKey.read(self.settings.signing_key)
        return sign_decision(decision, tenant=self.tenant, key=key)

    async def effects(self, counter: str = "c") -> list[int]:
        """The amounts that were added to a counter, one for each effect."""
        rows = await self.database.fetch(
            "select amount from counter.effects where tenant = $1 and counter = $2 order by id",
            self.tenant,
            counter,
        )
        return [row["amount"] for row in rows]

    async def replay(self, conversation: str) -> None:
        """Replay the history of every run of the conversation."""
        replayer = Replayer(workflows=[ConversationWorkflow], plugins=[PLUGIN])
        query = f'WorkflowId = "{ConversationKey(self.tenant, conversation).workflow_id}"'
        listed: list[tuple[str, str | None]] = [
            (one.id, one.run_id) async for one in self.temporal.list_workflows(query)
        ]
        latest = (
            ConversationKey(self.tenant, conversation).workflow_id,
            None,
        )  # visibility lags a little behind
        for id_, run in listed or [latest]:
            handle = self.temporal.get_workflow_handle(id_, run_id=run)
            history = await handle.fetch_history()
            # A run that has just begun has nothing to replay, and the replayer waits for it forever.
            if any(
                event.HasField("workflow_task_completed_event_attributes")
                for event in history.events
            ):
                await replayer.replay_workflow(history)

    async def start_worker(
        self, *arguments: str, root: Path = ROOT, **environment: str
    ) -> "WorkerProcess":
        """A worker in a process of its own, ready; from the code in `root`."""
        process = await WorkerProcess.start(
            {**self.environment, **environment}, *arguments, root=root
        )
        self._workers.append(process)
        return process


class WorkerProcess:
    """`python worker.py` as a real process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []
        self._ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, environment: Mapping[str, str], *arguments: str, root: Path = ROOT
    ) -> "WorkerProcess":
        """Start it, from the code in `root`, and wait until it is ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(root / "worker.py"),
            *arguments,
            env={**os.environ, **environment, "PYTHONPATH": str(root)},
            cwd=root,
            stderr=asyncio.subprocess.PIPE,
        )
        started = cls(process)
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(started._ready.wait())
        await asyncio.wait((ended, ready), timeout=60, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not started._ready.is_set():
            raise RuntimeError("the worker did not start:\n" + "".join(started.log))
        return started

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode())
            if b"is ready" in line:
                self._ready.set()

    def signal(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(signum)

    async def died(self) -> int:
        """Wait until it has ended; its exit code."""
        return await self.process.wait()

    async def stop(self) -> None:
        """End it, in whatever state it is."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        await self.process.wait()
        await self._reader


async def eventually(
    check: Callable[[], Awaitable[Any]], *, within: float = 20.0, what: str = "it"
) -> Any:
    """The first truthy answer of `check`, asked every 50 ms."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        answer = await check()
        if answer:
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what} did not happen within {within} s")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def open_platform(
    settings: Settings,
    tenant: str,
    *,
    in_process: bool = True,
    packages: Sequence[str] = PACKAGES,
    limits: Limits | None = None,
    **overrides: Any,
) -> AsyncIterator[Platform]:
    """A platform with a worker in this process, or with none yet (`in_process=False`)."""

    async def answer(request: dict[str, Any]) -> Reply:
        replied = platform.script(request)
        return replied if isinstance(replied, Reply) else await replied

    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ScriptedModel(answer))
        provider = {"name": "scripted", "base_url": model.base_url, "model": "scripted"}
        chosen = settings.model_copy(
            update={
                "task_queue": f"q-{tenant}",
                "packages": list(packages),
                "models": [provider],
                "limits": limits or Limits(),
                "max_cached_workflows": int(os.environ.get("HOLDFAST_MAX_CACHED_WORKFLOWS", 100)),
                "database_connections": 5,
                "shutdown_seconds": 2.0,
                **overrides,
            }
        )
        client = await stack.enter_async_context(HoldfastClient.connect(chosen, tenant=tenant))
        database = await stack.enter_async_context(
            await open_pool(require_migration_url(chosen), min_size=0, max_size=3)
        )
        platform = Platform(
            settings=chosen,
            tenant=tenant,
            temporal=await connect_temporal(chosen),
            client=client,
            model=model,
            script=lambda request: route("general") if is_triage(request) else text("Hello."),
            database=database,
            environment=environment_of(chosen),
        )
        if in_process:
            resources = await stack.enter_async_context(
                open_resources(chosen, load_packages(packages))
            )
            for one in build_workers(platform.temporal, resources, chosen):
                await stack.enter_async_context(one)
        try:
            yield platform
        finally:
            for process in platform._workers:
                await process.stop()


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that give a worker process these settings."""
    assert settings.temporal_address is not None
    return {
        "HOLDFAST_REVIEWER_KEYS": settings.reviewer_keys or "",
        "HOLDFAST_SIGNING_KEY": str(settings.signing_key or ""),
        "HOLDFAST_TEMPORAL_ADDRESS": settings.temporal_address,
        "HOLDFAST_DATABASE_URL": require_database_url(settings),
        "HOLDFAST_UNSIGNED_DECISIONS": str(settings.unsigned_decisions).lower(),
        "HOLDFAST_TASK_QUEUE": settings.task_queue,
        "HOLDFAST_PACKAGES": json.dumps(settings.packages),
        "HOLDFAST_MODELS": json.dumps(settings.models),
        "HOLDFAST_OFFLINE": settings.offline or "",
        "HOLDFAST_HEALTH_PORT": "0",
        "HOLDFAST_DATABASE_CONNECTIONS": str(settings.database_connections),
        "HOLDFAST_SHUTDOWN_SECONDS": str(settings.shutdown_seconds),
    }
