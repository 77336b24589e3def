"""Two tenants with the same ids in every table, and different content: `theirs`, and `ours`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg

from holdfast import Connection
from holdfast.activities.resources import Resources
from holdfast.domain.conversation import CustomerMessage
from holdfast.domain.decision import Decision
from holdfast.domain.identity import ConversationKey
from holdfast.domain.ids import derived_id
from holdfast.domain.words import language_of
from holdfast.knowledge.articles import read_articles
from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.store.audit import append_sighting
from holdfast.store.decisions import record_refused
from holdfast.store.deliveries import NewDelivery, insert_deliveries, record_failed
from holdfast.store.knowledge import load_articles
from holdfast.store.llm_calls import CallScope, ModelResponse, RecordedCall, save_call
from holdfast.store.steps import NewMessage, StepAttempt, begin_step, save_snapshot
from holdfast.store.transcript import append_message
from holdfast.store.turns import end_turn
from holdfast.worker.assembly import open_resources
from tests.activities.desk import Desk
from tests.notifications.notices import payload

DONE, WAITING, ACCEPTED, ANSWERED, RUNNING = 1, 2, 3, 4, 5
"""The turns: with an executed action, with a pending approval, with an accepted one, answered, begun."""

PENDING, DEAD = "dl-pending", "dl-dead"
REQUEST_ID = "request-1"

_COLUMNS = """
    select table_name, column_name, data_type from information_schema.columns
     where table_schema = 'holdfast' and is_generated = 'NEVER' and identity_generation is null
       and table_name in (select table_name from information_schema.columns
                           where table_schema = 'holdfast' and column_name = 'tenant')
     order by table_name, ordinal_position
