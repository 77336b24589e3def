"""What a report shows, and how its numbers are worked out."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.report import (
    Machine,
    Ratio,
    Report,
    Section,
    Table,
    percentile,
    section_lines,
    write_report,
)

_MACHINE = Machine(
    system="Linux 6",
    processor="a processor",
    cores=2,
    memory_gib=23.5,
    python="3.11.7",
    versions={"holdfast": "0.1.0", "temporalio": "1.35.0"},
)

_SECTION = Section(
    name="turns",
    title="Overhead of a turn",
    how="Turns were sent.",
    ratios=(
        Ratio(name="latency", value=1.9, aim=2.0),
        Ratio(name="throughput", value=1.5, aim=2.0, better="higher"),
        Ratio(name="beside the saver", value=2.49),
    ),
    tables=(
        Table(title="Latency", columns=("", "turns", "p50 ms"), rows=(("holdfast", 1200, 50.44),)),
    ),
)


def _report() -> Report:
    return Report(
        machine=_MACHINE,
        started=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=61.7,
        command="python -m bench",
        sections=(_SECTION,),
    )


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.5, 5), (0.51, 6), (0.95, 10), (1.0, 10)]
)
def test_a_percentile_is_one_of_the_values(share: float, expected: int) -> None:
    values = [3, 1, 2, 10, 9, 8, 4, 5, 7, 6]

    assert percentile(values, share) == expected


def test_an_aim_is_met_on_its_own_side_and_at_the_bound() -> None:
    assert Ratio(name="latency", value=2.0, aim=2.0).holds is True
    assert Ratio(name="latency", value=2.01, aim=2.0).holds is False
    assert Ratio(name="throughput", value=2.0, aim=2.0, better="higher").holds is True
    assert Ratio(name="throughput", value=1.99, aim=2.0, better="higher").holds is False
    assert Ratio(name="latency", value=2.0).holds is None


def test_a_section_shows_its_ratios_first_and_says_which_aims_are_missed() -> None:
    lines = section_lines(_SECTION)

    assert lines == [
        "## Overhead of a turn",
        "",
        "Turns were sent.",
        "",
        "| ratio | measured | aim | met |",
        "| --- | ---: | ---: | ---: |",
        "| latency | 1.9 | ≤ 2 | yes |",
        "| throughput | 1.5 | ≥ 2 | **no** |",
        "| beside the saver | 2.49 |  |  |",
        "",
        "**Latency**",
        "",
        "|  | turns | p50 ms |",
        "| --- | ---: | ---: |",
        "| holdfast | 1,200 | 50.4 |",
    ]


def test_a_report_names_the_machine_the_command_and_the_versions() -> None:
    head = _report().markdown().splitlines()[0]

    assert head == (
        "`python -m bench`, 2026-01-02, 62 s, on 2 cores of a processor, 23.5 GiB, Linux 6, "
        "Python 3.11.7, holdfast 0.1.0, temporalio 1.35.0."
    )


def test_a_written_report_can_be_read_again(tmp_path: Path) -> None:
    report = _report()

    write_report(report, tmp_path / "results", name="report", title="Benchmark")

    written = (tmp_path / "results" / "report.json").read_text()
    assert Report.model_validate_json(written) == report
    assert "## Overhead of a turn" in (tmp_path / "results" / "report.md").read_text()
