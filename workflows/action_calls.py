"""How a turn has its actions executed and undone: patiently once they are begun, and not forever before."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType

from holdfast.workflows import patches
from holdfast.workflows.activity_calls import ActivityCalls

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.activity_protocol import ActionReport, ActionRequest, LeaveRequest

_LEAST_TIME = timedelta(seconds=1)


class ActionCalls:
    """Calls the actions of one turn after the other.

    What nobody has begun `within` its time, since no worker serves it, is left undone, which the records
    decide. What may have been begun is waited for.
    """

    def __init__(self, calls: ActivityCalls) -> None:
        self._calls = calls
        self._executing: LeaveRequest | None = None
        self._handle: workflow.ActivityHandle[ActionReport] | None = None
        self._left: ActionReport | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def execute(self, request: ActionRequest, *, within: timedelta) -> ActionReport:
        """Execute one action of a proposal."""
        leave = LeaveRequest(**request.model_dump(), reason="no worker had it in time")
        self._executing, self._left = leave, None
        try:
            return await self._act(request, leave, within)
        finally:
            self._executing = self._handle = None

    async def undo(self, request: ActionRequest, *, within: timedelta) -> ActionReport:
        """Undo one action of a proposal, where it says how."""
        leave = LeaveRequest(**request.model_dump(), undo=True, reason="no worker had it in time")
        self._left = None
        return await self._act(request, leave, within)

    def stop(self) -> None:
        """Leave the action that is to be executed, unless somebody has begun it."""
        if self._executing is not None and workflow.patched(patches.NOT_BEGUN_IS_LEFT):
            leave = self._executing.model_copy(update={"reason": "the turn was ended before"})
            self._leaving = asyncio.create_task(self._leave(self._executing, leave))

    async def _leave(self, executing: LeaveRequest, leave: LeaveRequest) -> None:
        report = await self._calls.leave_action(leave)
        if report is not None and self._executing is executing:
            self._left = report
            if self._handle is not None:
                self._handle.cancel()

    async def _act(
        self, request: ActionRequest, leave: LeaveRequest, within: timedelta
    ) -> ActionReport:
        package: str | None = None
        until = workflow.now() + within
        while self._left is None:
            left = max(until - workflow.now(), _LEAST_TIME)
            request = request.model_copy(update={"served_within": left.total_seconds()})
            self._handle = self._calls.act(request, package, undo=leave.undo, begun_within=left)
            try:
                report = await self._handle
            except ActivityError as error:
                if self._left is not None:
                    break
                if not _nobody_came(error):
                    raise
                known = await self._calls.leave_action(leave)
                if known is not None:
                    return known
                package, until = (
                    None,
                    workflow.now() + within,
                )  # it is under way: somebody will come
            else:
                if report.elsewhere is None:
                    return report
                package = report.elsewhere
        return self._left


def _nobody_came(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, TimeoutError) and cause.type == TimeoutType.SCHEDULE_TO_START
