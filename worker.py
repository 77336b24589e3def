"""Runs workers: `python worker.py --role all|workflows|subgraphs|actions|notifications`."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Interceptor, PollerBehaviorAutoscaling, Worker

from holdfast.activities.actions import ActionActivities
from holdfast.activities.approvals import ApprovalActivities
from holdfast.activities.changes import keep_noting_changes
from holdfast.activities.containment import contain_tasks
from holdfast.activities.conversations import ConversationActivities
from holdfast.activities.fleet import Fleet
from holdfast.activities.notifications import NotificationActivities
from holdfast.activities.people import PeopleActivities
from holdfast.activities.presence import Presence
from holdfast.activities.pulse import PULSE
from holdfast.activities.services import Services
from holdfast.activities.serving import HandingBack
from holdfast.activities.subgraphs import SubgraphActivities
from holdfast.authority.keys import VerificationKeys
from holdfast.authority.statements import StatementVerifier, UnsignedDecisions, Verifier
from holdfast.domain import wire
from holdfast.domain.errors import ConfigurationError, HoldfastError, Unavailable
from holdfast.llm.client import ModelClient
from holdfast.llm.offline.transport import OfflineTransport
from holdfast.llm.providers import Chain, default_chain
from holdfast.notifications.batches import keep_sweeping
from holdfast.notifications.loading import load_notifications
from holdfast.notifications.webhook import WebhookSender
from holdfast.runtime.connection import (
    connect_temporal,
    require_database_url,
    require_migration_url,
    require_search_attributes,
    resolve,
)
from holdfast.runtime.failures import WordedLog
from holdfast.runtime.health import HealthServer
from holdfast.runtime.process import leave, prepare_streams
from holdfast.runtime.settings import Settings, read_settings
from holdfast.runtime.versioning import build_id, deployment_config
from holdfast.store.address import read_address
from holdfast.store.attempts import prune_attempts
from holdfast.store.knowledge import load_articles
from holdfast.store.llm_calls import prune_requests
from holdfast.store.migrate import CORE_SCHEMA, migrate, require_migrated
from holdfast.store.pool import TRANSIENT_ERRORS, UNREACHABLE_ERRORS, Connection, open_pool
from holdfast.store.roles import grant_product_role, require_append_only_audit
from holdfast.store.statements import prune_spent
from holdfast.subgraphs.general import general
from holdfast.subgraphs.knowledge import knowledge
from holdfast.subgraphs.package import Package
from holdfast.subgraphs.registry import Registry, load_packages, package_modules
from holdfast.subgraphs.triage import triage
from holdfast.workflows.conversation import ConversationWorkflow
from holdfast.workflows.notifications import NotificationWorkflow

_logger = logging.getLogger("holdfast.worker")

_STICKY_TIMEOUT = timedelta(seconds=1)
"""How long a task waits for the worker that has the workflow in its cache: not long, it may be dead."""

_HEARTBEAT_THROTTLE = timedelta(milliseconds=50)
"""The SDK holds heartbeats back for this long; `activities.pulse` sends no more than are needed."""

_PRUNE_SECONDS = 3600.0
_ATTEMPTS_KEPT = timedelta(days=1)
_STATEMENTS_KEPT = timedelta(days=2)

_THREADS = 4
"""For each graph that may run: a node that is a plain function gets a thread, and keeps it beyond the end
of its attempt if it hangs, since nobody can end a thread."""

_POLLERS = PollerBehaviorAutoscaling(minimum=1, maximum=20, initial=2)
"""Few while there is little to do: each open poll of a frozen process swallows one task."""


class Role(StrEnum):
    """What a worker process does."""

    ALL = "all"
    WORKFLOWS = "workflows"
    SUBGRAPHS = "subgraphs"
    ACTIONS = "actions"
    NOTIFICATIONS = "notifications"


class LogLevel(StrEnum):
    """How much a worker says on stderr."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@asynccontextmanager
