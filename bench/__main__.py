"""Measures Holdfast on this machine: `python -m bench [--quick] [--only SECTION …] [--output DIR]`.

Every section starts servers of its own and deletes them afterwards. A section that breaks is named,
the others are still reported, and the exit code is 1.
"""

import asyncio
import importlib
import sys
import time
import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Protocol, cast

import typer

from bench.report import RESULTS, Machine, Report, Section, now, write_report
from holdfast.runtime.process import exit_process


class SectionName(StrEnum):
    """The parts of the benchmark, in the order in which they run."""

    TURNS = "turns"
    GROWTH = "growth"
    WAITING = "waiting"
    RECOVERY = "recovery"
    SCALING = "scaling"
    OVERLOAD = "overload"
    SEARCH = "search"


class _Measure(Protocol):
    async def __call__(self, *, quick: bool) -> Section: ...


_MODULES = {SectionName.TURNS: "bench.turns.section"}
"""Where a section is, if it is not in the module of its name."""


def _measure_of(name: SectionName) -> _Measure:
    """What measures a section; imported here, as each needs packages that others do not."""
    module = importlib.import_module(_MODULES.get(name, f"bench.{name}"))
    return cast(_Measure, module.measure)


async def _run(names: list[SectionName], *, quick: bool, output: Path) -> int:
    started, clock = now(), time.monotonic()
    sections: list[Section] = []
    broken: list[SectionName] = []
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        try:
            sections.append(await _measure_of(name)(quick=quick))
        except Exception:  # one section that breaks must not lose what the others found
            traceback.print_exc()
            broken.append(name)
    if sections:
        report = Report(
            machine=Machine.here(),
            started=started,
            seconds=time.monotonic() - clock,
            command=_command(names, quick=quick),
            sections=tuple(sections),
        )
        write_report(report, output, name="report", title="Benchmark")
        print(report.markdown())
    for name in broken:
        print(f"the section {name} broke; its error is above", file=sys.stderr)
    return 1 if broken else 0


def _command(names: list[SectionName], *, quick: bool) -> str:
    only = [] if names == list(SectionName) else [f"--only {name}" for name in names]
    return " ".join(["python -m bench", *(["--quick"] if quick else []), *only])


def _main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Few turns: whether it runs, not what it finds.")
    ] = False,
    only: Annotated[
        list[SectionName] | None, typer.Option(help="A section; may be given several times.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Where report.md and report.json are written.")
    ] = RESULTS,
) -> None:
    """Run the benchmark and write its report."""
    names = [name for name in SectionName if not only or name in only]
    exit_process(asyncio.run(_run(names, quick=quick, output=output)))


if __name__ == "__main__":
    typer.run(_main)
