"""Steps of a turn: one statement that begins one, one that commits one. Each is a round trip.

A step row carries the fence: the activity and attempt that own it. A commit counts only for the
owner, and only once, so that the late result of a worker that was thought dead changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import Field, JsonValue

from holdfast.domain.activity_protocol import RecordedTurn, StepOutcome
from holdfast.domain.approval import Approval
from holdfast.domain.conversation import (
    ConversationPhase,
    CustomerMessage,
    MessageRole,
    TurnResult,
    TurnStatus,
)
from holdfast.domain.description import ActionDescription
from holdfast.domain.errors import StaleAttempt
from holdfast.domain.events import NewEvent, NewMessageReceived
from holdfast.domain.ids import text_digest
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import ActionResult, PriorityName, RecordedActionState, VerdictKind
from holdfast.store.action_history import STANDING, StandingAction
from holdfast.store.llm_calls import CallScope, Spent
from holdfast.store.pool import Connection, Pool
from holdfast.store.results import numbered_outcome, recorded_turn, step_outcome
from holdfast.store.sql import statement

TRANSCRIPT_LIMIT = 60
"""The most messages that a step reads, the newest of those that no summary covers."""


@dataclass(frozen=True, slots=True)
class StepAttempt(CallScope):
    """A step and who runs it: `run` names the activity, in its workflow run; `attempt` counts its
    attempts from 1."""

    run: str
    attempt: int


class StoredMessage(Frozen):
    """A message of the transcript as it lies in Postgres."""

    seq: int
    turn: int
    role: MessageRole
    text: str


class BegunStep(Frozen):
    """Everything a step needs to know, read in the statement that began it.

    `outcome` is set when the step was committed before. `standing` is what was done and what waited
    when the graph was started, the same on every try. `transcript` begins after what `summary`
    covers. `snapshot` is the graph's checkpoint: of
    this step, or of the one it resumes. `calls` are the recorded model calls of the graph's run, and
    `spent_elsewhere` sums up those of the turn's other runs.
    """

    customer: str
    language: str
    priority: PriorityName
    opened_at: datetime
    outcome: StepOutcome | None
    repeated: RecordedTurn | None
    summary: str
    transcript: tuple[StoredMessage, ...]
    snapshot: bytes | None
    own_snapshot: bool
    calls: tuple[dict[str, Any], ...]
    spent_elsewhere: Spent
    results: tuple[ActionResult, ...]
    standing: tuple[StandingAction, ...] = ()


class NewMessage(Frozen):
    """A message to append to the transcript."""

    role: MessageRole
    text: str
    author: str | None = None
    citations: list[JsonValue] = Field(default_factory=list)
    degraded: bool = False


class NewAction(Frozen):
    """A proposed action as it is recorded."""

    id: str
    index: int
    name: str
    arguments: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    verdict: VerdictKind
    state: RecordedActionState
    policy: str | None = None
    policy_version: int | None = None
    policy_digest: str | None = None
    rule: str | None = None
    description: ActionDescription | None = None
    approval: str | None = None
    result: JsonValue = None
    error: str | None = None
    repeats: str | None = None
    """The earlier action that this one repeats, so that it is not executed."""


class NewApproval(Frozen):
    """An approval as it is recorded when it is asked for; `amount` is the money at stake."""

    approval: Approval
    agent: str
    reason: str
    evidence: tuple[str, ...]
    policy_name: str
    policy_version: int
    policy_digest: str
    policy_reason: str | None
    amount: Decimal | None


class Summary(Frozen):
    """What was said up to and including message `through`, in short."""

    text: str
    through: int


class StepCommit(Frozen):
    """What a step leaves behind, all of it or nothing.

    `outcome` is the activity's result. `turn_result` is set when the turn is answered for now. Neither names
    the reply, the last message, which gets its number here. `snapshot` keeps the graph for a later step;
    without one, the turn's checkpoints are deleted.
    """

    outcome: StepOutcome
    turn_status: TurnStatus | None = None
    turn_result: TurnResult | None = None
    agent: str | None = None
    phase: ConversationPhase | None = None
    priority: PriorityName | None = None
    language: str | None = None
    messages: tuple[NewMessage, ...] = ()
    events: tuple[NewEvent, ...] = ()
    actions: tuple[NewAction, ...] = ()
    approval: NewApproval | None = None
    snapshot: bytes | None = None
    summary: Summary | None = None


_BEGIN = statement("begin_step", standing=STANDING)
_COMMIT = statement("commit_step")


async def begin_step(
    pool: Pool, key: StepAttempt, *, subgraph: str, message: CustomerMessage | None
) -> BegunStep:
    """Claim the step for this attempt and read what it needs; with `message`, begin the turn.

    Raises:
        StaleAttempt: a newer attempt owns the step, or the turn has ended.
        LookupError: the conversation has no records.
    """
    received = message and NewMessageReceived(message_id=message.message_id)
    row = await pool.fetchrow(
        *_BEGIN(
            tenant=key.tenant,
            conversation=key.conversation,
            turn=key.turn,
            step=key.step,
            thread=key.thread,
            run=key.run,
            attempt=key.attempt,
            subgraph=subgraph,
            message_id=message and message.message_id,
            message_digest=message and text_digest(message.text),
            text=message and message.text,
            author=message and message.customer,
            received=received and received.model_dump(mode="json"),
            limit=TRANSCRIPT_LIMIT,
        )
    )
    if row is None:
        raise LookupError(f"conversation {key.tenant}/{key.conversation} has no records")
    outcome = step_outcome(row)
    repeated = recorded_turn(row["repeated"]) if row["repeated"] else None
    if not row["claimed"] and outcome is None and repeated is None:
        raise StaleAttempt(
            f"attempt {key.attempt} of step {key.turn}.{key.step} of {key.conversation} is stale"
        )
    transcript = [StoredMessage.model_validate(line) for line in row["transcript"] or ()]
    if message is not None and not any(line.turn == key.turn for line in transcript):
        last = transcript[-1].seq if transcript else 0
        transcript.append(
            StoredMessage(seq=last + 1, turn=key.turn, role="customer", text=message.text)
        )
    return BegunStep(
        customer=row["customer"],
        language=row["language"],
        priority=row["priority"],
        opened_at=row["created_at"],
        outcome=outcome,
        repeated=repeated,
        summary=row["summary"],
        transcript=tuple(transcript[-TRANSCRIPT_LIMIT:]),
        snapshot=row["snapshot"],
        own_snapshot=bool(row["own_snapshot"]),
        calls=tuple(row["calls"] or ()),
        spent_elsewhere=Spent.model_validate(row["spent_elsewhere"]),
        results=tuple(ActionResult.model_validate(result) for result in row["results"] or ()),
        standing=tuple(StandingAction.model_validate(one) for one in row["standing"] or ()),
    )


async def commit_step(
    writer: Pool | Connection, key: StepAttempt, commit: StepCommit
) -> StepOutcome:
    """Commit everything that the step leaves behind, and give back the outcome with its reply's number.

    Raises:
        StaleAttempt: this attempt no longer owns the step; nothing was changed.
    """
    row = await writer.fetchrow(
        *_COMMIT(
            tenant=key.tenant,
            conversation=key.conversation,
            turn=key.turn,
            step=key.step,
            run=key.run,
            attempt=key.attempt,
            outcome=commit.outcome.model_dump(mode="json"),
            messages=[message.model_dump(mode="json") for message in commit.messages],
            events=[event.to_json() for event in commit.events],
            phase=commit.phase,
            agent=commit.agent,
            priority=commit.priority,
            language=commit.language,
            turn_status=commit.turn_status,
            turn_result=commit.turn_result and commit.turn_result.model_dump(mode="json"),
            actions=[action.model_dump(mode="json") for action in commit.actions],
            approvals=[commit.approval.model_dump(mode="json")] if commit.approval else [],
            snapshot=commit.snapshot,
            summary=commit.summary and commit.summary.text,
            summarized_through=commit.summary and commit.summary.through,
            roles=list(commit.approval.approval.roles) if commit.approval else [],
            due_at=commit.approval and commit.approval.approval.due_at,
        )
    )
    if row is None:
        raise StaleAttempt(
            f"attempt {key.attempt} of step {key.turn}.{key.step} of {key.conversation} is stale: "
            "a newer attempt owns the step; this one's work is discarded"
        )
    return numbered_outcome(commit.outcome, row["reply_seq"])


async def save_snapshot(pool: Pool, key: StepAttempt, snapshot: bytes) -> bool:
    """Keep the graph's checkpoint while the step runs; False when the step has another owner."""
    saved = await pool.fetchval(
        """
        insert into holdfast.graph_checkpoints as checkpoint
            (tenant, conversation, turn, step, snapshot)
        select $1, $2, $3, $4, $7 from holdfast.steps
         where tenant = $1 and conversation = $2 and turn = $3 and step = $4
           and run = $5 and attempt = $6 and outcome is null
           for update
        on conflict (tenant, conversation, turn, step) do update
           set snapshot = excluded.snapshot, updated_at = now()
        returning true
        """,
        key.tenant,
        key.conversation,
        key.turn,
        key.step,
        key.run,
        key.attempt,
        snapshot,
    )
    return bool(saved)
