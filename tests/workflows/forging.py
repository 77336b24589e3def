"""What somebody who can reach Temporal can do: have any activity run with any input."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker

from holdfast.domain import wire
from tests.platform import Platform

Forging = Callable[[str, BaseModel], Awaitable[Any]]

_ACTIONS = (wire.EXECUTE_ACTION, wire.COMPENSATE_ACTION)


class ForgedCall(BaseModel):
    """An activity, where it runs, and what it gets."""

    activity: str
    task_queue: str
    request: dict[str, Any]


@workflow.defn(name="Forger", sandboxed=False)
class Forger:
    """Runs one activity, twice at most."""

    @workflow.run
    async def run(self, call: ForgedCall) -> Any:
        return await workflow.execute_activity(
            call.activity,
            call.request,
            task_queue=call.task_queue,
            schedule_to_close_timeout=timedelta(seconds=15),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=50), maximum_attempts=2
            ),
        )


@asynccontextmanager
async def forging(platform: Platform) -> AsyncIterator[Forging]:
    """Has the platform's workers run an activity for a workflow that is none of the platform's. What
    fails raises the `ApplicationError` that it failed with."""
    queue = f"{platform.settings.task_queue}-forged"

    async def forge(name: str, request: BaseModel) -> Any:
        at = wire.actions_queue if name in _ACTIONS else wire.subgraphs_queue
        call = ForgedCall(
            activity=name,
            task_queue=at(platform.settings.task_queue),
            request=request.model_dump(mode="json"),
        )
        try:
            return await platform.temporal.execute_workflow(
                "Forger", call, id=f"forged-{uuid4().hex}", task_queue=queue
            )
        except WorkflowFailureError as error:
            failed = error.cause
            if isinstance(failed, ActivityError) and isinstance(failed.cause, ApplicationError):
                raise failed.cause from error
            raise

    async with Worker(platform.temporal, task_queue=queue, workflows=[Forger]):
        yield forge
