"""Has the records changed where no conversation's workflow does it: by a workflow for each operation."""

from datetime import timedelta
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from holdfast.client.dispatch import deliver
from holdfast.client.requests import REQUEST_SECONDS
from holdfast.domain import wire
from holdfast.domain.operations import (
    Operation,
    OperationReport,
    OperationStart,
    operation_workflow_id,
)

_TENANT = SearchAttributeKey.for_keyword("HoldfastTenant")
_WORKFLOW_TASK_TIMEOUT = timedelta(seconds=4)


class Operations:
    """Starts the workflows of one deployment's operations."""

    def __init__(self, temporal: Client, task_queue: str) -> None:
        self._temporal = temporal
        self._task_queue = task_queue

    async def run(
        self, operation: Operation, *, timeout: float | None = REQUEST_SECONDS
    ) -> OperationReport:
        """Have an operation carried out, once; what isn't by `timeout` seconds later, Temporal gives up.

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
        tenant = start.operation.tenant
        try:
            handle: WorkflowHandle[object, OperationReport] = await self._temporal.start_workflow(
                wire.OPERATION_WORKFLOW,
                start,
                id=id_,
                task_queue=wire.workflows_queue(self._task_queue),
                result_type=OperationReport,
                execution_timeout=None if timeout is None else timedelta(seconds=timeout),
                task_timeout=_WORKFLOW_TASK_TIMEOUT,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                search_attributes=TypedSearchAttributes([SearchAttributePair(_TENANT, tenant)]),
                static_summary=start.operation.kind.replace("_", " "),
                priority=Priority(fairness_key=tenant),
            )
        except WorkflowAlreadyStartedError:  # the answer to an attempt before was lost
            return self._temporal.get_workflow_handle(id_, result_type=OperationReport)
        return handle
