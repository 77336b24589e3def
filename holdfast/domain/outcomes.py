"""How a step of a turn ends: what a subgraph may answer, and what becomes of what it proposes."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from holdfast.domain.model import Frozen, Strict
from holdfast.domain.text import legible

PRIORITY_LEVELS: dict[str, int] = {"urgent": 1, "high": 2, "normal": 3, "low": 4}
"""Temporal's priority keys: a lower number is served first, 3 is its default."""

PriorityName = Literal["urgent", "high", "normal", "low"]

VerdictKind = Literal["allow", "approve", "deny"]
"""What policy says to an action."""

MOST_ACTIONS = 10
"""Of one proposal."""


class Citation(Frozen):
    """Where a statement of an answer comes from."""

    id: str
    title: str
    quote: str = ""


class Route(Frozen):
    """Triage: which agent gets the message. `confidence` is between 0 and 1."""

    kind: Literal["route"] = "route"
    agent: str
    intent: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    priority: PriorityName = "normal"
    language: str = "en"


class Reply(Frozen):
    """The turn is answered. `asks_back` marks a question that triage asks since it was not sure."""

    kind: Literal["reply"] = "reply"
    text: Annotated[str, AfterValidator(legible)]
    citations: tuple[Citation, ...] = ()
    asks_back: bool = False


class Handoff(Frozen):
    """Another agent should go on with this turn; `note` tells it why."""

    kind: Literal["handoff"] = "handoff"
    to: str
    note: str = ""


class Escalation(Frozen):
    """A person should go on with this conversation. `text` is what the customer is told; without one, the
    platform says it in the customer's language. What was done in the turn and what was not is added."""

    kind: Literal["escalation"] = "escalation"
    reason: str
    text: str = ""


class ProposedAction(Strict):
    """A change of the world that a subgraph asks for: the action's name and its arguments."""

    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class Proposal(Strict):
    """What `propose` hands over: actions in the order in which they should run.

    `reason` and `evidence` are for the reviewer; `holding_message` is for the customer and is sent
    only when a person has to decide first; without one, the platform says it in their language. `again`
    says that the customer knows that the same was done or waits, and has confirmed that they want it
    once more.
    """

    kind: Literal["proposal"] = "proposal"
    actions: Annotated[tuple[ProposedAction, ...], Field(min_length=1, max_length=MOST_ACTIONS)]
    reason: str
    evidence: tuple[str, ...] = ()
    again: bool = False
    holding_message: str = ""


OUTCOME_UNKNOWN = "its outcome is unknown"
"""Ends the error of an action that has `failed` on another system, which may have done it."""

Outcome = Annotated[Route | Reply | Handoff | Escalation | Proposal, Field(discriminator="kind")]
"""Everything a run of a subgraph may end in. A proposal ends it through an interrupt."""

ActionState = Literal[
    "executed",  # the effect happened
    "refused",  # the action itself refused, by a typed error of its own
    "failed",  # the action's code failed for good, or its remote system: then it may have been executed
    "denied",  # policy does not allow it
    "rejected",  # a reviewer rejected it
    "expired",  # nobody decided in time
    "stale",  # approved, but what the approval was about had changed
    "withdrawn",  # the turn was cancelled while it waited
    "responded",  # a reviewer answered instead of deciding
    "not_attempted",  # an earlier action of the proposal did not succeed, or nothing could be begun
    "compensated",  # executed, then undone since a later action did not succeed
    "repeated",  # the same waits or was just done before, so that it was not done again
]

RecordedActionState = Literal["proposed", ActionState]
"""An action that has not ended yet is `proposed`: it waits, or is under way."""


class ActionResult(Frozen):
    """What became of one proposed action; `propose` returns one for each, in order."""

    id: str
    name: str
    arguments: dict[str, JsonValue]
    state: ActionState
    result: JsonValue = None
    """What the action returned, where it was executed; where it is `repeated`, what the earlier one did."""
    error: str | None = None
    """Why it was not executed, in words: the refusal, the policy's or the reviewer's reason. Of an executed
    one, why it stands although it should have been undone."""
    reviewer: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the effect happened and stands."""
        return self.state == "executed"
