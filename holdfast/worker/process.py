"""A worker process, from its start to its end."""

import asyncio
import contextlib
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from temporalio.common import WorkerDeploymentVersion

from holdfast.activities.liveness import LivenessInterceptor
from holdfast.activities.pulse import PULSE
from holdfast.packages.registry import load_packages, package_modules
from holdfast.runtime.connection import (
    connect_temporal,
    require_database_url,
    require_search_attributes,
    resolve,
)
from holdfast.runtime.process import exit_process
from holdfast.runtime.settings import Settings, read_settings
from holdfast.runtime.versioning import build_id
from holdfast.worker.assembly import open_resources
from holdfast.worker.health import serve_health
from holdfast.worker.preparation import prepare
from holdfast.worker.queues import build_workers
from holdfast.worker.roles import Role
from holdfast.worker.upkeep import upkeep

_logger = logging.getLogger("holdfast.worker")

_THREADS = 4
"""For each graph that may run: a node that is a plain function gets a thread, and keeps it beyond the end
of its attempt if it hangs, since nobody can end a thread."""


async def work(role: Role) -> None:
    """Run workers, with the settings of this environment."""
    await run(await resolve(read_settings()), role)


async def migrate(seeding: str | None) -> None:
    """Prepare the database that the settings of this environment name; see `prepare`."""
    settings = await resolve(read_settings())
    await prepare(settings, load_packages(settings.packages), seeding)


def build(settings: Settings) -> str:
    """What this version of the workers is called."""
    return settings.build_id or build_id(package_modules(settings.packages))


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
    PULSE.give_up, PULSE.give_up_seconds = partial(exit_process, 70), settings.blocked_seconds
    version = _version(settings)
    async with open_resources(settings, packages, role, version) as resources:
        presence = LivenessInterceptor(client, f"{client.namespace}/{settings.task_queue}")
        workers = build_workers(client, resources, settings, role, version, [presence])
        async with contextlib.AsyncExitStack() as stack:
            keeping = presence.keep(require_database_url(settings))
            stack.callback(asyncio.create_task(keeping).cancel)  # after the workers have stopped
            await resources.fleet.join()
            for worker in workers:
                await stack.enter_async_context(worker)
            await stack.enter_async_context(upkeep(client, resources, settings, role))
            if settings.health_port:
                await stack.enter_async_context(serve_health(settings, client, resources, workers))
            agents = ", ".join(card.name for card in resources.registry.agents())
            of_build = f" of build {version.build_id}" if version else ""
            _logger.info("worker %s%s is ready; agents: %s", role.value, of_build, agents)
            await stopping.wait()
            _logger.info("stopping: activities have %s s to end", settings.shutdown_seconds)
    _logger.info("stopped")


def _version(settings: Settings) -> WorkerDeploymentVersion | None:
    if settings.deployment is None:
        return None
    return WorkerDeploymentVersion(settings.deployment, build(settings))
