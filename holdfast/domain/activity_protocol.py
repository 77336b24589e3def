"""What the workflow says to its activities, and what they answer: ids and small results only."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from holdfast.domain.approval import Approval
from holdfast.domain.conversation import CustomerMessage, TurnResult, TurnStatus
from holdfast.domain.decision import Decision
from holdfast.domain.identity import ActionKey, ConversationRequest, StepKey, TurnRequest
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import ActionState, PriorityName
from holdfast.domain.people import PersonAct
from holdfast.domain.terms import Alarm


class OpenRequest(ConversationRequest):
    """Create the conversation's records, or find those it had before it was closed.

    `message_id` is the message that woke the conversation, where there is one.
    """

    customer: str
    message_id: str | None = None


class RecordedTurn(Frozen):
    """A turn found by its message id: what it was answered, where it was, and to which text."""

    turn: int
    digest: str
    result: TurnResult | None = None


class OpenReport(Frozen):
    """What the records know: the customer, the turns so far, the repeated message's turn.

    `closed` says that the conversation stays closed, since the message that would have reopened it
    was answered before or is somebody else's.
    """

    customer: str
    closed: bool = False
    turns: int = 0
    agent: str | None = None
    priority: PriorityName = "normal"
    repeated: RecordedTurn | None = None
    held_by: str | None = None
    """Who holds the conversation: a run that was lost does not let go of it."""
    awaits_person: bool = False
    """Whether a person has it or was called: a run that was lost doesn't take the call back."""


class StepRequest(TurnRequest):
    """Run a subgraph for one step of a turn; after triage, the chosen agent's for the next one as well.

    `message` comes with a turn's first step and is recorded by it. `thread` is the first step of
    the graph's run: a step that goes on after a proposal has an earlier one.
    """

    step: int
    thread: int
    subgraph: str
    attempts: int
    lost_attempts: int = 15
    action_seconds: float = 60.0
    message: CustomerMessage | None = None
    note: str = ""
    agent: str | None = None
    asked_back: int = 0
    may_park: bool = True
    """False when as many turns wait for approval as may: one more is refused to the agent."""
    waits_for_model: bool = False
    """Whether the workflow waits where no model can be asked, rather than Temporal's retries."""

    @property
    def key(self) -> StepKey:
        """The step."""
        return super().key.step_key(self.step)


class RouteResult(Frozen):
    """Triage chose an agent."""

    kind: Literal["routed"] = "routed"
    agent: str
    priority: PriorityName


class HandoffResult(Frozen):
    """The subgraph passed the turn on."""

    kind: Literal["handed_off"] = "handed_off"
    to: str
    note: str


class EndResult(Frozen):
    """The turn is over: answered, or waiting for a person (`reason` says why)."""

    kind: Literal["ended"] = "ended"
    result: TurnResult
    asked_back: bool = False
    reason: str | None = None


class ProposalResult(Frozen):
    """The subgraph proposed `actions` actions. With `approval`, the turn waits, answered for now by
    `result`; with `blocked`, none of them may run and the subgraph goes on with the refusals."""

    kind: Literal["proposed"] = "proposed"
    actions: int
    blocked: bool = False
    approval: Approval | None = None
    result: TurnResult | None = None
    deliveries: tuple[str, ...] = ()
    """Notifications that were written down and still have to be sent."""


class RepeatResult(Frozen):
    """The message was answered before: in the turn that is named."""

    kind: Literal["repeated"] = "repeated"
    recorded: RecordedTurn


StepOutcome = Annotated[
    RouteResult | HandoffResult | EndResult | ProposalResult, Field(discriminator="kind")
]
"""How a step ends."""


class StepReport(Frozen):
    """How the last step that was run has ended, and whom triage has chosen before it.

    Where the worker lacks the step's agent there is no `result`, and `elsewhere` names the package whose
    workers have it.
    """

    result: (
        Annotated[
            HandoffResult | EndResult | ProposalResult | RepeatResult, Field(discriminator="kind")
        ]
        | None
    ) = None
    routed: RouteResult | None = None
    elsewhere: str | None = None


