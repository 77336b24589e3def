"""The ways to a Temporal binary are tried in order, and named when all of them fail."""

import asyncio
import os
from pathlib import Path

import pytest

from holdfast_devstack.errors import TemporalBinaryMissing
from holdfast_devstack.temporal.binary import cached_binary, find_temporal


@pytest.fixture(autouse=True)
def bare_machine(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on PATH but the basic tools, an empty cache, no way out for downloads."""
    monkeypatch.setenv("HOLDFAST_CACHE_DIR", str(scratch / "cache"))
    monkeypatch.setenv("PATH", f"{scratch}:/bin:/usr/bin")
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


async def find(setting: Path | None = None, progress: list[str] | None = None) -> Path:
    lines = [] if progress is None else progress
    return await find_temporal(setting, progress=lines.append, download_stall_seconds=5)


async def test_without_any_the_error_names_the_ways_and_why_each_failed() -> None:
    with pytest.raises(TemporalBinaryMissing) as failure:
        await find()
    message = str(failure.value)
    for part in (
        "set the path",
        "on PATH",
        "the SDK's download",
        "install Go",
        "- PATH: there is no `temporal`",
        "- the SDK's download: ",
        "- build with Go: there is no `go` on PATH",
    ):
        assert part in message


async def test_a_setting_is_taken_as_it_is(scratch: Path) -> None:
    chosen = program(scratch / "chosen", "exit 0")
    assert await find(chosen) == chosen
    with pytest.raises(TemporalBinaryMissing, match="not an executable file"):
        await find(scratch / "absent")


async def test_a_recent_one_on_path_is_taken(scratch: Path) -> None:
    found = program(scratch / "temporal", "echo 'temporal version 1.5.0 (Server 1.29.0, UI 2.41)'")
    assert await find() == found


async def test_an_old_one_on_path_is_left_for_the_cached_one(scratch: Path) -> None:
    program(scratch / "temporal", "echo 'temporal version 1.0.0 (Server 1.24.2, UI 2.28)'")
    cached = program(cached_binary(), "exit 0")
    assert await find() == cached


async def test_parallel_callers_build_once(scratch: Path) -> None:
    program(scratch / "go", f"echo built >> '{scratch}/builds'; sleep 0.3; echo x > temporal")
    progress: list[str] = []
    found = await asyncio.gather(*(find(progress=progress) for _ in range(3)))
    assert set(found) == {cached_binary()}
    assert (scratch / "builds").read_text().split() == ["built"]
    assert any("about 5 minutes" in line for line in progress)
    assert any(f"process {os.getpid()}" in line for line in progress)


async def test_a_failed_build_shows_its_last_lines(scratch: Path) -> None:
    program(scratch / "go", "echo no space left on device; exit 1")
    with pytest.raises(TemporalBinaryMissing, match="no space left on device"):
        await find()
    assert not cached_binary().exists()


async def test_a_cache_that_cannot_be_written_is_named_with_the_way_out(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scratch / "home").write_text("a file")
    monkeypatch.setenv("HOLDFAST_CACHE_DIR", str(scratch / "home" / ".cache"))
    with pytest.raises(TemporalBinaryMissing, match="HOLDFAST_CACHE_DIR") as failure:
        await find()
    assert str(scratch / "home" / ".cache") in str(failure.value)
    chosen = program(scratch / "chosen", "exit 0")
    assert await find(chosen) == chosen
