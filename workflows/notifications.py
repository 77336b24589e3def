"""Sends notifications, in workflows of their own, so that no conversation waits for them."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import (
    Priority,
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from holdfast.workflows.requests import read, read_start, refusal

with workflow.unsafe.imports_passed_through():
    from holdfast.domain import wire
    from holdfast.domain.errors import InvalidRequest
    from holdfast.domain.notifications import (
        NotificationStart,
        SendReport,
        SendRequest,
        notification_workflow_id,
    )

_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=10),
)
"""Without an end: the activity gives a delivery up itself, and records that."""

_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_HEARTBEAT_TIMEOUT = timedelta(seconds=5)
_WORKFLOW_TASK_TIMEOUT = timedelta(seconds=4)
_NOBODY = NotificationStart(tenant="nobody", conversation="none", task_queue="none")
_TENANT = SearchAttributeKey.for_keyword("HoldfastTenant")


@workflow.defn(name=wire.NOTIFICATION_WORKFLOW)
class NotificationWorkflow:
    """Sends deliveries side by side, each until it is delivered or given up, and ends when none is left.

    More may come by `send_also`, with which a workflow may also be started without any.
    """

    @workflow.init
    def __init__(self, *received: Any) -> None:
        self._start, self._unusable = read_start(NotificationStart, received, _NOBODY)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._asked: set[str] = set()
        self._begun = False

    @workflow.run
    async def run(self, *received: Any) -> None:
        """Take a `NotificationStart`; with anything else, the workflow fails as `InvalidRequest`."""
        if self._unusable is not None:
            raise refusal(self._unusable)
        self._send_all(self._start.deliveries)
        await workflow.wait_condition(lambda: self._begun and not self._sending)

    @workflow.signal(name=wire.SEND_ALSO)
    def send_also(self, *received: Any) -> None:
        """Send more deliveries: a list of ids. One that is being sent is sent again afterwards, if it is still
        pending: it may have been given up and redriven meanwhile."""
        try:
            self._send_all(read(list[str], received))
        except InvalidRequest as refused:
            workflow.logger.warning("a signal is ignored, it names no deliveries: %s", refused)

    def _send_all(self, deliveries: Iterable[str]) -> None:
        for delivery in deliveries:
            self._begun = True
            self._asked.add(delivery)
            if delivery not in self._sending:
                self._sending[delivery] = asyncio.create_task(self._send(delivery))

    async def _send(self, delivery: str) -> None:
        try:
            while delivery in self._asked:
                self._asked.remove(delivery)
                await workflow.execute_activity(
                    wire.SEND_DELIVERY,
                    SendRequest(tenant=self._start.tenant, delivery=delivery),
                    result_type=SendReport,
                    task_queue=wire.notifications_queue(self._start.task_queue),
                    start_to_close_timeout=_ATTEMPT_TIMEOUT,
                    heartbeat_timeout=_HEARTBEAT_TIMEOUT,
                    retry_policy=_RETRY,
                    summary=f"Send {delivery}",
                    priority=Priority(fairness_key=self._start.tenant),
                )
        finally:
            del self._sending[delivery]


async def start_notifications(start: NotificationStart) -> None:
    """Start the workflow that sends a conversation's deliveries, and outlives the conversation's; one that runs
    already, after a reset say, goes on."""
    if not start.deliveries:
        return
    try:
        await workflow.start_child_workflow(
            wire.NOTIFICATION_WORKFLOW,
            start,
            id=notification_workflow_id(start.key, start.deliveries[0]),
            task_queue=wire.notifications_queue(start.task_queue),
            task_timeout=_WORKFLOW_TASK_TIMEOUT,
            parent_close_policy=ParentClosePolicy.ABANDON,
            search_attributes=TypedSearchAttributes([SearchAttributePair(_TENANT, start.tenant)]),
            static_summary=f"Notifications of conversation {start.conversation}",
            priority=Priority(fairness_key=start.tenant),
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("the deliveries of %s are being sent already", start.deliveries[0])
