"""Carries out an operation, which is one activity; Temporal retries it until it is recorded."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy

from holdfast.workflows.requests import read_start, refusing

with workflow.unsafe.imports_passed_through():
    from holdfast.domain import wire
    from holdfast.domain.operations import ExportRequest, OperationReport, OperationStart

_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=3)
)
_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_HEARTBEAT_TIMEOUT = timedelta(seconds=3)
_NOTHING = OperationStart(task_queue="none", operation=ExportRequest(tenant="nobody"))


@workflow.defn(name=wire.OPERATION_WORKFLOW)
class OperationWorkflow:
    """One operation. If it is refused, the workflow fails with the type of the refusal."""

    @workflow.init
    def __init__(self, *received: Any) -> None:
        self._start, self._unusable = read_start(OperationStart, received, _NOTHING)

    @workflow.run
    async def run(self, *received: Any) -> OperationReport:
        """Take an `OperationStart`; with anything else, the workflow fails as `InvalidRequest`."""
        operation = self._start.operation
        with refusing(self._unusable):
            report: OperationReport = await workflow.execute_activity(
                operation.kind,
                operation,
                result_type=OperationReport,
                task_queue=wire.subgraphs_queue(self._start.task_queue),
                start_to_close_timeout=_ATTEMPT_TIMEOUT,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
                retry_policy=_RETRY,
                priority=Priority(fairness_key=operation.tenant),
            )
        return report
