"""Plays all retail tasks through the whole platform, in both forms, and prints a line for each:
`python -m bench.tau2`. The exit code is 1 if any fails.

It starts a Temporal and a Postgres of its own, with a worker for each form, and deletes them
afterwards. The seconds of a line are those of both forms, while others are played beside them.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from time import monotonic

from holdfast.domain.errors import HoldfastError
from holdfast.domain.wire import SEARCH_ATTRIBUTES
from holdfast.runtime.process import exit_process
from holdfast.runtime.settings import Settings, read_settings
from holdfast_devstack.temporary import temporary_postgres, temporary_temporal
from tests import tau2
from tests.retail.play import FORMS, Form, Played, Retail, open_retail

_AT_ONCE = 4
_LINE = "{:>4}  {:>5}  {:>6}  {:<7}  {:<7}  {:>7}"


async def _run() -> int:
    if tau2.retail_folder() is None:
        print(f"nothing played: {tau2.MISSING}")
        return 0
    async with AsyncExitStack() as stack:
        settings = await _start_servers(stack)
        retail = {
            form: await stack.enter_async_context(open_retail(settings, form)) for form in FORMS
        }
        return await _play_all(retail)


async def _start_servers(stack: AsyncExitStack) -> Settings:
    configured = read_settings()
    postgres = await stack.enter_async_context(temporary_postgres())
    temporal = await stack.enter_async_context(
        temporary_temporal(
            search_attributes=SEARCH_ATTRIBUTES,
            binary=configured.temporal_binary,
            progress=lambda line: print(line, file=sys.stderr),
        )
    )
    return Settings.model_validate(
        {
            "temporal_address": temporal.address,
            "temporal_namespace": temporal.namespace,
            "database_url": postgres.product_url,
            "migration_url": postgres.database_url,
            "unsigned_decisions": True,
            "health_port": 0,
        }
    )


async def _play_all(retail: dict[Form, Retail]) -> int:
    """Play the tasks, some at once; their lines come in order. Returns the exit code."""
    started = monotonic()
    slots = asyncio.Semaphore(_AT_ONCE)
    playing = [
        {form: asyncio.create_task(_play(retail[form], form, task, slots)) for form in FORMS}
        for task in tau2.tasks()
    ]
    print(_LINE.format("task", "calls", "writes", *FORMS, "seconds"), flush=True)
    passed = dict.fromkeys(FORMS, 0)
    for forms in playing:
        played = [await forms[form] for form in FORMS]
        _print_line(played)
        for one in played:
            passed[one.form] += not one.problems
    tasks = len(playing)
    counts = ", ".join(f"{form} {passed[form]} of {tasks}" for form in FORMS)
    writes = sum(_writes(task) for task in tau2.tasks())
    print(f"{tasks} tasks with {writes} writes: {counts}; {monotonic() - started:.0f} s")
    return 0 if all(count == tasks for count in passed.values()) else 1


async def _play(retail: Retail, form: Form, task: tau2.Task, slots: asyncio.Semaphore) -> Played:
    async with slots:
        started = monotonic()
        try:
            return await retail.play(task)
        except Exception as error:  # one task that breaks must not hide how the others go
            problem = f"{type(error).__name__}: {error}"
            return Played(task=task, form=form, problems=(problem,), seconds=monotonic() - started)


def _print_line(played: list[Played]) -> None:
    task = played[0].task
    verdicts = ["FAILED" if one.problems else "ok" for one in played]
    seconds = sum(one.seconds for one in played)
    print(_LINE.format(task.id, len(task.calls), _writes(task), *verdicts, f"{seconds:.2f}"))
    for one in played:
        for problem in one.problems:
            print(f"      {one.form}: {problem}")
    sys.stdout.flush()


def _writes(task: tau2.Task) -> int:
    return sum(call.kind == "write" for call in task.calls)


def main() -> None:
    """Play everything and leave with the result."""
    try:
        code = asyncio.run(_run())
    except HoldfastError as error:
        print(error, file=sys.stderr)
        code = 4
    exit_process(code)


if __name__ == "__main__":
    main()
