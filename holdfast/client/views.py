"""What the client hands to services: a message's answer, a conversation as a whole, a list's line."""

from datetime import datetime
from typing import Literal

from holdfast.domain.conversation import ActionEnd, ConversationPhase, TurnStatus
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import Citation, PriorityName
from holdfast.domain.records import ActionRecord, ApprovalRecord, MessageRecord


class SentMessage(Frozen):
    """The answer to a message.

    A message that was only handed over is `accepted`: its turn and its reply are not known yet.
    `actions` says what was done and what was not where the turn ended without an agent's answer.
    """

    conversation: str
    turn: int | None = None
    message_id: str
    status: TurnStatus | Literal["accepted"]
    reply: str | None = None
    citations: tuple[Citation, ...] = ()
    approvals: tuple[str, ...] = ()
    degraded: bool = False
    actions: tuple[ActionEnd, ...] = ()


class History(Frozen):
    """The Temporal history of a conversation's latest run: its id, length and size."""

    run: str
    events: int
    bytes: int


class ConversationView(Frozen):
    """A conversation as its records have it.

    `turns` counts the turns, `model_calls` the model calls that were paid for. `history` is None
    once Temporal has forgotten the workflow.
    """

    conversation: str
    customer: str
    status: ConversationPhase
    agent: str | None
    held_by: str | None
    forked_from: str | None
    turns: int
    messages: tuple[MessageRecord, ...]
    pending_approvals: tuple[ApprovalRecord, ...]
    actions: tuple[ActionRecord, ...]
    model_calls: int
    history: History | None


class ListedConversation(Frozen):
    """A conversation as Temporal's visibility has it, some moments late.

    `running` is False when its workflow has ended: it is closed, or was terminated.
    """

    conversation: str
    status: ConversationPhase | None
    agent: str | None
    priority: PriorityName | None
    running: bool
    run: str
    started_at: datetime
    ended_at: datetime | None
