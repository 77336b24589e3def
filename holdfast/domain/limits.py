"""The bounds of a conversation, fixed when its workflow starts, and those of models' answers."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from holdfast.domain.model import Strict

Positive = Annotated[int, Field(ge=1)]


class Limits(Strict):
    """Bounds of one conversation. Durations are in seconds."""

    message_characters: Positive = 16_000
    queued_messages: Positive = 5
    parked_turns: Positive = 5
    remembered_messages: Positive = 100
    """Message ids that the workflow remembers; older ones are found in Postgres."""
    steps_per_turn: Annotated[int, Field(ge=2)] = 8
    """Triage is the first, and the second comes along with it."""
    handoffs_per_turn: Positive = 3
    turns_per_run: Positive = 200
    """Turns after which the workflow continues as new, if Temporal has not suggested it before."""
    idle_seconds: Positive = 30 * 24 * 3600
    """A conversation without a message for this long, and with nothing parked, closes itself."""
    turn_seconds: Positive = 900
    """Longest time from the beginning of a turn to its answer, and from a decision on what it had parked
    for to the next: then a person takes over. What waits for people is not counted."""
    step_seconds: Positive = 300
    """Longest run of one attempt of a subgraph step (Temporal's start-to-close timeout)."""
    action_seconds: Positive = 60
    """Longest run of one attempt of an action."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 3.0
    """A worker that is silent for this long is taken for dead."""
    holding_message_seconds: Annotated[float, Field(gt=0)] = 20.0
    """A customer whose turn waits for a model is told so after this long."""
    model_wait_seconds: Annotated[float, Field(gt=0)] = 600.0
    """How long a turn waits for a model, all of its steps together; then a person takes over."""
    attempts: Positive = 3
    """Attempts at a subgraph's step or an action that may end by its own code: it raised, took too long, or
    blocked its worker. Failures of Temporal, of Postgres and of all models don't count."""
    lost_attempts: Positive = 15
    """Attempts in a row that may end without a word, since the worker died, froze, or was cut off."""


AnswerBound = Literal[
    "calls_per_answer",
    "reply_characters",
    "argument_characters",
    "argument_depth",
    "turn_model_calls",
    "turn_dollars",
]


class AnswerBounds(Strict):
    """Bounds of what a model may answer, and of what the models of one turn may cost.

    They are the worker's, so that a change counts at once, in conversations that are under way, too.
    """

    calls_per_answer: Positive = 16
    """Tool calls in one answer; of an answer with more, none is made."""
    reply_characters: Annotated[int, Field(ge=100, le=100_000)] = 32_000
    """A longer answer in words is shown to the model once; a second one is cut, and marked as cut."""
    argument_characters: Positive = 20_000
    """JSON of the arguments of one tool call."""
    argument_depth: Positive = 16
    """Objects and arrays within each other in the arguments of a tool call."""
    turn_model_calls: Positive = 60
    """Model calls that a turn may make, over all its steps and attempts; then a person goes on."""
    turn_dollars: Annotated[Decimal, Field(gt=0)] = Decimal(5)
    """US dollars that the model calls of a turn may cost, by the price list; then a person goes on."""
