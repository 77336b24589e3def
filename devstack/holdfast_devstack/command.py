"""The commands `holdfast dev`: the embedded stack, with a worker or another command beside it."""

import shlex
import sys
from typing import Annotated

import typer

app = typer.Typer(
    help="Temporal and Postgres for development.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def run(command: Annotated[list[str], typer.Argument(help="The command, after `--`.")]) -> None:
    """Run a command beside Temporal and Postgres."""
    # Imported where it is used: `holdfast --help` can do without the servers' code.
    from holdfast_devstack.beside import run_beside

    run_beside(command)


@app.command()
def up(
    seed: Annotated[
        str | None,
        typer.Option(metavar="TENANT", help="Load a tenant's demonstration data first."),
    ] = None,
) -> None:
    """Keep Temporal, Postgres and a worker running until Ctrl-C."""
    worker = f"{shlex.quote(sys.executable)} -m holdfast worker"
    prepare = "--migrate" if seed is None else f"--seed {shlex.quote(seed)}"
    run(["sh", "-c", f"{worker} {prepare} && exec {worker}"])
