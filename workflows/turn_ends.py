"""How turns end that no subgraph has answered: stopped, failed, out of time, or handed over to a person."""

from dataclasses import dataclass
from typing import NamedTuple

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutError

from holdfast.workflows.activity_calls import ActivityCalls

with workflow.unsafe.imports_passed_through():
    from holdfast.domain import failures
    from holdfast.domain.activity_protocol import EndResult, EndTurnRequest
    from holdfast.domain.conversation import (
        ConversationStart,
        ConversationState,
        QueuedMessage,
        Takeover,
        TurnResult,
        TurnStatus,
    )
    from holdfast.domain.errors import PERMANENT_CODES, AttemptsLost, TookTooLong

_FOR_A_PERSON = PERMANENT_CODES | {AttemptsLost.code, TookTooLong.code, "TurnBudgetExceeded"}
"""Errors of a step that has reached a bound, or would fail again: a person takes over."""


class Stop(NamedTuple):
    """Why a turn ends, and as what. With `to_person`, a person goes on if some of it was done and the rest
    was not. `cause` tells operators more than `reason`, which customers' programs may read."""

    status: TurnStatus
    reason: str
    to_person: bool = True
    cause: str = ""


@dataclass(eq=False, repr=False)
class TurnEnds:
    """Ends turns in the records, and calls a person to the conversation if one is needed."""

    start: ConversationStart
    state: ConversationState
    calls: ActivityCalls

    def answered(self, ended: EndResult) -> TurnResult:
        """The result of a turn that a subgraph has ended, maybe by asking for a person."""
        if ended.result.status == "awaiting_human":
            self.state.takeover = Takeover(
                reason=ended.reason or "an agent asked for a person", since=workflow.now()
            )
        return ended.result

    async def stop(
        self,
        turn: int,
        stop: Stop,
        queued: QueuedMessage | None = None,
        *,
        held: bool | None = None,
    ) -> TurnResult:
        """End a turn, with its message `queued` if it may not be recorded yet. `held` says that a person had
        the conversation before; by default, whether one has it now. Raises `MessageConflict` if the
        message's id was used before with another text."""
        ended = await self.calls.end_turn(
            EndTurnRequest(
                **self.start.key.turn_key(turn).fields,
                status=stop.status,
                reason=stop.reason,
                cause=stop.cause,
                message=queued.message if queued else None,
                held=self.state.takeover is not None if held is None else held,
                to_person=stop.to_person,
            )
        )
        if ended.status == "awaiting_human" and self.state.takeover is None:
            # Only some of it was done; or the turn had ended so before, and the worker that knew has died.
            self.state.takeover = Takeover(reason=stop.cause or stop.reason, since=workflow.now())
        return ended

    async def hand_over(
        self, turn: int, reason: str, queued: QueuedMessage | None = None, *, cause: str = ""
    ) -> TurnResult:
        """End a turn, and leave the conversation to a person."""
        held = self.state.takeover is not None
        called = Takeover(reason=cause or reason, since=workflow.now())
        if not held:
            self.state.takeover = called
        stop = Stop("awaiting_human", reason, cause=cause)
        ended = await self.stop(turn, stop, queued, held=held)
        if ended.status != "awaiting_human" and self.state.takeover is called:
            self.state.takeover = None  # a late attempt had answered it
        return ended

    async def out_of_time(self, turn: int, queued: QueuedMessage | None) -> TurnResult:
        """Hand over a turn that has had its time."""
        reason = f"turn {turn} took longer than {self.start.limits.turn_seconds} s"
        return await self.hand_over(turn, reason, queued)

    async def failed(
        self, turn: int, error: ActivityError, queued: QueuedMessage | None
    ) -> TurnResult:
        """End a turn one of whose activities has failed for good: as failed, or handed over where a person
        can go on."""
        workflow.logger.error("turn %s failed: %s", turn, error.cause)
        if isinstance(error.cause, TimeoutError) or error.retry_state == RetryState.TIMEOUT:
            return await self.out_of_time(turn, queued)
        cause = _cause_of(error)
        if isinstance(error.cause, ApplicationError) and error.cause.type in _FOR_A_PERSON:
            reason = failures.told(error.cause.type)
            return await self.hand_over(turn, reason, queued, cause=cause)
        return await self.stop(turn, Stop("failed", failures.told(None), cause=cause), queued)


def _cause_of(error: ActivityError) -> str:
    """Why an activity failed, with the error's code once."""
    cause = error.cause or error
    if isinstance(cause, ApplicationError) and cause.message.startswith(f"{cause.type}: "):
        return cause.message
    return str(cause)
