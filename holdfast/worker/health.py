"""A process's answers to those who ask whether it lives and whether it can work."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from temporalio.client import Client
from temporalio.worker import Worker

from holdfast.activities.resources import Resources
from holdfast.domain.errors import ConfigurationError
from holdfast.runtime.settings import Settings
from holdfast.store.pool import UNREACHABLE_ERRORS, cause_of

_logger = logging.getLogger("holdfast.worker")


@asynccontextmanager
async def serve_health(
    settings: Settings, client: Client, resources: Resources, workers: Sequence[Worker]
) -> AsyncIterator[None]:
    """Serve it while the context lasts.

    Raises:
        ConfigurationError: the port is taken.
    """

    async def check() -> list[str]:
        problems = [
            f"worker {one.task_queue} is not running" for one in workers if not one.is_running
        ]
        try:
            await resources.pool.fetchval("select 1", timeout=2.0)
        except UNREACHABLE_ERRORS as error:
            problems.append(f"Postgres: {cause_of(error)}")
        try:
            healthy = await client.service_client.check_health(timeout=timedelta(seconds=2))
        except Exception as error:
            healthy = False
            _logger.debug("Temporal health check: %s", error)
        if not healthy:
            problems.append("Temporal does not answer")
        problems += resources.fleet.problems()
        return problems

    def remarks() -> list[str]:
        return [*resources.registry.policies.problems(), *resources.notifications.problems()]

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


class HealthServer:
    """Answers `/health` while the process lives, and `/ready` while it can work.

    `check` gives a line for each thing that is out of order; without any, `/ready` answers 200. `remarks`
    gives lines about what only concerns some tenants, so that their mistakes don't take work from others.
    """

    def __init__(
        self,
        host: str,
        port: int,
        check: Callable[[], Awaitable[list[str]]],
        remarks: Callable[[], list[str]] = list,
    ) -> None:
        async def health(request: Request) -> JSONResponse:
            return JSONResponse({"status": "ok"})

        async def ready(request: Request) -> JSONResponse:
            problems = await check()
            body = {
                "status": "unready" if problems else "ok",
                "problems": problems,
                "remarks": remarks(),
            }
            return JSONResponse(body, status_code=503 if problems else 200)

        routes = [Route("/health", health), Route("/ready", ready)]
        self._address = f"{host}:{port}"
        self._server = _QuietServer(
            uvicorn.Config(
                Starlette(routes=routes), host=host, port=port, log_level="error", lifespan="off"
            )
        )

    async def serve(self) -> None:
        """Serve until `stop`.

        Raises:
            ConfigurationError: the port is taken.
        """
        try:
            await self._server.serve()
        except SystemExit:
            raise ConfigurationError(
                f"cannot serve health on {self._address}; is another worker there? Set "
                "HOLDFAST_HEALTH_PORT to a free port, or to 0 for none"
            ) from None

    def stop(self) -> None:
        """End `serve`."""
        self._server.should_exit = True


class _QuietServer(uvicorn.Server):
    """Leaves signals to the process it is part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handlers stay as they are."""
        yield
