"""The bounds of a conversation, each a named setting, fixed when its workflow starts."""

from typing import Annotated

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
    attempts: Positive = 3
    """Attempts at a subgraph's step or an action that may end by its own code: it raised, took too long, or
    blocked its worker. Failures of Temporal, of Postgres and of all models don't count."""
    lost_attempts: Positive = 15
    """Attempts in a row that may end without a word, since the worker died, froze, or was cut off."""
