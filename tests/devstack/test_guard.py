"""A guarded process ends with its owner, whatever happens to either."""

import asyncio
import signal
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from holdfast_devstack import guard
from holdfast_devstack.data_lock import data_lock
from holdfast_devstack.errors import DataInUse
from holdfast_devstack.process import Command, GuardedProcess, server_environment

SLEEP = "import time; time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}]); {SLEEP}"


def python(scratch: Path, code: str, *, grace_seconds: float = 5) -> Command:
    return Command(
        argv=(sys.executable, "-u", "-c", code),
        log=scratch / "log",
        cwd=scratch,
        env=server_environment(),
        grace_seconds=grace_seconds,
    )


async def gone(*pids: int, within: float = 5) -> bool:
    async with asyncio.timeout(within):
        while any(psutil.pid_exists(pid) for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return True


async def until_deaf(process: GuardedProcess) -> None:
    async with asyncio.timeout(10):
        while "deaf" not in await process.log_tail():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_stop_ends_it_with_the_stop_signal(scratch: Path) -> None:
    process = await GuardedProcess.start(python(scratch, SLEEP))
    assert process.running
    assert await process.stop() == 128 + signal.SIGTERM
    assert await gone(process.pid)


async def test_what_ignores_the_stop_signal_is_killed_after_the_grace_period(scratch: Path) -> None:
    process = await GuardedProcess.start(python(scratch, DEAF, grace_seconds=0.1))
    await until_deaf(process)
    assert await process.stop() == 128 + signal.SIGKILL


async def test_a_paused_process_can_be_stopped(scratch: Path) -> None:
    process = await GuardedProcess.start(python(scratch, SLEEP))
    process.pause()
    assert await process.stop() == 128 + signal.SIGTERM


async def test_kill_takes_the_children_too(scratch: Path) -> None:
    process = await GuardedProcess.start(python(scratch, WITH_CHILD))
    await until_deaf(process)
    (child,) = guard.descendants(process.pid)
    await process.kill()
    assert await gone(process.pid, child)


async def test_children_that_outlive_the_process_are_killed(scratch: Path) -> None:
    process = await GuardedProcess.start(python(scratch, WITH_CHILD))
    await until_deaf(process)
    (child,) = guard.descendants(process.pid)
    await process.stop()
    assert await gone(child)


async def test_dropping_the_last_reference_ends_it(scratch: Path) -> None:
    process = await GuardedProcess.start(python(scratch, SLEEP))
    pid = process.pid
    del process
    assert await gone(pid)


async def test_a_program_that_does_not_exist_leaves_the_reason_in_the_log(scratch: Path) -> None:
    command = Command(
        argv=(str(scratch / "nothing"),), log=scratch / "log", cwd=scratch, env=server_environment()
    )
    process = await GuardedProcess.start(command)
    assert await process.wait() == 127
    assert "No such file" in await process.log_tail()


def kill_parent(pid: int) -> None:
    parent = psutil.Process(pid).parent()
    assert parent is not None
    parent.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal of Linux")
async def test_it_ends_when_its_guard_is_killed(scratch: Path) -> None:
    process = await GuardedProcess.start(python(scratch, SLEEP))
    kill_parent(process.pid)
    assert await gone(process.pid)


async def test_a_second_one_on_the_same_data_is_refused(scratch: Path) -> None:
    async with data_lock(scratch / "lock", grace_seconds=0) as lock:
        first = await GuardedProcess.start(python(scratch, SLEEP), lock=lock)
    with pytest.raises(DataInUse, match=str(first.pid)):
        async with data_lock(scratch / "lock", grace_seconds=0):
            pass
    assert first.running
    await first.stop()


async def test_one_whose_guard_was_killed_makes_room_for_the_next(scratch: Path) -> None:
    async with data_lock(scratch / "lock", grace_seconds=0) as lock:
        orphan = await GuardedProcess.start(python(scratch, DEAF), lock=lock)
    await until_deaf(orphan)
    kill_parent(orphan.pid)
    async with data_lock(scratch / "lock", grace_seconds=5):
        assert await gone(orphan.pid)


@pytest.mark.parametrize("forks", [False, True], ids=["alone", "with a fork that keeps the pipe"])
async def test_it_ends_when_its_owner_is_killed(scratch: Path, *, forks: bool) -> None:
    code = f"""
        import asyncio, os, sys, time
        from pathlib import Path
        from holdfast_devstack.process import Command, GuardedProcess

        command = Command(
            argv=(sys.executable, "-c", {SLEEP!r}), log=Path("log"), cwd=Path("."), env={{}}
        )
        process = asyncio.run(GuardedProcess.start(command))
        fork = os.fork() if {forks} else 0
        if {forks} and fork == 0:
            time.sleep(60)
        print(process.pid, fork, flush=True)
        time.sleep(60)
    """
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(code)),
        cwd=scratch,
        env={"PYTHONPATH": str(Path(guard.__file__).parents[1])},
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    pid, fork = map(int, (await owner.stdout.readline()).split())
    owner.kill()
    try:
        assert await gone(pid)
    finally:
        if fork:
            psutil.Process(fork).kill()
        await owner.communicate()


async def test_without_proc_the_process_tree_comes_from_ps(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await GuardedProcess.start(python(scratch, WITH_CHILD))
    await until_deaf(process)
    expected = guard.descendants(process.pid)
    monkeypatch.setattr(guard, "_has_proc", lambda: False)
    assert guard.descendants(process.pid) == expected
    await process.kill()
