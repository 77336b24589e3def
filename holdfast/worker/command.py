"""The command `holdfast worker`."""

import logging
from enum import StrEnum
from typing import Annotated

import typer

from holdfast.domain.errors import HoldfastError, Unavailable
from holdfast.extras import extra
from holdfast.runtime.process import exit_process
from holdfast.telemetry.logs import log_worker
from holdfast.worker.roles import Role

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_logger = logging.getLogger("holdfast.worker")


class LogLevel(StrEnum):
    """How much a worker says on stderr."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@app.command()
def worker(
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
    # Imported where they are used: a client's commands, and `--help`, can do without.
    with extra("worker", "`holdfast worker`"):
        import uvloop

        from holdfast.runtime.settings import read_settings
        from holdfast.worker import process

    log_worker(log_level.value)
    try:
        if show_build:
            print(process.build(read_settings()))
        elif migrate or seed is not None:
            uvloop.run(process.migrate(seed))
        else:
            uvloop.run(process.work(role))
    except Unavailable as error:
        _logger.error("%s", error)
        exit_process(4)
    except HoldfastError as error:
        _logger.error("%s", error)
        exit_process(2)
