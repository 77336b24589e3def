"""A conversation: what comes in, what goes out, and the state its workflow carries."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from holdfast.domain.approval import Approval, ApprovalStatus
from holdfast.domain.identity import ConversationRequest
from holdfast.domain.ids import Id
from holdfast.domain.limits import Limits, brought_down
from holdfast.domain.model import Frozen, Strict
from holdfast.domain.outcomes import ActionState, Citation, PriorityName
from holdfast.domain.past import PastState

INLINE_REPLY_CHARACTERS = 1_500
"""A longer reply stays in Postgres, so that a turn's history stays small."""

OnBusy = Literal["queue", "reject", "interrupt"]
TurnStatus = Literal["answered", "awaiting_approval", "awaiting_human", "cancelled", "failed"]
ConversationPhase = Literal["open", "awaiting_approval", "awaiting_human", "closed"]
MessageRole = Literal[
    "customer",
    "assistant",  # an agent
    "human",  # a person of the staff
    "note",  # a person of the staff, to the agents alone
    "notice",  # the platform itself; agents don't read it
]


class CustomerMessage(Strict):
    """A customer's message. The same `message_id` gets the same answer, however often it is sent.

    `on_busy` says what to do while a turn is running: wait for it, refuse with `ConversationBusy`,
    or cancel it and go first.
    """

    message_id: Id
    customer: Id
    text: Annotated[str, Field(min_length=1)]
    on_busy: OnBusy = "queue"


class ActionEnd(Frozen):
    """What became of an action of a turn. `came_to` says more than the state: a `failed` one may be
    `unclear`, an `executed` one `not_undone`, and a `repeated` one has what the earlier one has come to."""

    id: str
    name: str
    state: ActionState
    came_to: PastState | None = None


class TurnResult(Frozen):
    """The answer to a message. `reply` is None where nobody answered, or where the text is longer
    than fits into Temporal's history: then `reply_seq` names the message in Postgres. Citations come
    without their quotes, which are with the message, too. `actions` says what was done and what was
    not where the turn ended without an agent's answer (cancelled, failed, awaiting a person)."""

    turn: int
    status: TurnStatus
    reply: str | None = None
    reply_seq: int | None = None
    citations: tuple[Citation, ...] = ()
    approvals: tuple[str, ...] = ()
    degraded: bool = False
    actions: tuple[ActionEnd, ...] = ()


def inline(text: str | None) -> str | None:
    """The reply as a `TurnResult` has it: None where it is too long for that."""
    return text if text is None or len(text) <= INLINE_REPLY_CHARACTERS else None


class QueuedMessage(Frozen):
    """A message that has been accepted and given its turn number."""

    turn: int
    message: CustomerMessage


class ParkedTurn(Frozen):
    """A turn that waits for a decision: where it goes on once there is one."""

    turn: int
    step: int
    thread: int
    handoffs: int
    agent: str
    actions: int
    """How many actions the proposal has."""
    approval: Approval


class KnownMessage(Frozen):
    """What the workflow keeps of a message id, to recognise its repetition."""

    turn: int
    digest: str


class Takeover(Frozen):
    """A person has, or should take, the conversation. `reviewer` is None until somebody does."""

    reason: str
    since: datetime
    reviewer: str | None = None


Statement = Annotated[str, Field(max_length=8_000)]
"""A signed statement that a person does this (`holdfast.security.statements`); empty where none is
needed."""


class HumanReply(Strict):
    """A person's message to the customer. Repeating it under its `id` changes nothing more."""

    id: Id
    reviewer: Id
    text: Annotated[str, Field(min_length=1, max_length=16_000)]
    statement: Statement = ""


class TakeOver(Strict):
    """A person takes the conversation; agents keep quiet until it is handed back."""

    reviewer: Id
    id: Id | None = None
    statement: Statement = ""


class HandBack(Strict):
    """The person who holds the conversation gives it back to the agents, who get to read `note`."""

    reviewer: Id
    note: Annotated[str, Field(max_length=2_000)] = ""
    id: Id | None = None
    statement: Statement = ""


class CancelTurn(Strict):
    """Cancel a turn that is queued, running or parked, by default the running one. What was executed
    before stands."""

    turn: Annotated[int, Field(ge=1)] | None = None
    reason: Annotated[str, Field(max_length=2_000)] = "cancelled on request"


class ConversationState(BaseModel):
    """Everything that a run of the workflow works on and hands to its successor."""

    model_config = ConfigDict(defer_build=True)

    turns: int = 0
    """Turn numbers given out so far."""
    asked_back: int = 0
    """Clarifying questions that triage asked in a row."""
    agent: str | None = None
    priority: PriorityName = "normal"
    parked: dict[str, ParkedTurn] = Field(default_factory=dict)
    """Turns with an approval, by its id; they stay until the agent has gone on with them."""
    resuming: list[str] = Field(default_factory=list)
    """Approvals that are decided and whose turn still has to go on, in order."""
    decided: list[ApprovalStatus] = Field(default_factory=list)
    """The latest approvals whose turn has gone on, to answer a decision that comes again."""
    remembered: dict[str, KnownMessage] = Field(default_factory=dict)
    takeover: Takeover | None = None
    last_activity: datetime | None = None
    left_build: str | None = None
    """The build id of the worker deployment that the previous run left, to move to the current one."""


class ConversationStart(ConversationRequest):
    """The input of a conversation's workflow; `state` is set when a run continues another.

    `message_id` is the message that starts the run, where one does.
    """

    tenant: Id
    conversation: Id
    customer: Id
    limits: Annotated[Limits, BeforeValidator(brought_down)] = Field(default_factory=Limits)
    task_queue: str = "holdfast"
    message_id: str | None = None
    state: ConversationState | None = None