async def open_services(
    settings: Settings,
    packages: Sequence[Package],
    role: Role = Role.ALL,
    version: WorkerDeploymentVersion | None = None,
) -> AsyncIterator[Services]:
    """Everything that activities work with, checked and connected.

    Raises:
        ConfigurationError: packages, policies, models or migrations are not in order.
        Unavailable: Postgres cannot be reached.
    """
    registry = Registry(
        builtin=(triage, knowledge, general),
        packages=packages,
        policy_dir=settings.policy_dir,
    )
    url = require_database_url(settings)
    size = settings.database_connections
    async with contextlib.AsyncExitStack() as stack:
        idle = settings.idle_in_transaction_seconds
        writing = open_pool(
            url,
            max_size=size,
            statement_seconds=settings.statement_seconds,
            idle_in_transaction_seconds=idle,
        )
        pool = await stack.enter_async_context(await writing)
        async with pool.acquire() as connection:
            await require_migrated(connection, _schemas(packages))
            if settings.audit_unprotected:
                _logger.warning("the audit log is not protected from the role of this worker")
            else:
                await require_append_only_audit(connection)
        reading = open_pool(
            url,
            read_only=True,
            max_size=size,
            statement_seconds=settings.read_statement_seconds,
            idle_in_transaction_seconds=idle,
        )
        reads = await stack.enter_async_context(await reading)
        verifier = await _verifier(settings)
        notifications = load_notifications(
            settings.notifications_dir,
            smtp_url=settings.smtp_url,
            patience=timedelta(hours=settings.delivery_hours),
            environment=os.environ,
        )
        webhooks = await stack.enter_async_context(WebhookSender())
        chain = _chain(settings)
        if chain.mode == "only":
            _logger.warning("no model answers but the offline one: rules, for trying things out")
        models = ModelClient(
            chain,
            offline_transport=OfflineTransport(
                [package.hints for package in packages], acts=chain.mode == "only"
            ),
            bounds=settings.answers,
        )
        stack.push_async_callback(models.aclose)
        fleet = Fleet(
            pool,
            registry,
            scope=f"{settings.temporal_namespace}/{settings.task_queue}",
            task_queue=settings.task_queue,
            build=version.build_id if version else "",
            serves_agents=role in (Role.ALL, Role.SUBGRAPHS),
            serves_actions=role in (Role.ALL, Role.ACTIONS),
            capacity=settings.concurrent_subgraphs if role in (Role.ALL, Role.SUBGRAPHS) else 0,
        )
        yield Services(
            pool=pool,
            reads=reads,
            models=models,
            registry=registry,
            fleet=fleet,
            verifier=verifier,
            notifications=notifications,
            webhooks=webhooks,
            keep_requests=settings.keep_model_requests,
        )


