"""Who has to approve an action, and what happens while nobody does."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from holdfast.domain.ids import json_digest
from holdfast.domain.model import Strict
from holdfast.domain.policy.durations import Duration
from holdfast.domain.terms import OnExpiry, Requirement

MOST_ROLES = 20
MOST_ESCALATIONS = 10
MOST_ROLES_IN_ALL = 50
"""Roles of a rule and of its escalations together: they go with the conversation wherever it goes."""

RoleName = Annotated[str, Field(min_length=1, max_length=64)]
"""As long as the roles that reviewers give."""
RoleNames = Annotated[tuple[RoleName, ...], Field(min_length=1, max_length=MOST_ROLES)]


class EscalationStep(Strict):
    """After that time without a decision, people with these roles may decide, too."""

    after: Duration
    roles: RoleNames


class ApprovalRule(Strict):
    """Who has to approve, and what happens while nobody does.

    `quorum` different people are needed, each with one of `roles`. `four_eyes` leaves out those who
    asked for the action; `other_team` wants people of different teams. `working_time` counts the
    durations in the policy's working time.
    """

    roles: RoleNames
    quorum: Annotated[int, Field(ge=1, le=20)] = 1
    four_eyes: bool = False
    other_team: bool = False
    remind_after: Duration | None = None
    escalate: Annotated[tuple[EscalationStep, ...], Field(max_length=MOST_ESCALATIONS)] = ()
    expire_after: Duration = timedelta(hours=72)
    on_expiry: OnExpiry = "deny"
    claim_for: Duration = timedelta(minutes=15)
    working_time: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.remind_after is not None and self.remind_after >= self.expire_after:
            raise ValueError("remind_after has to be before expire_after")
        times = [step.after for step in self.escalate]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError("each step of escalate has to be later than the one before")
        if times and times[-1] >= self.expire_after:
            raise ValueError("every step of escalate has to be before expire_after")
        if len(self.roles) + sum(len(step.roles) for step in self.escalate) > MOST_ROLES_IN_ALL:
            raise ValueError(
                f"roles and escalate have more than {MOST_ROLES_IN_ALL} roles together"
            )
        return self

    @property
    def digest(self) -> str:
        """Tells the rule from others."""
        return json_digest(self.model_dump(mode="json", exclude_defaults=True))

    def requirement(self) -> Requirement:
        """What an approval under this rule needs."""
        return Requirement(
            roles=self.roles,
            quorum=self.quorum,
            four_eyes=self.four_eyes,
            other_team=self.other_team,
        )
