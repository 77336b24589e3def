"""How a turn's steps are run: within the turn's time, through outages of all models, unless it is stopped."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from holdfast.workflows import patches
from holdfast.workflows.activity_calls import ActivityCalls
from holdfast.workflows.outages import ModelOutages, pause_asked_for
from holdfast.workflows.turn_ends import Stop

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.activity_protocol import (
        EndResult,
        ProposalResult,
        RepeatResult,
        StepReport,
        StepRequest,
    )
    from holdfast.domain.approval import Approval
    from holdfast.domain.conversation import ConversationStart

_LEAST_TIME = timedelta(seconds=1)


class Stopped(Exception):
    """The turn was stopped, and can end now."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.stop = stop


class OutOfTime(Exception):
    """The turn has had its time."""


class StepCalls:
    """Runs the steps of one turn, one after the other."""

    def __init__(self, start: ConversationStart, calls: ActivityCalls, turn: int) -> None:
        self._calls = calls
        self._outages = ModelOutages(start, calls, turn)
        self._until = workflow.now() + timedelta(seconds=start.limits.turn_seconds)
        self._under_way: workflow.ActivityHandle[StepReport] | None = None
        self._stop: Stop | None = None

    def stop(self, stop: Stop) -> None:
        """Run no further step, and cancel the one that is under way; the first reason counts."""
        if self._stop is None:
            self._stop = stop
            if self._under_way is not None:
                self._under_way.cancel()

    def time_left(self) -> timedelta:
        """How much of the turn's time is left; negative when it is over."""
        return self._until - workflow.now()

    async def run(self, request: StepRequest, package: str | None = None) -> StepReport:
        """Run a step, in a worker that has the package. If the turn is stopped meanwhile, a finished answer
        still counts.

        Raises:
            Stopped, OutOfTime.
            NoModel: no model answered for too long.
            ActivityError: the step has failed for good.
        """
        self._check_not_stopped()
        report = await self._outlast_outages(request, package)
        result = report.result
        if self._stop is not None and not isinstance(result, EndResult | RepeatResult):
            if isinstance(result, ProposalResult) and result.approval is not None:
                await self._withdraw(result.approval)
            raise Stopped(self._stop)
        return report

    async def _outlast_outages(self, request: StepRequest, package: str | None) -> StepReport:
        self._outages.step_begins()
        while True:
            try:
                report = await self._try(request, package)
            except ActivityError as error:
                asked_for = pause_asked_for(error)
                if asked_for is None:
                    raise
            else:
                self._outages.step_ends()
                return report
            await self._outages.outlast(asked_for, self._is_stopped)
            self._check_not_stopped()
            request = request.model_copy(update={"message": None})  # the first try recorded it

    async def _try(self, request: StepRequest, package: str | None) -> StepReport:
        left = self.time_left()
        if left <= timedelta(0) and workflow.patched(patches.TURN_SECONDS):
            raise OutOfTime
        handle = self._calls.step(request, package, within=max(left, _LEAST_TIME))
        self._under_way = handle
        try:
            await self._outages.watch(lambda: handle.done() or self._is_stopped())
            return await handle
        except ActivityError:
            # Also if its worker died meanwhile: Temporal retries nothing that is to be cancelled.
            self._check_not_stopped()
            raise
        finally:
            self._under_way = None

    def _is_stopped(self) -> bool:
        return self._stop is not None

    def _check_not_stopped(self) -> None:
        if self._stop is not None:
            raise Stopped(self._stop) from None

    async def _withdraw(self, approval: Approval) -> None:
        """Take back an approval that was asked for while the turn was being stopped."""
        outcome = await self._calls.record_alarm(approval.withdraw())
        await self._calls.notify(outcome.deliveries)
