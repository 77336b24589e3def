"""The bounds of a conversation, fixed when its workflow starts, and those of models' answers."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from holdfast.domain.model import Strict

_HOUR = 3600
_DAY = 24 * _HOUR

Few = Annotated[int, Field(ge=1, le=1_000)]
Many = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds = Annotated[int, Field(ge=1, le=30 * _DAY)]
Duration = Annotated[float, Field(gt=0, le=_DAY, allow_inf_nan=False)]
"""In seconds, and parts of them."""


class Limits(Strict):
    """Bounds of one conversation. Durations are in seconds."""

    message_characters: Many = 16_000
    queued_messages: Few = 5
    parked_turns: Few = 5
    remembered_messages: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Message ids that the workflow remembers; older ones are found in Postgres."""
    steps_per_turn: Annotated[int, Field(ge=2, le=1_000)] = 8
    """Triage is the first, and the second comes along with it."""
    handoffs_per_turn: Few = 3
    turns_per_run: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Turns after which the workflow continues as new, if Temporal has not suggested it before."""
    events_per_run: Annotated[int, Field(ge=100, le=10_000)] = 4_000
    """Events of Temporal's history after which it does so as soon as no turn runs, whatever they came from."""
    idle_seconds: Annotated[int, Field(ge=1, le=3650 * _DAY)] = 30 * _DAY
    """A conversation without a message for this long, and with nothing parked, closes itself."""
    turn_seconds: Seconds = 900
    """Longest time from the beginning of a turn to its answer, and from a decision on what it had parked
    for to the next: then a person takes over. What waits for people is not counted."""
    step_seconds: Seconds = 300
    """Longest run of one attempt of a subgraph step (Temporal's start-to-close timeout)."""
    action_seconds: Seconds = 60
    """Longest run of one attempt of an action."""
    heartbeat_seconds: Duration = 3.0
    """A worker that is silent for this long is taken for dead."""
    holding_message_seconds: Duration = 20.0
    """A customer whose turn waits for a model is told so after this long."""
    model_wait_seconds: Duration = 600.0
    """How long a turn waits for a model, all of its steps together; then a person takes over."""
    attempts: Few = 3
    """Attempts at a subgraph's step or an action that may end by its own code: it raised, took too long, or
    blocked its worker. Failures of Temporal, of Postgres and of all models don't count."""
    lost_attempts: Few = 15
    """Attempts in a row that may end without a word, since the worker died, froze, or was cut off."""


_MOST = {
    name: bound.le
    for name, field in Limits.model_fields.items()
    for bound in field.metadata
    if hasattr(bound, "le")
}


def brought_down(limits: Any) -> Any:
    """Limits that a conversation began with, before there was a most for each, with none above it."""
    if not isinstance(limits, dict):
        return limits
    return {
        name: min(value, _MOST[name]) if name in _MOST and isinstance(value, int | float) else value
        for name, value in limits.items()
    }


AnswerBound = Literal[
    "calls_per_answer",
    "reply_characters",
    "argument_characters",
    "argument_depth",
    "answer_bytes",
    "turn_model_calls",
    "turn_dollars",
]


class AnswerBounds(Strict):
    """Bounds of what a model may answer, and of what the models of one turn may cost.

    They are the worker's, so that a change counts at once, in conversations that are under way, too.
    """

    calls_per_answer: Few = 16
    """Tool calls in one answer; of an answer with more, none is made."""
    reply_characters: Annotated[int, Field(ge=100, le=100_000)] = 32_000
    """A longer answer in words is shown to the model once; a second one is cut, and marked as cut."""
    argument_characters: Many = 20_000
    """JSON of the arguments of one tool call."""
    argument_depth: Annotated[int, Field(ge=1, le=100)] = 16
    """Objects and arrays within each other in the arguments of a tool call."""
    answer_bytes: Annotated[int, Field(ge=10_000, le=16_000_000)] = 2_000_000
    """Of the body that an answer comes in, thoughts and escapes included. A longer one is not read any further;
    the model is told once."""
    turn_model_calls: Many = 60
    """Model calls that a turn may make, over all its steps and attempts; then a person goes on."""
    turn_dollars: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Decimal(5)
    """US dollars that the model calls of a turn may cost, by the price list; then a person goes on."""
