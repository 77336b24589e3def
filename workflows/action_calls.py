"""How the actions of a proposal are executed and undone: an action that was begun is waited for, one that no
worker takes is left undone in time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType

from holdfast.workflows import patches
from holdfast.workflows.activity_calls import ActivityCalls

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.activity_protocol import ActionReport, ActionRequest, LeaveRequest
    from holdfast.domain.identity import StepKey
    from holdfast.domain.limits import Limits
    from holdfast.domain.outcomes import ActionState

_LEAST_TIME = timedelta(seconds=1)
_STOPPED = "the turn was ended before"


class Stuck(Exception):
    """Nothing of a proposal was done, since its agent could not have gone on afterwards."""


class ActionCalls:
    """Calls one action after the other. Whether a worker has begun one, the records decide."""

    def __init__(self, limits: Limits, calls: ActivityCalls) -> None:
        self._limits = limits
        self._calls = calls
        self._executing: ActionRequest | None = None
        self._handle: workflow.ActivityHandle[ActionReport] | None = None
        self._left: ActionReport | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._stopped = False

    async def execute(
        self, step: StepKey, actions: int, time_left: Callable[[], timedelta]
    ) -> ActionState:
        """Execute the actions of a step in order; if one does not succeed, or is left since the turn was
        stopped, undo those before it. Returns the state of the last one.

        Raises:
            Stuck: none was tried.
        """
        self._stopped = False
        for index in range(actions):
            report = await self._execute(self._request(step, index), time_left())
            if report.stuck is not None:
                raise Stuck(report.stuck)
            if report.state != "executed":
                for earlier in reversed(range(index)):
                    self._left = None
                    least = timedelta(seconds=self._limits.action_seconds)
                    within = max(time_left(), least)
                    await self._act(self._request(step, earlier), within, undo=True)
                return report.state
        return "executed"

    def stop(self) -> None:
        """Leave the action that is to be executed, unless a worker has begun it, and those after it."""
        self._stopped = True
        if self._executing is not None and workflow.patched(patches.NOT_BEGUN_IS_LEFT):
            self._leaving = asyncio.create_task(self._leave_stopped(self._executing))

    async def _leave_stopped(self, request: ActionRequest) -> None:
        report = await self._leave(request, _STOPPED)
        if report is not None and self._executing is request:
            self._left = report
            if self._handle is not None:
                self._handle.cancel()

    async def _execute(self, request: ActionRequest, within: timedelta) -> ActionReport:
        self._left = None
        if self._stopped and workflow.patched(patches.REST_IS_LEFT):
            left = await self._leave(request, _STOPPED)
            if left is not None:
                return left
        self._executing = request
        try:
            return await self._act(request, within)
        finally:
            self._executing = self._handle = None

    async def _act(
        self, request: ActionRequest, within: timedelta, *, undo: bool = False
    ) -> ActionReport:
        package: str | None = None
        until = workflow.now() + within
        while self._left is None:
            left = max(until - workflow.now(), _LEAST_TIME)
            bounded = request.model_copy(update={"served_within": left.total_seconds()})
            self._handle = self._calls.act(bounded, package, undo=undo, begun_within=left)
            try:
                report = await self._handle
            except ActivityError as error:
                if self._left is not None:
                    break
                if not _timed_out_in_queue(error):
                    raise
                known = await self._leave(request, "no worker had it in time", undo=undo)
                if known is not None:
                    return known
                # It was begun: a worker will take it.
                package, until = None, workflow.now() + within
            else:
                if report.elsewhere is None:
                    return report
                package = report.elsewhere
        return self._left

    async def _leave(
        self, request: ActionRequest, reason: str, *, undo: bool = False
    ) -> ActionReport | None:
        leave = LeaveRequest(**request.model_dump(), reason=reason, undo=undo)
        return await self._calls.leave_action(leave)

    def _request(self, step: StepKey, index: int) -> ActionRequest:
        return ActionRequest(
            **step.action_key(index).fields,
            attempts=self._limits.attempts,
            lost_attempts=self._limits.lost_attempts,
            seconds=self._limits.turn_seconds,
        )


def _timed_out_in_queue(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, TimeoutError) and cause.type == TimeoutType.SCHEDULE_TO_START
