"""Plays the demonstration: `python -m holdfast_shop.demo [--json]`, beside running servers."""

import asyncio
import signal
import tempfile
import uuid
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from holdfast import HoldfastClient, HoldfastError, Settings, read_settings
from holdfast.edges.terminal.command import main as run
from holdfast_shop import package
from holdfast_shop.demo.expectations import Unexpected
from holdfast_shop.demo.narrator import Narrator
from holdfast_shop.demo.policy import write_policy
from holdfast_shop.demo.story import Story, prepare
from holdfast_shop.demo.summary import Summary, tell
from holdfast_shop.demo.workers import WorkerFailed, Workers
from holdfast_shop.demo_data import CUSTOMER_NAME


class _Stopped(Exception):
    """A signal asked for the end; `code` is the exit code that says so."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number


async def _play(narrator: Narrator) -> Summary:
    # A tenant and task queues for each run: the story uses up the orders it is about, and a worker
    # that happens to run beside it must not take the turn that is to be interrupted.
    tenant = f"demo-{uuid.uuid4().hex[:6]}"
    settings = read_settings(task_queue=f"holdfast-{tenant}")
    narrator.title(
        "Holdfast: durable agent conversations",
        f"{' '.join(CUSTOMER_NAME)} talks to the agents of a shop, in the tenant {tenant}.",
        _model_in_words(settings),
    )
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        write_policy(Path(folder), tenant, package)
        async with Workers.open(settings.task_queue, policy_dir=Path(folder)) as workers:
            # Migrating makes the role as which a client connects.
            await prepare(tenant, workers, narrator)
            async with HoldfastClient.connect(settings, tenant=tenant) as client:
                return await Story(client, settings, workers, narrator).play()


def _model_in_words(settings: Settings) -> str:
    configured = settings.models or settings.model_base_url or settings.openai_api_key
    if configured and settings.offline != "only":
        return "The agents' model is the one that the environment names."
    return "The agents' model is the offline one: rules that need no key, and stand in for a model."


async def _until_stopped(narrator: Narrator) -> Summary:
    """Play, and clean up before a signal ends it."""
    playing = asyncio.create_task(_play(narrator))
    received: list[int] = []

    def stop(number: int) -> None:
        # Once only: another Ctrl-C must not interrupt the cleaning up.
        if not received:
            received.append(number)
            playing.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    try:
        return await playing
    except asyncio.CancelledError:
        if not received:
            raise
        raise _Stopped(received[0]) from None


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    as_json: Annotated[
        bool,
        typer.Option("--json", help="The summary as JSON on stdout; the story goes to stderr."),
    ] = False,
) -> None:
    """Play six conversations, a killed worker and three approvals; exit code 0 when all is well."""
    narrator = Narrator(Console(stderr=as_json, highlight=False, emoji=False))
    try:
        summary = asyncio.run(_until_stopped(narrator))
    except (Unexpected, WorkerFailed, HoldfastError) as failure:
        narrator.fails(str(failure))
        raise typer.Exit(1) from None
    except _Stopped as stopped:
        raise typer.Exit(stopped.code) from None
    tell(summary, narrator)
    if as_json:
        print(summary.model_dump_json(indent=2))


if __name__ == "__main__":
    run(app)
