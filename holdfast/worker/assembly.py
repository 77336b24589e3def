"""What activities work with, put together from the settings."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import ValidationError
from temporalio.common import WorkerDeploymentVersion

from holdfast.activities.fleet import Fleet
from holdfast.activities.resources import Resources
from holdfast.contract.package import Package, schemas
from holdfast.domain.errors import ConfigurationError
from holdfast.domain.validation import Location, dotted, listed
from holdfast.graphs.general import general
from holdfast.graphs.knowledge import knowledge
from holdfast.graphs.triage import triage
from holdfast.llm.client import ModelClient
from holdfast.llm.offline.transport import OfflineTransport
from holdfast.llm.providers import Chain, default_chain
from holdfast.notifications.config_file import load_notifications
from holdfast.notifications.webhook import WebhookSender
from holdfast.packages.registry import Registry
from holdfast.runtime.connection import require_database_url
from holdfast.runtime.settings import Settings, variable
from holdfast.security.statements import StatementVerifier, TrustingVerifier, Verifier
from holdfast.security.verification_keys import VerificationKeys
from holdfast.store.migrate import require_migrated
from holdfast.store.pool import open_pool
from holdfast.store.roles import require_append_only_audit
from holdfast.worker.roles import Role

_logger = logging.getLogger("holdfast.worker")


@asynccontextmanager
async def open_resources(
    settings: Settings,
    packages: Sequence[Package],
    role: Role = Role.ALL,
    version: WorkerDeploymentVersion | None = None,
) -> AsyncIterator[Resources]:
    """Everything that activities work with, checked and connected.

    Raises:
        ConfigurationError: packages, policies, models or migrations are not in order.
        Unavailable: Postgres cannot be reached.
    """
    registry = Registry(
        builtin=(
            triage,
            *(one for one in (knowledge, general) if one.name in settings.builtin_agents),
        ),
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
            await require_migrated(connection, schemas(packages))
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
            serves_agents=role.includes(Role.SUBGRAPHS),
            serves_actions=role.includes(Role.ACTIONS),
            capacity=settings.concurrent_subgraphs if role.includes(Role.SUBGRAPHS) else 0,
        )
        yield Resources(
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
            "take decisions on the word of anybody who can reach Temporal"
        )
    _logger.warning("decisions are not signed: anybody who can reach Temporal can approve anything")
    return TrustingVerifier()


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
        problems = listed(error, place=_named, trusted=True)
        raise ConfigurationError(f"settings are wrong: {problems}") from None


def _named(location: Location) -> str:
    """Where a problem of the chain is, by the environment variable that it comes from."""
    match location:
        case ("providers", *_):
            return f"HOLDFAST_MODELS: {dotted(location)}"
        case ("base_url", *_):
            return variable("model_base_url")
        case (str(setting), *_):
            return variable(setting)
        case _:
            return "HOLDFAST_MODELS and HOLDFAST_OFFLINE"
