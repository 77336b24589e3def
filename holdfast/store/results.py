"""Results of turns and outcomes of steps, as their rows have them: a model as JSON, and the number of the
message with the reply in a column of its own. The message is numbered in the statement that commits it."""

from collections.abc import Mapping
from typing import Any

import asyncpg
from pydantic import TypeAdapter

from holdfast.domain.activity_protocol import (
    HandoffResult,
    RecordedTurn,
    RouteResult,
    StepOutcome,
)
from holdfast.domain.conversation import TurnResult, TurnStatus

Row = asyncpg.Record | Mapping[str, Any]

_OUTCOME: TypeAdapter[StepOutcome] = TypeAdapter(StepOutcome)


def turn_result(row: Row, *, status: TurnStatus | None = None) -> TurnResult | None:
    """The answer that a turn got first, of its `result` and `reply_seq`, or the same with the `status` that
    the turn has now; None where it has no answer yet."""
    if row["result"] is None:
        return None
    result = TurnResult.model_validate(row["result"])
    return _numbered(result, row["reply_seq"]).model_copy(
        update={"status": status or result.status}
    )


def recorded_turn(row: Row) -> RecordedTurn:
    """A turn, of its `turn`, `message_digest`, `result` and `reply_seq`."""
    return RecordedTurn(turn=row["turn"], digest=row["message_digest"], result=turn_result(row))


def step_outcome(row: Row) -> StepOutcome | None:
    """How a step has ended, of its `outcome` and `reply_seq`; None where it has not been committed."""
    if row["outcome"] is None:
        return None
    return numbered_outcome(_OUTCOME.validate_python(row["outcome"]), row["reply_seq"])


def numbered_outcome(outcome: StepOutcome, reply_seq: int | None) -> StepOutcome:
    """The outcome whose result, where it has one, names the message with the reply."""
    if isinstance(outcome, RouteResult | HandoffResult) or outcome.result is None:
        return outcome
    return outcome.model_copy(update={"result": _numbered(outcome.result, reply_seq)})


def _numbered(result: TurnResult, reply_seq: int | None) -> TurnResult:
    """Steps that earlier versions have committed have no number in the column, but in their result."""
    if reply_seq is None:
        return result
    return result.model_copy(update={"reply_seq": reply_seq})
