"""Kills everything at random and counts what came of it: `python -m bench.chaos [--seed N] [--minutes M]`.

It starts servers, workers and clients of its own, and deletes what they leave. The exit code is 1 if
anything was lost, duplicated, different or forbidden; the report says what.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.chaos.run import run_chaos
from bench.report import RESULTS, write_report
from holdfast.runtime.process import exit_process


def _main(
    seed: Annotated[int, typer.Option(help="What is said, and which harm is done.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, max=600, help="How long harm is done.")] = 5.0,
    workers: Annotated[int, typer.Option(min=3, max=32, help="Worker processes.")] = 6,
    output: Annotated[
        Path, typer.Option(help="Where chaos.md and chaos.json are written.")
    ] = RESULTS,
    evidence: Annotated[
        Path | None,
        typer.Option(help="A folder for what is known of conversations with a problem."),
    ] = None,
) -> None:
    """Run conversations while everything is killed."""
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # workers log there that servers are away
    report = asyncio.run(run_chaos(seed=seed, minutes=minutes, workers=workers, evidence=evidence))
    os.write(out, report.markdown().encode())
    write_report(report, output, name="chaos", title="Chaos")
    exit_process(0 if report.holds else 1)


if __name__ == "__main__":
    typer.run(_main)