class ActionRequest(TurnRequest):
    """Execute (or compensate) one action of a step's proposal, counted from 0."""

    step: int
    index: int
    attempts: int
    lost_attempts: int = 15
    seconds: float = 900.0
    """After this long, failures of Postgres end the attempts as well, once it can record that."""
    served_within: float | None = None
    """After as many seconds an action that no worker has, and nobody has begun, is not attempted."""

    @property
    def key(self) -> ActionKey:
        """The action."""
        return super().key.step_key(self.step).action_key(self.index)


class LeaveRequest(ActionRequest):
    """Leave an action as it is, for this reason, unless somebody has begun it: to execute it, or to `undo`
    it."""

    reason: str
    undo: bool = False


class ActionReport(Frozen):
    """What became of the action.

    Where the worker lacks it, nothing: `elsewhere` names the package whose workers have it. `stuck` says
    why nothing was done: the agent's graph could not have gone on afterwards.
    """

    state: ActionState
    elsewhere: str | None = None
    stuck: str | None = None


class DecisionRequest(ConversationRequest):
    """Take a decision on an approval. How it is, and what time, the records say: `approval` and `at` are
    what the workflow takes them to be, and count for nothing. It has no approval any more where it was
    settled before under this decision's id."""

    approval: Approval | None
    decision: Decision
    at: datetime


class DecisionOutcome(Frozen):
    """The approval after a decision, or why it was refused: the error's code and its text. Nothing is
    decided where `elsewhere` names the package whose workers have the actions of an edit."""

    approval: Approval | None = None
    code: str = ""
    refusal: str = ""
    deliveries: tuple[str, ...] = ()
    elsewhere: str | None = None


class RefusalRequest(ConversationRequest):
    """Record a decision that was refused: the error's code and its text."""

    decision: Decision
    code: str
    refusal: str


class AlarmRequest(ConversationRequest):
    """Record what an approval's own schedule does to it by now; without an alarm, that its question was
    taken back. `approval` is how the workflow takes it to be then, which counts for nothing."""

    approval: Approval
    alarm: Alarm | None = None


class AlarmOutcome(Frozen):
    """How the approval is recorded now, and the notifications that still have to be sent."""

    approval: Approval | None = None
    deliveries: tuple[str, ...] = ()


class RecallRequest(ConversationRequest):
    """Find the turn of a message id."""

    message_id: str


class EndTurnRequest(TurnRequest):
    """End a turn that no subgraph ended: cancelled, failed, or over a bound.

    `message` is recorded first where the turn never started. What the customer is told is worked out
    from the records. `held` says that a person has the conversation already. `to_person` says that a
    person goes on with it where something was done and the rest was not. `cause` is what operators read
    where it is more than the `reason`, which customers' programs may.
    """

    status: TurnStatus
    reason: str
    cause: str = ""
    message: CustomerMessage | None = None
    held: bool = False
    to_person: bool = True


class DelayRequest(TurnRequest):
    """Tell the customer that a turn takes longer, since no model can be asked."""


class TurnEnd(Frozen):
    """How the turn has ended; or the turn that its message had before."""

    result: TurnResult | None = None
    repeated: RecordedTurn | None = None


class HumanTurnRequest(TurnRequest):
    """Record a person's message to the customer."""

    reviewer: str
    text: str
    id: str
    statement: str = ""


class TakeoverRequest(TurnRequest):
    """Record who has the conversation; `reviewer` None hands it back to the agents with `note`. `act` is
    what the person has asked for."""

    reviewer: str | None
    note: str = ""
    act: PersonAct | None = None


class CloseRequest(ConversationRequest):
    """Close the conversation's records; `idle` where nobody wrote for a while, which is then said."""

    reason: str
    idle: bool = False
