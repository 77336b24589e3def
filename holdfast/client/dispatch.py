"""Brings a request to a conversation's workflow: through handovers, restarts and lost answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import (
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.exceptions import TimeoutError as OutOfTime
from temporalio.service import RPCError, RPCStatusCode

from holdfast.domain.errors import (
    ERRORS_BY_CODE,
    ConfigurationError,
    ConversationMoved,
    HoldfastError,
    Unavailable,
)

AnswerT = TypeVar("AnswerT")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0

_RUN_ENDED = "AcceptedUpdateCompletedWorkflow"
"""Temporal's own failure of an update whose run ended, by termination say, before it answered."""

_FINAL_STATUSES = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.PERMISSION_DENIED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.UNIMPLEMENTED,
)


async def deliver(
    request: Callable[[], Awaitable[AnswerT]],
    *,
    what: str,
    timeout: float | None,
    when_missing: Callable[[int], Awaitable[None]] | None = None,
) -> AnswerT:
    """Make `request` until it is answered, at most `timeout` seconds; None is forever.

    `request` has to be safe to repeat, as updates are under their id. `what` names it in errors.
    `when_missing` gets the number of times that the workflow was not there, and raises where it knows
    the reason; else that is taken for the moment between two runs.

    Raises:
        Unavailable: nobody answered in time.
        HoldfastError: the answer was a refusal; the exception of its code.
    """
    pause = _FIRST_PAUSE_SECONDS
    missing = 0
    obstacle: Exception | None = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    return await request()
                except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                    # The SDK turns the cancellation of this very task into this error too.
                    task = asyncio.current_task()
                    if task is not None and task.cancelling():
                        raise asyncio.CancelledError from error
                    obstacle = error
                except (
                    RPCError,
                    WorkflowFailureError,
                    WorkflowUpdateFailedError,
                    WorkflowAlreadyStartedError,
                ) as error:
                    if (failure := failure_of(error)) is not None:
                        raise failure from error
                    if is_missing(error) and when_missing is not None:
                        missing += 1
                        await when_missing(missing)
                    obstacle = error
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    except TimeoutError:
        cause = f" ({obstacle})" if obstacle is not None and str(obstacle) else ""
        raise Unavailable(
            f"{what} was not answered within {timeout:g} s{cause}; do Temporal and a worker run?"
        ) from obstacle


def is_missing(error: Exception) -> bool:
    """Whether Temporal has no running workflow, or none at all, of the id that was asked for."""
    return isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND


def failure_of(error: Exception) -> HoldfastError | None:
    """What the failure of a request means; None where the same request may still succeed."""
    if isinstance(error, WorkflowUpdateFailedError | WorkflowFailureError):
        return _failure_of(error.cause)
    if isinstance(error, RPCError):
        if _names_unknown_namespace(error):
            return ConfigurationError(f"{error.message}; set HOLDFAST_TEMPORAL_NAMESPACE")
        if error.status in _FINAL_STATUSES:
            return ConfigurationError(f"Temporal does not take the request: {error.message}")
    return None


def _failure_of(cause: BaseException | None) -> HoldfastError | None:
    if isinstance(cause, OutOfTime):
        return Unavailable("the workflow was not done in time; does a worker run, and Postgres?")
    if not isinstance(cause, ApplicationError):
        return HoldfastError(f"the request failed in the workflow: {cause}")
    if cause.type in (ConversationMoved.code, _RUN_ENDED):
        return None
    return ERRORS_BY_CODE.get(cause.type or "", HoldfastError)(cause.message)


def _names_unknown_namespace(error: RPCError) -> bool:
    details = error.grpc_status.details
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in details)
