"""A whole Holdfast for one test: a client, a scripted model, and a worker (in this process, or in its own).

async with Platform.open(stack_settings, tenant, packages=["parcels:package"], seed=True) as platform:
    platform.script = routed_to("courier", [text("Hello.")])
    sent = await platform.send("c-1", "Hello?")
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import asyncpg
from temporalio.client import Client, WorkflowHandle

from holdfast.client import HoldfastClient
from holdfast.client.views import SentMessage
from holdfast.domain.decision import Decision
from holdfast.domain.identity import ConversationKey
from holdfast.domain.limits import Limits
from holdfast.packages.registry import load_packages
from holdfast.runtime.connection import connect_temporal, require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.security.signing_key import SigningKey
from holdfast.security.statements import sign_decision
from holdfast.store.pool import open_pool
from holdfast.testing.replay import has_completed_task, replay_failure
from holdfast.testing.scripted_model import Answer, ModelReply, ScriptedModel, text
from holdfast.testing.triage import is_triage, route
from holdfast.testing.worker_process import WorkerProcess, environment_of
from holdfast.worker.assembly import open_resources
from holdfast.worker.preparation import prepare
from holdfast.worker.queues import build_workers


@dataclass
class Platform:
    """What a test works with. `script` decides what the model answers, and may be set anew; `model.requests` has
    what it was asked. `database` is the owner's. `environment` is what worker processes get, in the folder
    `root`."""

    settings: Settings
    tenant: str
    temporal: Client
    client: HoldfastClient
    model: ScriptedModel
    script: Answer
    database: "asyncpg.Pool[asyncpg.Record]"
    environment: dict[str, str]
    root: Path
    customer: str = "customer-1"
    _workers: list[WorkerProcess] = field(default_factory=list)

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

    async def replay(self, conversation: str) -> None:
        """Replay the history of every run of the conversation; raises where one does not."""
        workflow = ConversationKey(self.tenant, conversation).workflow_id
        listed: list[tuple[str, str | None]] = [
            (one.id, one.run_id)
            async for one in self.temporal.list_workflows(f'WorkflowId = "{workflow}"')
        ]
        # Visibility lags a little behind.
        for id_, run in listed or [(workflow, None)]:
            history = await self.temporal.get_workflow_handle(id_, run_id=run).fetch_history()
            if not has_completed_task(history.events):
                continue  # a run that has just begun
            failure = await replay_failure(history)
            if failure is not None:
                raise failure

    async def start_worker(
        self, *arguments: str, root: Path | None = None, **environment: str
    ) -> WorkerProcess:
        """A worker in a process of its own, ready; from the code in `root`, where it is another."""
        process = await WorkerProcess.start(
            {**self.environment, **environment}, *arguments, root=root or self.root
        )
        self._workers.append(process)
        return process

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        tenant: str,
        *,
        packages: Sequence[str] | None = None,
        seed: bool = False,
        in_process: bool = True,
        limits: Limits | None = None,
        root: Path | None = None,
        **overrides: Any,
    ) -> AsyncIterator[Self]:
        """A platform with a worker in this process, on task queues of its own.

        Args:
            settings: name the servers; those of the fixture `stack_settings`.
            tenant: whose conversations these are; the fixture `tenant` is one that no other test has.
            packages: what to serve; without it, those that the settings name.
            seed: migrate the database first, and load the packages' demonstration rows for this tenant.
            in_process: without it, there is no worker until `start_worker` starts one.
            limits: others than the usual ones.
            root: the folder in which workers are started, the current one without it.
            overrides: other settings, by name.
        """

        async def answer(request: dict[str, Any]) -> ModelReply:
            replied = platform.script(request)
            return replied if isinstance(replied, ModelReply) else await replied

        async with AsyncExitStack() as stack:
            model = await stack.enter_async_context(ScriptedModel(answer))
            provider = {"name": "scripted", "base_url": model.base_url, "model": "scripted"}
            chosen = settings.model_copy(
                update={
                    "task_queue": f"q-{tenant}",
                    "packages": list(settings.packages if packages is None else packages),
                    "models": [provider],
                    "limits": limits or Limits(),
                    "max_cached_workflows": 100,
                    "database_connections": 5,
                    "shutdown_seconds": 2.0,
                    **overrides,
                }
            )
            loaded = load_packages(chosen.packages)
            if seed:
                await prepare(chosen, loaded, tenant)
            client = await stack.enter_async_context(HoldfastClient.connect(chosen, tenant=tenant))
            database = await stack.enter_async_context(
                await open_pool(require_migration_url(chosen), min_size=0, max_size=3)
            )
            platform = cls(
                settings=chosen,
                tenant=tenant,
                temporal=await connect_temporal(chosen),
                client=client,
                model=model,
                script=lambda request: route("general") if is_triage(request) else text("Hello."),
                database=database,
                environment=environment_of(chosen),
                root=root or Path.cwd(),
            )
            if in_process:
                resources = await stack.enter_async_context(open_resources(chosen, loaded))
                for one in build_workers(platform.temporal, resources, chosen):
                    await stack.enter_async_context(one)
            try:
                yield platform
            finally:
                for process in platform._workers:
                    await process.stop()
