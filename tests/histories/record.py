"""Records a history of every path that has none yet, beside a running Temporal and Postgres:
`python -m tests.histories.record`, or with `--add PATH` another one of that path.

Files that are there are never written again: they stand for conversations that exist.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowExecution, WorkflowExecutionStatus

from holdfast.domain.errors import HoldfastError
from holdfast.packages.registry import load_packages
from holdfast.runtime.connection import resolve
from holdfast.runtime.process import exit_process
from holdfast.runtime.settings import Settings, read_settings
from holdfast.testing import eventually, replay_failure
from holdfast.testing.recorded_history import add_history, history_of, recorded_files
from holdfast.testing.replay import has_completed_task
from holdfast.worker.preparation import prepare
from tests.histories.normalising import normalised
from tests.histories.notifying import receivers
from tests.histories.scenario import POLICY, Scenario
from tests.histories.scenarios import PATHS
from tests.platform import PACKAGES, Platform, open_platform

_FOLDER = Path(__file__).parent
_PATH_SECONDS = 30.0


async def _record(more: list[str]) -> None:
    """Record the paths without a history, and one more of each that is named."""
    settings = await resolve(read_settings(health_port=0))
    await prepare(settings, load_packages(PACKAGES), None)
    there = recorded_files(_FOLDER)
    for path in [*(path for path in PATHS if path not in there), *more]:
        for history in await record_path(PATHS[path], settings):
            file = add_history(path, history, _FOLDER)
            print(f"{file.name}: {len(history['events'])} events", flush=True)


async def record_path(scenario: Scenario, settings: Settings) -> list[dict[str, Any]]:
    """Lead conversations along a path; the histories of all their runs, in the order of their starts.

    Raises:
        HoldfastError: the path has no end, or a history does not replay or names this machine.
    """
    tenant = f"recorded-{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        policies = folder / "policies"
        policies.mkdir()
        (policies / "default.yaml").write_text(POLICY)
        channels = await stack.enter_async_context(receivers(folder)) if scenario.notified else None
        platform = await stack.enter_async_context(
            open_platform(
                settings,
                tenant,
                in_process=scenario.in_process,
                limits=scenario.limits,
                policy_dir=policies,
                notifications_dir=channels,
            )
        )
        try:
            async with asyncio.timeout(_PATH_SECONDS):
                await scenario.play(platform)
                runs = await eventually(lambda: _quiet_runs(platform), what="quiet")
            histories = [await _history(platform, run) for run in runs]
        except (AssertionError, TimeoutError) as error:
            raise HoldfastError(
                f"{scenario.path} did not come to its end in {_PATH_SECONDS:g} s: "
                f"{error or 'no answer'}. Its workflows are those of HoldfastTenant = '{tenant}'"
            ) from error
        finally:
            await _end_all(platform)
    return [history for history in histories if history is not None]


async def _quiet_runs(platform: Platform) -> list[WorkflowExecution]:
    """All runs of the tenant, once visibility has them and nothing is under way in them; else none."""
    runs = await _runs(platform)
    latest = {run.id: run.run_id for run in runs}
    for id_, run_id in latest.items():
        found = await platform.temporal.get_workflow_handle(id_).describe()
        pending = found.raw_description.HasField("pending_workflow_task")
        if found.run_id != run_id or pending or found.raw_description.pending_activities:
            return []
    return runs


async def _runs(platform: Platform) -> list[WorkflowExecution]:
    query = f"HoldfastTenant = '{platform.tenant}'"
    runs = [run async for run in platform.temporal.list_workflows(query)]
    return sorted(runs, key=lambda run: run.start_time)


async def _history(platform: Platform, run: WorkflowExecution) -> dict[str, Any] | None:
    """The normalised history of a run, seen to replay; None where there is nothing to replay."""
    handle = platform.temporal.get_workflow_handle(run.id, run_id=run.run_id)
    fetched = await handle.fetch_history()
    if not has_completed_task(fetched.events):
        return None
    history = normalised(fetched.to_json_dict())
    failure = await replay_failure(history_of(history))
    if failure is not None:
        raise HoldfastError(f"the history of {run.id}, just recorded, does not replay: {failure}")
    return history


async def _end_all(platform: Platform) -> None:
    """End what would wait forever: no worker serves these task queues again."""
    for run in await _runs(platform):
        if run.status is WorkflowExecutionStatus.RUNNING:
            handle = platform.temporal.get_workflow_handle(run.id, run_id=run.run_id)
            await handle.terminate("recorded")


def _arguments() -> list[str]:
    parser = argparse.ArgumentParser(
        prog="python -m tests.histories.record",
        description="Record a history of every path that has none yet.",
    )
    parser.add_argument(
        "--add",
        metavar="PATH",
        action="append",
        choices=PATHS,
        default=[],
        help=f"record another one of this path, may be repeated: {', '.join(PATHS)}",
    )
    chosen: list[str] = parser.parse_args().add
    return chosen


def main() -> None:
    """Record what is asked for, and leave."""
    more = _arguments()
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)  # paths fail on purpose
    try:
        asyncio.run(_record(more))
    except HoldfastError as error:
        print(error, file=sys.stderr)
        exit_process(4)
    exit_process(0)


if __name__ == "__main__":
    main()
