"""Approvals: what is asked, what is decided, what goes stale."""

from datetime import datetime
from typing import Literal

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_serializer,
)

from holdfast.domain.approval import ApprovalState
from holdfast.domain.decision import DecisionKind
from holdfast.domain.events.payload import Payload, optional
from holdfast.domain.outcomes import ProposedAction

_APPROVAL = "The approval."
_APPROVAL_EXAMPLES = ["ap_5f0c91a72b3e"]
_STATE = "It still waits."
_ROLES_NOW = "The roles that may decide now."
_DECISION = "The decision's id."
_TEAM = "Their team; null where they have none."
_TEXT = "What they say to it: the reason, the answer, the comment; may be empty."
_ACTIONS = (
    "The actions (`name`) with their new `arguments`, in order; only where the decision is an edit."
)
_TO = "Who decides in their place; only where they delegate."


class ApprovalRequested(Payload):
    """A proposal needs people to decide. The turn waits for them, and the conversation goes on."""

    type = "approval_requested"

    approval: str = Field(description=_APPROVAL, examples=_APPROVAL_EXAMPLES)
    roles: tuple[str, ...] = Field(description="The roles that may decide.", examples=[["support"]])
    expires_at: datetime = Field(
        description="When it ends if nobody decides.", examples=["2026-03-04T09:30:00+00:00"]
    )
    actions: tuple[str, ...] = Field(
        description="The names of the proposed actions, in order.",
        examples=[["cancel_pending_order"]],
    )

    @field_serializer("expires_at", when_used="json")
    def _with_offset(self, at: datetime) -> str:
        return at.isoformat()


class ApprovalUpdated(Payload):
    """A reviewer's decision was taken that does not settle the approval: one acceptance of several, a claim,
    an edit that needs others, a comment."""

    type = "approval_updated"

    approval: str = Field(description=_APPROVAL, examples=_APPROVAL_EXAMPLES)
    state: Literal["pending"] = Field(default="pending", description=_STATE, examples=["pending"])
    decision: str = Field(description=_DECISION, examples=["dec-1"])
    kind: DecisionKind = Field(description="What the reviewer decided.", examples=["claim"])
    reviewer: str = Field(description="Who decided.", examples=["ann"])
    team: str | None = Field(description=_TEAM, examples=["north"])
    roles: tuple[str, ...] = Field(description="The reviewer's roles.", examples=[["support"]])
    text: str = Field(description=_TEXT, examples=[""])
    actions: tuple[ProposedAction, ...] | None = optional(_ACTIONS)
    to: str | None = optional(_TO)


class ApprovalReminded(Payload):
    """Nobody has decided by the time of a reminder."""

    type = "approval_reminded"

    approval: str = Field(description=_APPROVAL, examples=_APPROVAL_EXAMPLES)
    state: Literal["pending"] = Field(default="pending", description=_STATE, examples=["pending"])
    roles: tuple[str, ...] = Field(description=_ROLES_NOW, examples=[["support"]])


class ApprovalEscalated(Payload):
    """Nobody has decided by the time of an escalation: further roles may decide now."""

    type = "approval_escalated"

    approval: str = Field(description=_APPROVAL, examples=_APPROVAL_EXAMPLES)
    state: Literal["pending"] = Field(default="pending", description=_STATE, examples=["pending"])
    roles: tuple[str, ...] = Field(description=_ROLES_NOW, examples=[["support", "lead"]])


class ApprovalDecided(Payload):
    """The approval is settled: by a reviewer's decision, by its deadline, or since its question was taken
    back. Only the first has the fields of a decision."""

    type = "approval_decided"

    approval: str = Field(description=_APPROVAL, examples=_APPROVAL_EXAMPLES)
    state: ApprovalState = Field(
        description="How. `accepted` without a decision: silence was taken for consent, as policy has it.",
        examples=["accepted"],
    )
    decision: str | None = optional(_DECISION, example="dec-2")
    kind: DecisionKind | None = optional("What the reviewer decided.", example="accept")
    reviewer: str | None = optional("Who decided.", example="ann")
    team: str | None = Field(default=None, description=_TEAM, examples=["north"])
    roles: tuple[str, ...] | None = optional(
        "The reviewer's roles; without a decision, those that could have decided at the end.",
        example=["support"],
    )
    text: str | None = optional(_TEXT, example="Not shipped yet.")
    actions: tuple[ProposedAction, ...] | None = optional(_ACTIONS)
    to: str | None = optional(_TO)

    @model_serializer(mode="wrap")
    def _with_team(self, handler: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """A decision without a team says so; where nobody decided, there is nothing to say."""
        dumped: dict[str, JsonValue] = handler(self)
        if "team" not in self.model_fields_set:
            del dumped["team"]
        return dumped


class ApprovalStale(Payload):
    """The actions of an approval may not run any more, since what they were about has changed, or what policy
    says to them."""

    type = "approval_stale"

    approval: str = Field(description=_APPROVAL, examples=_APPROVAL_EXAMPLES)
    reason: str = Field(
        description="What has changed, as the agent hears it.",
        examples=["The order's status was pending and is delivered."],
    )


class DecisionRefused(Payload):
    """A reviewer's decision was refused when its statement, its edit or its id was checked; or it was sent
    as a signal, to which there is no answer, and refused for any reason."""

    type = "decision_refused"
    of_turn = False

    approval: str = Field(
        description="The approval that it was on; there may be none of this id.",
        examples=_APPROVAL_EXAMPLES,
    )
    reviewer: str = Field(description="Who is said to have decided.", examples=["eve"])
    kind: DecisionKind = Field(description="What they decided.", examples=["accept"])
    refusal: str = Field(
        description="The error's code, and why.",
        examples=["NotAllowed: eve has none of the roles support"],
    )
    genuine: bool = Field(
        default=False,
        description="Whether the decision had a statement that the reviewer has signed.",
        examples=[False],
    )
    last: Literal[True] | None = optional(
        "Only where as many are recorded now as may be of this approval: more are dropped."
    )
