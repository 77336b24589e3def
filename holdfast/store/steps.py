"""Steps of a turn: one statement that begins one, one that commits one. Each is a round trip.

A step row carries the fence: the activity and attempt that own it. A commit counts only for the
owner, and only once, so that the late result of a worker that was thought dead changes nothing.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import Field, JsonValue

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
from holdfast.domain.steps import RecordedTurn
from holdfast.store.llm_calls import Spent
from holdfast.store.pool import Connection, Pool
from holdfast.store.standing import STANDING, StandingAction

TRANSCRIPT_LIMIT = 60
"""The most messages that a step reads, the newest of those that no summary covers."""


class StepKey(Frozen):
    """A step and who runs it: `run` names the activity, in its workflow run; `attempt` counts its
    attempts from 1."""

    tenant: str
    conversation: str
    turn: int
    step: int
    thread: int
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
    outcome: dict[str, Any] | None
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

    `outcome` is the activity's result. `turn_result` is set when the turn is answered for now; its
    `reply_seq` is the number of the last message, filled in by the statement. `snapshot` keeps the
    graph for a later step; without one, the turn's checkpoints are deleted.
    """

    outcome: dict[str, JsonValue]
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


_BEGIN_TURN = """
new_turn as (
    insert into holdfast.turns (tenant, conversation, turn, message_id, message_digest)
    values ($1, $2, $3, $8, $9)
    on conflict do nothing
    returning turn
), numbers as (
    update holdfast.conversations
       set last_message = last_message + 1, last_event = last_event + 1, updated_at = now(),
           turns = greatest(turns, $3)
     where tenant = $1 and id = $2 and exists (select from new_turn)
    returning last_message, last_event
), received as (
    insert into holdfast.messages (tenant, conversation, seq, turn, role, author, text)
    select $1, $2, last_message, $3, 'customer', $11, $10 from numbers
), announced as (
    insert into holdfast.events (tenant, conversation, seq, type, turn, data)
    select $1, $2, last_event, 'message_received', $3,
           $13::jsonb || jsonb_build_object('message', last_message)
      from numbers
),
"""

_BEGIN = """
open_turn as (
    select turn from holdfast.turns
     where tenant = $1 and conversation = $2 and turn = $3 and ended_at is null
       for share
), claimed as (
    insert into holdfast.steps as step
        (tenant, conversation, turn, step, thread, run, attempt, subgraph, standing)
    select $1, $2, $3, $4, $5, $6, $7, {subgraph}, case when $4::int = $5::int then {standing} end
     where {not_repeated} and ({begun} or exists (select from open_turn))
    on conflict (tenant, conversation, turn, step) do update
       set run = excluded.run, attempt = excluded.attempt, started_at = now()
     where step.outcome is null and (step.run <> excluded.run or step.attempt <= excluded.attempt)
    returning standing
)
select conversation.customer, conversation.language, conversation.summary,
       conversation.priority, conversation.created_at,
       exists (select from claimed) as claimed,
       (select outcome from holdfast.steps
         where tenant = $1 and conversation = $2 and turn = $3 and step = $4) as outcome,
       {repeated} as repeated,
       (select jsonb_agg(line order by (line ->> 'seq')::int) from (
            select jsonb_build_object('seq', seq, 'turn', turn, 'role', role, 'text', text) as line
              from holdfast.messages
             where tenant = $1 and conversation = $2 and seq > conversation.summarized_through
               and role <> 'notice'
             order by seq desc limit {limit}) as lines) as transcript,
       (select jsonb_agg(to_jsonb(call) - 'request') from holdfast.llm_calls as call
         where tenant = $1 and conversation = $2 and turn = $3 and thread = $5) as calls,
       (select jsonb_build_object('calls', count(*), 'dollars', coalesce(sum(price), 0))
          from holdfast.llm_calls
         where tenant = $1 and conversation = $2 and turn = $3 and thread <> $5) as spent_elsewhere,
       kept.snapshot, kept.step = $4 as own_snapshot,
       coalesce((select standing from claimed),
                (select standing from holdfast.steps
                  where tenant = $1 and conversation = $2 and turn = $3 and step = $5)) as standing,
       (select jsonb_agg(jsonb_build_object(
                'id', id, 'name', name, 'arguments', arguments, 'state', state,
                'result', result, 'error', error, 'reviewer', reviewer) order by index)
          from holdfast.actions
         where tenant = $1 and conversation = $2 and turn = $3 and step = $4 - 1) as results
  from holdfast.conversations as conversation
  left join lateral (
        select snapshot, step from holdfast.graph_checkpoints
         where tenant = $1 and conversation = $2 and turn = $3 and step between $5 and $4
         order by step desc limit 1) as kept on true
 where conversation.tenant = $1 and conversation.id = $2
"""

