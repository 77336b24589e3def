"""What a benchmark found: ratios first, then tables, with the machine and versions; as JSON and Markdown."""

import math
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol

import psutil
from pydantic import BaseModel, ConfigDict

Cell = str | int | float | None
"""Text and counts are shown as they are, fractions with three significant digits."""

_VERSIONS = (
    "holdfast",
    "temporalio",
    "langgraph",
    "openai",
    "asyncpg",
    "pydantic",
    "temporalio-langgraph",
    "langgraph-checkpoint-postgres",
    "psycopg",
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ratio(_Frozen):
    """One measured number beside what it is compared with, and what is aimed at."""

    name: str
    value: float
    aim: float | None = None
    """The bound that `value` is to keep, on the side that `better` names."""
    better: Literal["lower", "higher"] = "lower"

    @property
    def holds(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        if self.aim is None:
            return None
        return self.value <= self.aim if self.better == "lower" else self.value >= self.aim


class Table(_Frozen):
    """Numbers with their units in the names of the columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Section(_Frozen):
    """What one part of the benchmark found."""

    name: str
    """How it is called on the command line."""
    title: str
    how: str
    """What was done, in plain words, so that somebody can judge the numbers."""
    ratios: tuple[Ratio, ...] = ()
    tables: tuple[Table, ...] = ()


class Machine(_Frozen):
    """Where it ran."""

    system: str
    processor: str
    cores: int
    memory_gib: float
    python: str
    versions: dict[str, str]

    @classmethod
    def here(cls) -> "Machine":
        """This machine, and the versions of what matters."""
        return cls(
            system=f"{platform.system()} {platform.release()}",
            processor=_processor(),
            cores=os.cpu_count() or 1,
            memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
            python=platform.python_version(),
            versions={name: version(name) for name in _VERSIONS},
        )


class Report(_Frozen):
    """A whole run."""

    machine: Machine
    started: datetime
    seconds: float
    command: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """The report as a page."""
        machine = self.machine
        versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
        lines = [
            f"`{self.command}`, {self.started:%Y-%m-%d}, {self.seconds:.0f} s, on {machine.cores} cores of "
            f"{machine.processor}, {machine.memory_gib:g} GiB, {machine.system}, Python {machine.python}, "
            f"{versions}.",
        ]
        for section in self.sections:
            lines += ["", *section_lines(section)]
        return "\n".join(lines) + "\n"


def section_lines(section: Section) -> list[str]:
    """A section as lines of Markdown."""
    lines = [f"## {section.title}", "", section.how]
    if section.ratios:
        rows = [
            (
                ratio.name,
                ratio.value,
                _aim(ratio),
                {True: "yes", False: "**no**", None: ""}[ratio.holds],
            )
            for ratio in section.ratios
        ]
        lines += ["", *_table(("ratio", "measured", "aim", "met"), rows)]
    for table in section.tables:
        lines += ["", f"**{table.title}**", "", *_table(table.columns, table.rows)]
    return lines


class Page(Protocol):
    """A report that can be written down."""

    def markdown(self) -> str: ...

    def model_dump_json(self, *, indent: int) -> str: ...


def write_report(report: Page, folder: Path, *, name: str, title: str) -> None:
    """Write the report as `NAME.json` and `NAME.md`, in place of earlier ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(report.model_dump_json(indent=1) + "\n")
    (folder / f"{name}.md").write_text(f"# {title}\n\n" + report.markdown())


RESULTS = Path(__file__).parent / "results"
"""Where the latest reports are kept."""


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: at least `share` of the values are not above it."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def now() -> datetime:
    """The time, for `Report.started`."""
    return datetime.now(UTC)


def _aim(ratio: Ratio) -> str:
    if ratio.aim is None:
        return ""
    return f"{'≤' if ratio.better == 'lower' else '≥'} {_shown(ratio.aim)}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    head = f"| {' | '.join(columns)} |"
    rule = f"| {' | '.join('---' if n == 0 else '---:' for n in range(len(columns)))} |"
    return [head, rule, *(f"| {' | '.join(_shown(cell) for cell in row)} |" for row in rows)]


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
