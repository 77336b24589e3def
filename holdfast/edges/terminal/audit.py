"""Commands about the audit log: is it whole, and what does it say."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from holdfast.domain.errors import AuditBroken, ConfigurationError
from holdfast.edges.terminal.lines import json_line
from holdfast.edges.terminal.options import AsJson, Reader, Tenant
from holdfast.edges.terminal.runner import call, with_client
from holdfast.runtime.process import lost_output

if TYPE_CHECKING:
    from holdfast.client import HoldfastClient
    from holdfast.domain.audit import AuditReport
    from holdfast.edges.terminal.output import Shown

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
        report = await client.audit.verify(expected_head=expect_head)
        if report.problems:
            raise AuditBroken(_in_words(report))
        return report

    call(tenant, as_json, check)


@app.command()
def export(
    after: Annotated[int, typer.Option(help="Only entries numbered above that.", min=0)] = 0,
    output: Annotated[
        Path | None, typer.Option(help="A file to write instead of the standard output.")
    ] = None,
    reader: Reader = None,
    tenant: Tenant = "demo",
) -> None:
    """Print the log as JSON lines, an entry a line, with its hash and that of the entry before."""

    async def write(client: "HoldfastClient") -> None:
        with _opened(output) as file:
            async for entry in client.audit.export(after=after, reader=reader):
                print(json_line(entry.model_dump_json(), file), file=file)
                if output is None and lost_output() is not None:
                    return

    with_client(tenant, write)


def _in_words(report: "AuditReport") -> str:
    found = [f"entry {one.seq}: {one.problem}" for one in report.problems]
    if report.problem_count > len(found):
        found.append(f"and {report.problem_count - len(found)} more problems")
    return f"the audit log of {report.tenant!r} is broken: {'; '.join(found)}"


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8") as file:
            yield file
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        raise ConfigurationError(f"cannot write {output}: {error.strerror}") from None
