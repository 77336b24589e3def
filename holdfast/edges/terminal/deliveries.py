"""Commands about notifications: how they ended, and sending dead ones again."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from holdfast.domain.notifications import DeliveryState
from holdfast.edges.terminal.options import AsJson, By, Tenant
from holdfast.edges.terminal.runner import call

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient
    from holdfast.edges.terminal.output import Shown

app = typer.Typer()


@app.command()
def deliveries(
    state: Annotated[Literal[DeliveryState, "all"], typer.Option(help="Which ones.")] = "all",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """List notifications of approvals, the newest first."""

    async def run(client: "HoldfastClient") -> "Shown":
        wanted = None if state == "all" else state
        return {"deliveries": await client.deliveries.list(state=wanted, limit=limit)}

    call(tenant, as_json, run)


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
        again = (
            client.deliveries.redrive(ids, by=by) if ids else client.deliveries.redrive_all(by=by)
        )
        return {"redriven": await again}

    call(tenant, as_json, run)
