"""What a run works on: servers of its own, the scripted model, settings for workers and clients."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
from temporalio.client import Client

from bench.chaos.model import Model
from holdfast.client import HoldfastClient
from holdfast.domain.limits import Limits
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.packages.registry import load_packages
from holdfast.runtime.connection import connect_temporal, require_migration_url
from holdfast.runtime.settings import Settings, read_settings
from holdfast.security.development_keys import write_development_keys
from holdfast.store.pool import open_pool
from holdfast.testing import ScriptedModel
from holdfast.testing.worker_process import environment_of
from holdfast.worker.preparation import prepare
from holdfast_devstack.postgres.server import PostgresServer
from holdfast_devstack.temporal.server import TemporalServer
from holdfast_devstack.temporary import temporary_postgres, temporary_temporal
from tests.platform import PACKAGES

LIMITS = Limits(turns_per_run=5)
"""So that every conversation continues as new some times."""

TENANT = "chaos"


@dataclass(frozen=True, kw_only=True)
class ChaosStack:
    """`client` and `database`, the owner's, are for looking, while and after the rest is killed."""

    postgres: PostgresServer
    temporal: TemporalServer
    settings: Settings
    environment: dict[str, str]
    model: Model
    temporal_client: Client
    client: HoldfastClient
    database: "asyncpg.Pool[asyncpg.Record]"
    folder: Path
    policies: Path
    """Where a tenant's policy may be put before the workers start."""


@asynccontextmanager
async def chaos_stack(seed: int) -> AsyncIterator[ChaosStack]:
    """An empty stack, migrated, without workers yet; everything is ended and deleted afterwards."""
    async with AsyncExitStack() as exits:
        folder = Path(exits.enter_context(TemporaryDirectory(prefix="holdfast-chaos-")))
        policies = folder / "policies"
        await asyncio.to_thread(policies.mkdir)
        postgres = await exits.enter_async_context(temporary_postgres())
        temporal = await exits.enter_async_context(
            temporary_temporal(
                search_attributes=SEARCH_ATTRIBUTES,
                binary=read_settings().temporal_binary,
                progress=lambda line: print(line, file=sys.stderr),
            )
        )
        model = Model(seed)
        endpoint = await exits.enter_async_context(ScriptedModel(model.answer))
        keys = await asyncio.to_thread(write_development_keys, folder)
        settings = Settings.model_validate(
            {
                "temporal_address": temporal.address,
                "temporal_namespace": temporal.namespace,
                "database_url": postgres.product_url,
                "migration_url": postgres.database_url,
                "reviewer_keys": str(keys.public),
                "signing_key": keys.signing,
                "policy_dir": policies,
                "packages": list(PACKAGES),
                "models": [
                    {"name": "scripted", "base_url": endpoint.base_url, "model": "scripted"}
                ],
                "limits": LIMITS,
                "task_queue": TENANT,
                "database_connections": 5,
                "shutdown_seconds": 2.0,
                "health_port": 0,
            }
        )
        await prepare(settings, load_packages(PACKAGES), None)
        yield ChaosStack(
            postgres=postgres,
            temporal=temporal,
            settings=settings,
            environment={
                **environment_of(settings),
                "HOLDFAST_POLICY_DIR": str(policies),
                "HOLDFAST_LIMITS": json.dumps(LIMITS.model_dump(mode="json")),
            },
            model=model,
            temporal_client=await connect_temporal(settings),
            client=await exits.enter_async_context(HoldfastClient.connect(settings, tenant=TENANT)),
            database=await exits.enter_async_context(
                await open_pool(require_migration_url(settings), min_size=0, max_size=5)
            ),
            folder=folder,
            policies=policies,
        )
