"""Commands about notifications: what became of them, and sending those again that were given up."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from holdfast.domain.notifications import DeliveryState
from holdfast.terminal.options import AsJson, By, Tenant
from holdfast.terminal.running import call, print_document, with_client

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient
    from holdfast.store.deliveries import DeliveryRecord
    from holdfast.terminal.rendering import Shown

app = typer.Typer()


@app.command()
def deliveries(
    state: Annotated[Literal[DeliveryState, "all"], typer.Option(help="Which ones.")] = "all",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """List notifications of approvals, the newest first."""

    async def run(client: "HoldfastClient") -> None:
        wanted = None if state == "all" else state
        found = await client.deliveries(state=wanted, limit=limit)
        if as_json:
            print_document({"deliveries": found}, as_json)
        else:
            _show(found)

    with_client(tenant, run)


@app.command()
def redrive(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="DELIVERY", help="The deliveries' ids.")
    ] = None,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="All that were given up.")] = False,
    by: By = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Send notifications again that were given up, under their old ids."""
    if bool(ids) == all_dead:
        raise typer.BadParameter("name deliveries, or say --all-dead")

    async def run(client: "HoldfastClient") -> "Shown":
        again = client.redrive(ids, by=by) if ids else client.redrive_all(by=by)
        return {"redriven": await again}

    call(tenant, as_json, run)


def _show(found: "list[DeliveryRecord]") -> None:
    from rich.console import Console

    from holdfast.terminal.lines import show_line

    console = Console()
    if not found:
        show_line(console, "no deliveries", style="dim")
    for one in found:
        times = "attempt" if one.attempts == 1 else "attempts"
        show_line(
            console,
            f"{one.id}: {one.state}, {one.payload.type} of {one.approval} to {one.kind} "
            f"{one.channel}{f' ({one.recipient})' if one.recipient else ''}, "
            f"{one.attempts} {times}",
        )
        if one.last_error:
            show_line(console, one.last_error, style="dim", label="  ")