_FIRST_TURN_OF_MESSAGE = """
(select jsonb_build_object(
            'turn', turn, 'digest', message_digest,
            'result', result || jsonb_build_object('reply_seq', reply_seq))
   from holdfast.turns
  where tenant = $1 and conversation = $2 and message_id = $8 and turn <> $3)
"""


def _begin_statement(*, first: bool) -> str:
    return (
        "with "
        + (_BEGIN_TURN if first else "")
        + _BEGIN.format(
            subgraph="$12" if first else "$8",
            begun="exists (select from new_turn)" if first else "false",
            not_repeated=f"{_FIRST_TURN_OF_MESSAGE} is null" if first else "true",
            repeated=_FIRST_TURN_OF_MESSAGE if first else "null::jsonb",
            limit=TRANSCRIPT_LIMIT,
            standing=STANDING,
        )
    )


_BEGIN_FIRST_STEP = _begin_statement(first=True)
_BEGIN_LATER_STEP = _begin_statement(first=False)


async def begin_step(
    pool: Pool, key: StepKey, *, subgraph: str, message: CustomerMessage | None
) -> BegunStep:
    """Claim the step for this attempt and read what it needs; with `message`, begin the turn.

    Raises:
        StaleAttempt: a newer attempt owns the step, or the turn has ended.
        LookupError: the conversation has no records.
    """
    arguments: list[object] = [
        key.tenant, key.conversation, key.turn, key.step, key.thread, key.run, key.attempt,
    ]  # fmt: skip
    if message is None:
        row = await pool.fetchrow(_BEGIN_LATER_STEP, *arguments, subgraph)
    else:
        digest = text_digest(message.text)
        received = NewMessageReceived(message_id=message.message_id)
        row = await pool.fetchrow(
            _BEGIN_FIRST_STEP, *arguments, message.message_id, digest, message.text,
            message.customer, subgraph, received.model_dump(mode="json"),
        )  # fmt: skip
    if row is None:
        raise LookupError(f"conversation {key.tenant}/{key.conversation} has no records")
    repeated = row["repeated"] and RecordedTurn.model_validate(row["repeated"])
    if not row["claimed"] and row["outcome"] is None and not repeated:
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
        outcome=row["outcome"],
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