def build_workers(
    client: Client,
    services: Services,
    settings: Settings,
    role: Role = Role.ALL,
    version: WorkerDeploymentVersion | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> list[Worker]:
    """The Temporal workers of a role, not running yet; without a `version` they are not versioned."""
    contain_tasks(asyncio.get_running_loop())
    queue = settings.task_queue
    grace = timedelta(seconds=settings.shutdown_seconds)
    steps = SubgraphActivities(services)
    records = ConversationActivities(services)
    people = PeopleActivities(services)
    approvals = ApprovalActivities(services)
    actions = ActionActivities(services)
    notifications = NotificationActivities(services.pool, services.notifications, services.webhooks)

    # A run of a conversation stays with its build; notifications may be under way for long.
    pinned = deployment_config(version, VersioningBehavior.PINNED)
    moving = deployment_config(version, VersioningBehavior.AUTO_UPGRADE)

    def serving(
        task_queue: str,
        concurrent: int,
        *activities: Callable[..., Any],
        workflows: Sequence[type] = (),
    ) -> Worker:
        return Worker(
            client,
            task_queue=task_queue,
            activities=activities,
            workflows=workflows,
            max_concurrent_activities=concurrent,
            max_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
            graceful_shutdown_timeout=grace,
            interceptors=[*interceptors, HandingBack(services.pool)],
            deployment_config=moving,
            workflow_task_poller_behavior=_POLLERS,
            sticky_queue_schedule_to_start_timeout=_STICKY_TIMEOUT,
            activity_task_poller_behavior=_POLLERS,
        )

    packages = [package.name for package in services.registry.packages]
    workers: list[Worker] = []
    if role in (Role.ALL, Role.WORKFLOWS):
        workers.append(
            Worker(
                client,
                task_queue=wire.workflows_queue(queue),
                workflows=[ConversationWorkflow],
                max_cached_workflows=settings.max_cached_workflows,
                sticky_queue_schedule_to_start_timeout=_STICKY_TIMEOUT,
                workflow_task_poller_behavior=_POLLERS,
                deployment_config=pinned,
            )
        )
    if role in (Role.ALL, Role.SUBGRAPHS):
        workers.append(
            serving(
                wire.subgraphs_queue(queue),
                settings.concurrent_subgraphs,
                steps.run_subgraph,
                records.open_conversation,
                records.recall_turn,
                records.end_turn,
                records.announce_delay,
                people.record_human_turn,
                people.record_takeover,
                records.close_conversation,
                approvals.decide_approval,
                approvals.record_refusal,
                approvals.record_alarm,
            )
        )
        workers += [
            serving(
                wire.package_queue(wire.subgraphs_queue(queue), package),
                settings.concurrent_subgraphs,
                steps.run_subgraph,
                approvals.decide_approval,
            )
            for package in packages
        ]
    if role in (Role.ALL, Role.ACTIONS):
        workers += [
            serving(
                wire.package_queue(wire.actions_queue(queue), package),
                settings.concurrent_actions,
                actions.execute_action,
                actions.compensate_action,
            )
            for package in (None, *packages)
        ]
    if role in (Role.ALL, Role.NOTIFICATIONS):
        workers.append(
            serving(
                wire.notifications_queue(queue),
                settings.concurrent_deliveries,
                notifications.send_delivery,
                workflows=[NotificationWorkflow],
            )
        )
    return workers


async def prepare(settings: Settings, packages: Sequence[Package], tenant: str | None) -> None:
    """Migrate the database; with a tenant, load its articles and demonstration data as well."""
    url = require_migration_url(settings)
    await migrate(url, _schemas(packages))
    await _set_up_role(settings, url, packages)
    if tenant is None:
        return
    async with _owned(url) as connection:
        for package in packages:
            if package.articles is not None:
                await load_articles(connection, tenant, package.articles)
            if package.seed is not None:
                await package.seed(connection, tenant)


async def _set_up_role(settings: Settings, owner_url: str, packages: Sequence[Package]) -> None:
    """Where the product has a role of its own, make it and grant it what it needs."""
    product, owner = read_address(require_database_url(settings)), read_address(owner_url)
    if product.user is None or product.user == owner.user:
        return
    async with _owned(owner_url) as connection:
        await grant_product_role(
            connection,
            role=product.user,
            password=product.password or None,
            schemas=(CORE_SCHEMA, *_schemas(packages)),
        )


@asynccontextmanager
async def _owned(url: str) -> AsyncIterator[Connection]:
    """A connection of the owner of the tables, who may take as long as it takes."""
    async with (
        await open_pool(
            url, max_size=1, statement_seconds=0, idle_in_transaction_seconds=0
        ) as pool,
        pool.acquire() as connection,
    ):
        yield connection


async def run(settings: Settings, role: Role) -> None:
    """Run workers until SIGTERM or SIGINT, then let what is under way end.

    Raises:
        ConfigurationError, Unavailable: they cannot start; the message says what to do.
    """
    packages = load_packages(settings.packages)
    client = await connect_temporal(settings)
    await require_search_attributes(client)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    loop.set_default_executor(
        ThreadPoolExecutor(_THREADS * settings.concurrent_subgraphs, thread_name_prefix="node")
    )
    PULSE.give_up, PULSE.give_up_seconds = partial(leave, 70), settings.blocked_seconds
    version = _version(settings)
    async with open_services(settings, packages, role, version) as services:
        presence = Presence(client, f"{client.namespace}/{settings.task_queue}")
        workers = build_workers(client, services, settings, role, version, [presence])
        async with contextlib.AsyncExitStack() as stack:
            keeping = presence.keep(require_database_url(settings))
            stack.callback(asyncio.create_task(keeping).cancel)  # after the workers have stopped
            await services.fleet.join()
            for worker in workers:
                await stack.enter_async_context(worker)
            keeping_in_touch = asyncio.create_task(services.fleet.keep(client))
            stack.push_async_callback(_cancelled, keeping_in_touch)
            for upkeep in (
                _prune(services, settings),
                services.registry.policies.watch(),
                services.notifications.watch(),
                keep_noting_changes(services),
            ):
                stack.callback(asyncio.create_task(upkeep).cancel)
            if role in (Role.ALL, Role.NOTIFICATIONS):
                sweeping = keep_sweeping(client, services.pool, settings.task_queue)
                stack.callback(asyncio.create_task(sweeping).cancel)
            if settings.health_port:
                await stack.enter_async_context(_health(settings, client, services, workers))
            agents = ", ".join(card.name for card in services.registry.agents())
            build = f" of build {version.build_id}" if version else ""
            _logger.info("worker %s%s is ready; agents: %s", role.value, build, agents)
            await stopping.wait()
            _logger.info("stopping: activities have %s s to end", settings.shutdown_seconds)
    _logger.info("stopped")


def _version(settings: Settings) -> WorkerDeploymentVersion | None:
    if settings.deployment is None:
        return None
    return WorkerDeploymentVersion(settings.deployment, _build_id(settings))


def _build_id(settings: Settings) -> str:
    return settings.build_id or build_id(package_modules(settings.packages))


async def _prune(services: Services, settings: Settings) -> None:
    """Remove whole model requests that are older than the settings want, and attempts that nobody can be
    late for any more, now and every hour."""
    while True:
        try:
            async with services.pool.acquire() as connection:
                await prune_requests(connection, timedelta(days=settings.model_request_days))
                await prune_attempts(connection, _ATTEMPTS_KEPT)
                await prune_spent(connection, _STATEMENTS_KEPT)
        except TRANSIENT_ERRORS as error:
            _logger.warning("old rows are pruned an hour later: %s", error)
        await asyncio.sleep(_PRUNE_SECONDS)


@asynccontextmanager
async def _health(
    settings: Settings, client: Client, services: Services, workers: Sequence[Worker]
) -> AsyncIterator[None]:
    async def check() -> list[str]:
        problems = [
            f"worker {one.task_queue} is not running" for one in workers if not one.is_running
        ]
        try:
            await services.pool.fetchval("select 1", timeout=2.0)
        except UNREACHABLE_ERRORS as error:
            problems.append(f"Postgres: {error or type(error).__name__}")
        try:
            healthy = await client.service_client.check_health(timeout=timedelta(seconds=2))
        except Exception as error:
            healthy = False
            _logger.debug("Temporal health check: %s", error)
        if not healthy:
            problems.append("Temporal does not answer")
        problems += services.fleet.problems()
        return problems

    def remarks() -> list[str]:
        return [*services.registry.policies.problems(), *services.notifications.problems()]

    server = HealthServer(settings.health_host, settings.health_port, check, remarks)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait((serving,), timeout=0.1)
    if serving.done():
        serving.result()
    try:
        yield
    finally:
        server.stop()
        await serving


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, *TRANSIENT_ERRORS):
        await task


