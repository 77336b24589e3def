"""The approval state machine: pure code that the workflow drives.

pending ──accept, edit──▶ accepted     (its actions run)
   ├─────reject─────────▶ rejected
   ├─────respond────────▶ responded    (an answer to the agent instead of a decision)
   ├─────deadline───────▶ expired
   └─────turn cancelled─▶ withdrawn
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalExpired,
    DigestMismatch,
    InvalidRequest,
    NotAllowed,
)
from holdfast.domain.ids import Id, json_digest
from holdfast.domain.model import Frozen, Strict
from holdfast.domain.outcomes import ProposedAction

ApprovalState = Literal["pending", "accepted", "rejected", "responded", "expired", "withdrawn"]
DecisionKind = Literal["accept", "edit", "reject", "respond"]

_STATE_AFTER: dict[DecisionKind, ApprovalState] = {
    "accept": "accepted",
    "edit": "accepted",
    "reject": "rejected",
    "respond": "responded",
}


class Decision(Strict):
    """What a reviewer decides. Repeating a decision under its `id` changes nothing more.

    `digest` is the `args_digest` of the approval as the reviewer saw it. `actions` belongs to an
    edit: every action of the approval, in order, with the new arguments. `text` is the reason of a
    rejection and the answer of a response, and both need one.
    """

    id: Id
    approval: str
    kind: DecisionKind
    reviewer: Id
    roles: tuple[str, ...] = ()
    digest: str
    text: Annotated[str, Field(max_length=2_000)] = ""
    actions: tuple[ProposedAction, ...] = ()


class Approval(Frozen):
    """An approval as the workflow carries it: what a decision is checked against, and no more.

    The whole record, with arguments, facts, reason and evidence, is in Postgres.
    """

    id: str
    turn: int
    step: int
    args_digest: str
    roles: tuple[str, ...]
    """The roles a reviewer needs, all of them."""
    requested_at: datetime
    expires_at: datetime
    state: ApprovalState = "pending"
    decision_id: str | None = None

    def check(self, decision: Decision, *, now: datetime) -> None:
        """Whether `decision` may be taken at `now`.

        Raises:
            AlreadyDecided, ApprovalExpired, NotAllowed, DigestMismatch, InvalidRequest.
        """
        if self.state == "expired" or (self.state == "pending" and now >= self.expires_at):
            raise ApprovalExpired(
                f"approval {self.id} expired at {self.expires_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        if self.state != "pending":
            raise AlreadyDecided(f"approval {self.id} is already {self.state}")
        if missing := [role for role in self.roles if role not in decision.roles]:
            raise NotAllowed(
                f"approval {self.id} needs the role {' and '.join(missing)}; {decision.reviewer} "
                f"has {', '.join(decision.roles) or 'none'}"
            )
        if decision.digest != self.args_digest:
            raise DigestMismatch(
                f"approval {self.id} waits with digest {self.args_digest[:12]}…, the decision "
                f"quotes {decision.digest[:12] or 'none'}…; look at the approval again"
            )
        if decision.kind in ("reject", "respond") and not decision.text.strip():
            raise InvalidRequest(f"a decision to {decision.kind} needs a text")
        if (decision.kind == "edit") != bool(decision.actions):
            raise InvalidRequest("an edit, and only an edit, carries the edited actions")

    def repeats(self, decision: Decision) -> bool:
        """Whether this very decision was taken before."""
        return self.decision_id is not None and self.decision_id == decision.id

    def decide(self, decision: Decision, *, now: datetime) -> "Approval":
        """The approval after `decision`; raises what `check` raises."""
        self.check(decision, now=now)
        return self.model_copy(
            update={"state": _STATE_AFTER[decision.kind], "decision_id": decision.id}
        )

    def expire(self, *, now: datetime) -> "Approval":
        """The approval once its deadline has passed; unchanged before that or when decided."""
        if self.state == "pending" and now >= self.expires_at:
            return self.model_copy(update={"state": "expired"})
        return self

    def withdraw(self) -> "Approval":
        """The approval after its turn was cancelled; unchanged when decided."""
        return self.model_copy(update={"state": "withdrawn"}) if self.state == "pending" else self


class ApprovalStatus(Frozen):
    """The answer to a decision."""

    approval: str
    state: ApprovalState
    decision_id: str | None = None


def args_digest(actions: tuple[ProposedAction, ...]) -> str:
    """SHA-256 over the canonical JSON of the actions' names and arguments, in order."""
    described: list[JsonValue] = [action.model_dump(mode="json") for action in actions]
    return json_digest(described)