"""


@dataclass(frozen=True, kw_only=True)
class Twins:
    """`theirs` comes first in every table and index, so that what does not ask for the tenant finds it."""

    resources: Resources
    theirs: str
    ours: str
    conversation: str
    article: Path
    tables: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def action(self, turn: int) -> str:
        """The id of the action of a turn."""
        return derived_id("act", self.theirs, self.conversation, turn, 1, 0)

    def approval(self, turn: int) -> str:
        """The id of the approval of a turn."""
        return derived_id("ap", self.theirs, self.conversation, turn, 1)

    def scope(self, tenant: str) -> CallScope:
        """Where the model was called."""
        return CallScope(
            tenant=tenant, conversation=self.conversation, turn=RUNNING, thread=1, step=1
        )

    def key(self, tenant: str) -> ConversationKey:
        """The conversation of a tenant."""
        return ConversationKey(tenant, self.conversation)

    def attempt(self, tenant: str, *, turn: int = RUNNING, attempt: int = 1) -> StepAttempt:
        """A step, and who runs it."""
        return StepAttempt(
            tenant=tenant,
            conversation=self.conversation,
            turn=turn,
            step=1,
            thread=1,
            run="run",
            attempt=attempt,
        )

    def message(self, number: int = RUNNING) -> CustomerMessage:
        """What the customer writes."""
        return CustomerMessage(message_id=f"m-{number}", customer="cust", text="words of theirs")

    async def rows_of(self, connection: Connection, tenant: str) -> dict[str, str]:
        """Everything that the tables have of a tenant."""
        return {
            table: await connection.fetchval(
                f"select string_agg(t::text, e'\\n' order by t::text) from holdfast.{table} as t"
                " where tenant = $1",
                tenant,
            )
            for table in self.tables
        }


@asynccontextmanager
async def open_twins(settings: Settings, folder: Path) -> AsyncIterator[Twins]:
    """Play a conversation with everything in it for one tenant, which the other one has copied."""
    article = folder / "articles"
    article.mkdir()
    (article / "one.md").write_text("# Parcels\n\n## Lost\n\nA parcel of theirs is lost.\n")
    mark = uuid4().hex[:10]
    async with open_resources(settings, load_packages(["tests.counter:package"])) as resources:
        twins = Twins(
            resources=resources,
            theirs=f"t-0{mark}",
            ours=f"t-1{mark}",
            conversation=f"c-{mark}",
            article=article,
        )
        await _play(twins, settings)
        yield twins


async def _play(twins: Twins, settings: Settings) -> None:
    resources, tenant, conversation = twins.resources, twins.theirs, twins.conversation
    key = twins.key(tenant)
    desk = Desk(resources, settings, tenant, "cust")
    await desk.open(conversation)
    done = await desk.propose(conversation, ("add", {"counter": "theirs", "amount": 3}))
    assert await desk.execute(done) == ["executed"]
    await desk.propose(conversation, ("add", {"counter": "theirs", "amount": 150}))
    accepted = await desk.propose(conversation, ("add", {"counter": "theirs", "amount": 151}))
    await desk.accept(accepted, reviewer="theirs-ann", roles=["counters"])
    async with resources.pool.acquire() as connection:
        answer = NewMessage(role="human", author="theirs-pat", text="an answer of theirs")
        await append_message(connection, key.turn_key(ANSWERED), answer, request_id=REQUEST_ID)
        await end_turn(
            connection,
            key.turn_key(ANSWERED),
            status="answered",
            reason="theirs",
            message=twins.message(ANSWERED),
            language_of=language_of,
        )
        await _note(twins, connection)
    await begin_step(
        resources.pool, twins.attempt(tenant), subgraph="theirs", message=twins.message()
    )
    assert await save_snapshot(resources.pool, twins.attempt(tenant), b"theirs")


async def _note(twins: Twins, connection: Connection) -> None:
    """What is recorded beside a conversation."""
    tenant, approval = twins.theirs, twins.approval(WAITING)
    deliveries = [
        NewDelivery(
            id=id_,
            batch=f"batch-{id_}",
            kind="webhook",
            channel="theirs",
            recipient=None,
            payload=payload(approval=approval, conversation=twins.conversation, reason="theirs"),
            patience=timedelta(hours=1),
        )
        for id_ in (PENDING, DEAD)
    ]
    await insert_deliveries(connection, tenant, deliveries)
    await record_failed(connection, tenant, DEAD, status=500, error="theirs", final=True)
    await save_call(connection, twins.scope(tenant), recorded_call("theirs"), b"theirs")
    await load_articles(connection, tenant, "counter", read_articles(twins.article))
    said = decision(twins, WAITING)
    await record_refused(
        connection, tenant, said, refusal="of theirs", by="desk", at=datetime.now(UTC)
    )
    await append_sighting(
        connection,
        twins.key(tenant),
        approval=approval,
        reviewer="theirs-ann",
        digest="d",
    )


def recorded_call(said: str) -> RecordedCall:
    """A call of the model in which it said this."""
    return RecordedCall.model_validate(
        {
            "provider": "p", "model": "m", "response": ModelResponse(text=said), "step": 1,
            "prompt_tokens": 1, "completion_tokens": 1, "price": "0.1", "latency_ms": 1,
            "degraded": False, "node": "n", "request_digest": "d", "occurrence": 1,
        }
    )  # fmt: skip


def decision(twins: Twins, turn: int, **changes: object) -> Decision:
    """A comment on the approval of a turn."""
    values: dict[str, object] = {
        "id": "d-new", "approval": twins.approval(turn), "kind": "comment", "reviewer": "bob",
        "digest": "d", "text": "new",
    }  # fmt: skip
    return Decision.model_validate(values | changes)


async def copy(twins: Twins, owner: Connection) -> None:
    """Let the other tenant have all rows under the same ids, and `ours` wherever it says `theirs`."""
    for table, column, kind in await owner.fetch(_COLUMNS):
        twins.tables.setdefault(table, []).append((column, kind))
    waiting = [*twins.tables]
    while waiting:
        table = waiting.pop(0)
        try:
            async with owner.transaction():
                await _copy(twins, owner, table)
        except asyncpg.ForeignKeyViolationError:  # what it refers to comes first
            waiting.append(table)


async def _copy(twins: Twins, owner: Connection, table: str) -> None:
    columns = ", ".join(f'"{column}"' for column, _ in twins.tables[table])
    values = ", ".join(
        "$2"
        if column == "tenant"
        else f"replace(\"{column}\"::text, 'theirs', 'ours')::{kind}"
        if kind in ("text", "jsonb")
        else f"decode(replace(encode(\"{column}\", 'escape'), 'theirs', 'ours'), 'escape')"
        if kind == "bytea"
        else f'"{column}"'
        for column, kind in twins.tables[table]
    )
    await owner.execute(
        f"insert into holdfast.{table} ({columns}) select {values} from holdfast.{table} "
        "where tenant = $1",
        twins.theirs,
        twins.ours,
    )
