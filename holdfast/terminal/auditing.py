"""Commands about the audit log: is it whole, and what does it say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.domain.errors import AuditBroken
from holdfast.terminal.options import AsJson, Tenant
from holdfast.terminal.running import call, with_client

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient
    from holdfast.terminal.rendering import Shown

app = typer.Typer(help="The audit log: who was asked, who decided what, what was executed.")


@app.command()
def verify(
    expect_head: Annotated[
        str | None,
        typer.Option(metavar="SEQ:HASH", help="The head that an earlier run has printed."),
    ] = None,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """Find entries that were changed, removed or inserted."""

    async def check(client: "HoldfastClient") -> "Shown":
        report = await client.verify_audit(expected_head=expect_head)
        if report.problems:
            found = "; ".join(f"entry {one.seq}: {one.problem}" for one in report.problems)
            raise AuditBroken(f"the audit log of {tenant!r} is broken: {found}")
        return report

    call(tenant, as_json, check)


@app.command()
def export(
    after: Annotated[int, typer.Option(help="Only entries numbered above that.", min=0)] = 0,
    output: Annotated[
        Path | None, typer.Option(help="A file, in the place of the standard output.")
    ] = None,
    tenant: Tenant = "demo",
) -> None:
    """Print the log as JSON lines."""

    async def write(client: "HoldfastClient") -> None:
        if output is None:
            async for entry in client.audit(after=after):
                print(entry.model_dump_json())
            return
        with output.open("w", encoding="utf-8") as file:
            async for entry in client.audit(after=after):
                print(entry.model_dump_json(), file=file)

    with_client(tenant, write)
