"""Sends a message to its conversation, which is started where it does not run."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import SearchAttributeKey, SearchAttributePair, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client.dispatch import failure_of
from holdfast.client.workflow_options import workflow_options
from holdfast.domain import wire
from holdfast.domain.conversation import ConversationStart, CustomerMessage, TurnResult
from holdfast.domain.errors import ConversationBusy
from holdfast.domain.ids import text_digest

_STATUS = SearchAttributeKey.for_keyword("HoldfastStatus")

_TOO_MANY = "concurrent in-flight updates"
"""What Temporal says where a conversation has as many updates under way as it takes (10)."""

_LOOK_BRIEFLY = timedelta(milliseconds=1)


class MessageSender:
    """Attempts to hand over one message.

    A repetition may join the attempt before, whose update id it shares. Another text under the same
    `message_id` has another id, so that the workflow sees and refuses it. A run that has sent the
    message on and closed answers under that id forever, so the next attempt has another one, too.
    """

    def __init__(
        self, temporal: Client, start: ConversationStart, message: CustomerMessage, *, wait: bool
    ) -> None:
        self._temporal = temporal
        self._start = start
        self._message = message
        self._wait = wait
        self._sent_on = 0

    async def attempt(self) -> TurnResult | None:
        """The answer to the message, or None where only its acceptance is waited for.

        Raises what the SDK raises: `RPCError`, `WorkflowUpdateFailedError` and their kin; and
        `ConversationBusy` where Temporal takes no more updates of the conversation.
        """
        try:
            handle = await self._update()
            if self._wait:
                return await handle.result()
            await _raise_refusal(handle)
        except WorkflowUpdateFailedError as failed:
            if failure_of(failed) is None:
                self._sent_on += 1
            raise
        return None

    async def _update(self) -> WorkflowUpdateHandle[TurnResult]:
        starting = _starting(self._start)
        stage = WorkflowUpdateStage.COMPLETED if self._wait else WorkflowUpdateStage.ACCEPTED
        try:
            handle: WorkflowUpdateHandle[
                TurnResult
            ] = await self._temporal.start_update_with_start_workflow(
                wire.SEND_MESSAGE,
                self._message,
                start_workflow_operation=starting,
                wait_for_stage=stage,
                id=self._update_id(),
                result_type=TurnResult,
            )
        except (
            RPCError,
            WorkflowAlreadyStartedError,
            WorkflowUpdateRPCTimeoutOrCancelledError,
        ) as error:
            # The operation has the same error, and asyncio complains of errors that nobody looks at.
            with suppress(Exception, asyncio.CancelledError):
                await starting.workflow_handle()
            if isinstance(error, RPCError) and _is_full(error):
                raise ConversationBusy(f"{error.message}; send the message again later") from error
            raise
        return handle

    def _update_id(self) -> str:
        # Temporal answers a repeated id by itself, so the customer is part of it.
        said = text_digest(f"{self._message.customer}\0{self._message.text}")
        id_ = f"{self._message.message_id}:{said}"
        return f"{id_}:{self._sent_on}" if self._sent_on else id_


def _is_full(error: RPCError) -> bool:
    return error.status is RPCStatusCode.RESOURCE_EXHAUSTED and _TOO_MANY in error.message


async def _raise_refusal(handle: WorkflowUpdateHandle[TurnResult]) -> None:
    """Raise the refusal that came in the place of an acceptance; the handle knows it already."""
    try:
        await handle.result(rpc_timeout=_LOOK_BRIEFLY)
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise


def _starting(start: ConversationStart) -> WithStartWorkflowOperation[object, None]:
    return WithStartWorkflowOperation(
        wire.CONVERSATION_WORKFLOW,
        start,
        id=start.key.workflow_id,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        static_summary=f"Conversation {start.conversation} of {start.tenant}",
        **workflow_options(start.tenant, start.task_queue, SearchAttributePair(_STATUS, "open")),
    )
