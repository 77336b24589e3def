"""Changes of the records outside of conversations' workflows: each has a workflow of its own."""

from datetime import timedelta
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from holdfast.client.dispatch import deliver
from holdfast.client.requests import REQUEST_SECONDS
from holdfast.client.workflow_options import workflow_options
from holdfast.domain import wire
from holdfast.domain.operations import (
    Operation,
    OperationReport,
    OperationStart,
    operation_workflow_id,
)


class Operations:
    """Starts the workflows of one deployment's operations."""

    def __init__(self, temporal: Client, task_queue: str) -> None:
        self._temporal = temporal
        self._task_queue = task_queue

    async def run(
        self, operation: Operation, *, timeout: float | None = REQUEST_SECONDS
    ) -> OperationReport:
        """Have an operation carried out, once. Temporal gives up what isn't done after `timeout` seconds.

        Raises:
            Unavailable: Temporal or the workers do not answer.
            Refused: the exception of the code with which it is refused.
        """
        id_ = operation_workflow_id(operation.tenant, uuid4().hex)
        start = OperationStart(task_queue=self._task_queue, operation=operation)

        async def attempt() -> OperationReport:
            return await (await self._started(id_, start, timeout)).result()

        return await deliver(attempt, what=operation.kind, timeout=timeout)

    async def _started(
        self, id_: str, start: OperationStart, timeout: float | None
    ) -> WorkflowHandle[object, OperationReport]:
        try:
            handle: WorkflowHandle[object, OperationReport] = await self._temporal.start_workflow(
                wire.OPERATION_WORKFLOW,
                start,
                id=id_,
                result_type=OperationReport,
                execution_timeout=None if timeout is None else timedelta(seconds=timeout),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=start.operation.kind.replace("_", " "),
                **workflow_options(start.operation.tenant, start.task_queue),
            )
        except WorkflowAlreadyStartedError:  # the answer to an attempt before was lost
            return self._temporal.get_workflow_handle(id_, result_type=OperationReport)
        return handle