def _schemas(packages: Sequence[Package]) -> dict[str, Path]:
    return {package.name: package.migrations for package in packages if package.migrations}


async def _verifier(settings: Settings) -> Verifier:
    if settings.reviewer_keys is not None:
        keys = await VerificationKeys.open(
            settings.reviewer_keys,
            max_age=timedelta(hours=settings.reviewer_keys_max_age_hours),
            bounds=settings.reviewer_key_bounds,
        )
        return StatementVerifier(keys)
    if not settings.unsigned_decisions:
        raise ConfigurationError(
            "nobody could check who decides on approvals: set HOLDFAST_REVIEWER_KEYS to a JWKS file "
            "or URL (`make up` makes keys for development), or HOLDFAST_UNSIGNED_DECISIONS=true to "
            "take decisions on the word of whoever can reach Temporal"
        )
    _logger.warning("decisions are not signed: whoever can reach Temporal can approve anything")
    return UnsignedDecisions()


def _chain(settings: Settings) -> Chain:
    try:
        if settings.models:
            return Chain.model_validate({"providers": settings.models, "offline": settings.offline})
        return default_chain(
            offline=settings.offline,
            api_key=settings.openai_api_key,
            base_url=settings.model_base_url,
            model=settings.model,
        )
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False)  # the input has keys in it
        )
        raise ConfigurationError(f"HOLDFAST_MODELS and HOLDFAST_OFFLINE: {problems}") from None


async def _main(role: Role, migrating: bool, seeding: str | None) -> None:
    settings = await resolve(read_settings())
    if migrating or seeding is not None:
        await prepare(settings, load_packages(settings.packages), seeding)
    else:
        await run(settings, role)


def main(
    role: Annotated[Role, typer.Option(help="Which task queues this process serves.")] = Role.ALL,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Bring the database up to date, then exit.")
    ] = False,
    seed: Annotated[
        str | None,
        typer.Option(metavar="TENANT", help="Migrate, load a tenant's demonstration data, exit."),
    ] = None,
    show_build: Annotated[
        bool, typer.Option("--build-id", help="Print the build id of this code, then exit.")
    ] = False,
    log_level: Annotated[LogLevel, typer.Option(case_sensitive=False)] = LogLevel.INFO,
) -> None:
    """Run Holdfast workers until SIGTERM."""
    handler = logging.StreamHandler()
    handler.setFormatter(WordedLog("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=log_level.value, handlers=[handler])
    for chatty in ("alembic", "httpx2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        if show_build:
            print(_build_id(read_settings()))
        else:
            uvloop.run(_main(role, migrate, seed))
    except Unavailable as error:
        _logger.error("%s", error)
        leave(4)
    except HoldfastError as error:
        _logger.error("%s", error)
        leave(2)
    leave(0)


if __name__ == "__main__":
    prepare_streams()
    try:
        typer.run(main)
    except SystemExit as exit:
        leave(exit.code if isinstance(exit.code, int) else 1)