_COMMIT = """
with fence as (
    select 1 from holdfast.steps
     where tenant = $1 and conversation = $2 and turn = $3 and step = $4
       and run = $5 and attempt = $6 and outcome is null
       for update
), numbers as (
    update holdfast.conversations
       set last_message = last_message + jsonb_array_length($8),
           last_event = last_event + jsonb_array_length($9),
           status = coalesce($10, status), agent = coalesce($11, agent),
           priority = coalesce($12, priority), language = coalesce($13, language),
           summary = coalesce($19, summary),
           summarized_through = coalesce($20, summarized_through),
           updated_at = now()
     where tenant = $1 and id = $2 and exists (select from fence)
    returning last_message, last_message - jsonb_array_length($8) as message_before,
              last_event - jsonb_array_length($9) as event_before, customer,
              clock_timestamp() as at
), committed as (
    update holdfast.steps
       set committed_at = now(),
           outcome = case when $7::jsonb ? 'result' and jsonb_array_length($8) > 0
                          then jsonb_set($7, '{result,reply_seq}', to_jsonb(numbers.last_message))
                          else $7 end
      from numbers
     where tenant = $1 and conversation = $2 and turn = $3 and step = $4
    returning outcome
), said as (
    insert into holdfast.messages
        (tenant, conversation, seq, turn, role, author, text, citations, degraded)
    select $1, $2, message_before + ordinal, $3, line ->> 'role', line ->> 'author',
           line ->> 'text', line -> 'citations', (line ->> 'degraded')::boolean
      from numbers, jsonb_array_elements($8) with ordinality as new (line, ordinal)
), announced as (
    insert into holdfast.events (tenant, conversation, seq, type, turn, data)
    select $1, $2, event_before + ordinal, event ->> 'type', (event ->> 'turn')::int,
           case when event ->> 'type' = 'message_sent'
                then event -> 'data' || jsonb_build_object('message', last_message)
                else event -> 'data' end
      from numbers, jsonb_array_elements($9) with ordinality as new (event, ordinal)
), turn as (
    update holdfast.turns
       set status = coalesce($14, status), agent = coalesce($11, agent),
           result = coalesce(result, $15),
           reply_seq = coalesce(reply_seq,
                case when $15::jsonb is not null and jsonb_array_length($8) > 0
                     then numbers.last_message end),
           ended_at = case when $14 in ('answered', 'awaiting_human') then now() end
      from numbers
     where tenant = $1 and conversation = $2 and turn = $3
), proposed as (
    insert into holdfast.actions
        (tenant, conversation, turn, step, id, index, name, arguments, facts, verdict, state,
         policy, policy_version, policy_digest, rule, description, approval, error, created_at,
         result, repeats, customer)
    select $1, $2, $3, $4, action ->> 'id', (action ->> 'index')::int, action ->> 'name',
           action -> 'arguments', action -> 'facts', action ->> 'verdict', action ->> 'state',
           action ->> 'policy', (action ->> 'policy_version')::int, action ->> 'policy_digest',
           action ->> 'rule', nullif(action -> 'description', 'null'), action ->> 'approval',
           action ->> 'error', numbers.at, nullif(action -> 'result', 'null'),
           action ->> 'repeats', numbers.customer
      from numbers, jsonb_array_elements($16) as action
), asked as (
    insert into holdfast.approvals
        (tenant, conversation, turn, step, id, asked, approval, roles, agent, requester, reason,
         evidence, args_digest, policy_name, policy_version, policy_digest, policy_reason, amount,
         requested_at, due_at, expires_at)
    select $1, $2, $3, $4, approval ->> 'id', approval, approval, $21, asked ->> 'agent',
           'agent:' || (asked ->> 'agent'), asked ->> 'reason', asked -> 'evidence',
           approval ->> 'args_digest', asked ->> 'policy_name', (asked ->> 'policy_version')::int,
           asked ->> 'policy_digest', asked ->> 'policy_reason', (asked ->> 'amount')::numeric,
           (approval ->> 'requested_at')::timestamptz, $22, (approval ->> 'expires_at')::timestamptz
      from numbers, jsonb_array_elements($17) as asked, jsonb_extract_path(asked, 'approval') as approval
), forgotten as (
    delete from holdfast.graph_checkpoints
     where tenant = $1 and conversation = $2 and turn = $3
       and (step <> $4 or $18::bytea is null) and exists (select from numbers)
), kept as (
    insert into holdfast.graph_checkpoints as checkpoint
        (tenant, conversation, turn, step, snapshot)
    select $1, $2, $3, $4, $18 from numbers where $18::bytea is not null
    on conflict (tenant, conversation, turn, step) do update
       set snapshot = excluded.snapshot, updated_at = now()
)
select outcome from committed
"""


async def commit_step(
    writer: Pool | Connection, key: StepKey, commit: StepCommit
) -> dict[str, Any]:
    """Commit everything that the step leaves behind, and give back the outcome as recorded.

    Raises:
        StaleAttempt: this attempt no longer owns the step; nothing was changed.
    """
    outcome = await writer.fetchval(
        _COMMIT,
        key.tenant,
        key.conversation,
        key.turn,
        key.step,
        key.run,
        key.attempt,
        commit.outcome,
        [message.model_dump(mode="json") for message in commit.messages],
        [event.to_json() for event in commit.events],
        commit.phase,
        commit.agent,
        commit.priority,
        commit.language,
        commit.turn_status,
        commit.turn_result and commit.turn_result.model_dump(mode="json"),
        [action.model_dump(mode="json") for action in commit.actions],
        [commit.approval.model_dump(mode="json")] if commit.approval else [],
        commit.snapshot,
        commit.summary and commit.summary.text,
        commit.summary and commit.summary.through,
        list(commit.approval.approval.roles) if commit.approval else [],
        commit.approval and commit.approval.approval.due_at,
    )
    if outcome is None:
        raise StaleAttempt(
            f"attempt {key.attempt} of step {key.turn}.{key.step} of {key.conversation} is stale: "
            "a newer attempt owns the step; this one's work is discarded"
        )
    return outcome  # type: ignore[no-any-return]


async def save_snapshot(pool: Pool, key: StepKey, snapshot: bytes) -> bool:
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
