"""Actions: what was done, what was not, what was undone."""

from typing import Literal

from pydantic import Field

from holdfast.domain.events.payload import Payload, optional
from holdfast.domain.outcomes import ActionState


class _OfAction(Payload):
    action: str = Field(description="The action's id.", examples=["act_91b0f47d20c6"])
    name: str = Field(description="What it is called.", examples=["cancel_pending_order"])


class ActionExecuted(_OfAction):
    """The action's effect happened, exactly once."""

    type = "action_executed"

    state: Literal["executed"] = Field(
        default="executed", description="How it ended.", examples=["executed"]
    )


class ActionCompensated(_OfAction):
    """The action's effect was undone, since a later action of the same proposal did not succeed."""

    type = "action_compensated"

    state: Literal["compensated"] = Field(
        default="compensated", description="How it ended.", examples=["compensated"]
    )


class ActionNotExecuted(_OfAction):
    """The action was not executed: it was denied, repeated or refused, or has failed. Actions that end with
    their approval (rejected, expired, withdrawn, stale), and those that follow the one that ended their
    proposal, have no event."""

    type = "action_not_executed"

    state: ActionState = Field(
        description="How it ended. `failed`: where it is on another system, nobody knows whether it was done.",
        examples=["refused"],
    )
    error: str | None = optional(
        "Why, as the agent hears it; absent where the proposal was refused before anything ran.",
        example="The order is already delivered.",
    )


class ActionNotUndone(_OfAction):
    """The action was to be undone, since a later action of the same proposal did not succeed, and could not
    be: its effect stands. Where another system was asked to undo it and nobody knows what it did, the
    event is `action_not_executed` with the state `failed`."""

    type = "action_not_undone"

    state: Literal["not_undone"] = Field(
        default="not_undone", description="How it ended.", examples=["not_undone"]
    )
    error: str = Field(
        description="Why, as the agent hears it.",
        examples=["It should have been undone, and could not be: TimeoutError"],
    )
