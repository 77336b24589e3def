"""The table of model calls: what each step paid for, found again by its attempts and successors."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from holdfast.domain.identity import ConversationKey, StepKey
from holdfast.domain.limits import AnswerBound
from holdfast.domain.model import Frozen
from holdfast.store.pool import Connection

CALL_COLUMNS = (
    "step, node, request_digest, occurrence, provider, model, response, prompt_tokens, "
    "completion_tokens, price, priced, latency_ms, degraded"
)
"""The columns that `recorded_call` reads."""


@dataclass(frozen=True, slots=True)
class CallScope(StepKey):
    """The step that makes calls. `thread` is the first step of the graph run, which a resumed step
    shares, and with it the calls that were made before the interrupt."""

    thread: int


class RawToolCall(Frozen):
    """A tool call as the model asked for it, with an id of its own among the calls of the answer.

    `arguments` are the JSON of an object (or empty), unless `problem` says in words why they may not be
    used; then they may be no JSON. `bound` names the setting that they pass, of which `limit` is the value.
    """

    id: str
    name: str
    arguments: str
    problem: str = ""
    bound: Literal[AnswerBound, ""] = ""
    limit: int = 0


class ModelResponse(Frozen):
    """What the model said. `problem` says what of it could not be read; empty where all could. `bound` names
    the setting that the answer passes as a whole, of which `limit` is the value."""

    text: str
    tool_calls: tuple[RawToolCall, ...] = ()
    finish_reason: str = ""
    problem: str = ""
    bound: Literal[AnswerBound, ""] = ""
    limit: int = 0


class ModelAnswer(Frozen):
    """A model's response, who gave it, and what it cost: US dollars and milliseconds.

    Where nobody knows the price it is 0, and `priced` is false.
    """

    provider: str
    model: str
    response: ModelResponse
    prompt_tokens: int
    completion_tokens: int
    price: Decimal
    priced: bool = True
    latency_ms: int
    degraded: bool


class RecordedCall(ModelAnswer):
    """A model call in the ledger. `occurrence` counts equal requests of the node, from 1."""

    step: int
    node: str
    request_digest: str
    occurrence: int


class Spent(Frozen):
    """Model calls, and what they have cost in US dollars."""

    calls: int = 0
    dollars: Decimal = Decimal(0)

    def and_of(self, calls: Collection[ModelAnswer]) -> "Spent":
        """This, and what these calls are."""
        return Spent(
            calls=self.calls + len(calls),
            dollars=sum((call.price for call in calls), self.dollars),
        )


def recorded_call(row: Mapping[str, Any]) -> RecordedCall:
    """A row with the `CALL_COLUMNS`, as asyncpg or Postgres' own `to_jsonb` gives it."""
    return RecordedCall.model_validate(dict(row))


async def save_call(
    connection: Connection, scope: CallScope, call: RecordedCall, request: bytes | None
) -> RecordedCall:
    """Record a call; returns the one that stands, which is an earlier one of the same key.

    A late worker that was thought dead may have been first. Its answer is then everybody's: a node
    that runs again after an interrupt finds that one.
    """
    row = await connection.fetchrow(
        f"""
        insert into holdfast.llm_calls as standing (
            tenant, conversation, turn, thread, {CALL_COLUMNS}, request
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        on conflict (tenant, conversation, turn, thread, node, request_digest, occurrence)
            do update set created_at = standing.created_at
        returning {CALL_COLUMNS}
        """,
        scope.tenant,
        scope.conversation,
        scope.turn,
        scope.thread,
        call.step,
        call.node,
        call.request_digest,
        call.occurrence,
        call.provider,
        call.model,
        call.response.model_dump(mode="json"),
        call.prompt_tokens,
        call.completion_tokens,
        call.price,
        call.priced,
        call.latency_ms,
        call.degraded,
        request,
    )
    assert row is not None
    return recorded_call(dict(row))


async def calls_of_thread(connection: Connection, scope: CallScope) -> list[RecordedCall]:
    """Every call of the graph run that the step belongs to, oldest first."""
    rows = await connection.fetch(
        f"""
        select {CALL_COLUMNS} from holdfast.llm_calls
        where tenant = $1 and conversation = $2 and turn = $3 and thread = $4
        order by created_at
        """,
        scope.tenant,
        scope.conversation,
        scope.turn,
        scope.thread,
    )
    return [recorded_call(dict(row)) for row in rows]


async def count_calls(connection: Connection, key: ConversationKey) -> int:
    """How many model calls a conversation has made."""
    count: int = await connection.fetchval(
        "select count(*) from holdfast.llm_calls where tenant = $1 and conversation = $2",
        key.tenant,
        key.conversation,
    )
    return count


async def prune_requests(connection: Connection, older_than: timedelta) -> int:
    """Drop the requests that were kept for longer; the calls stay. Returns how many were dropped."""
    status = await connection.execute(
        """
        update holdfast.llm_calls set request = null
        where request is not null and created_at < now() - $1::interval
        """,
        older_than,
    )
    return int(status.rpartition(" ")[2])
