"""The workers of each deployment: what they serve, when they were seen last, and what waits for them."""

from collections.abc import AsyncIterator
from datetime import timedelta

from holdfast.domain.fleet import Capabilities
from holdfast.domain.identity import ActionKey, ConversationKey
from holdfast.domain.model import Frozen
from holdfast.domain.outcomes import RecordedActionState
from holdfast.store.pool import Connection, Pool

LIVE_SECONDS = 10.0
"""A worker that was not seen for this long is taken for gone."""

REMEMBERED = timedelta(minutes=10)
"""How long what a worker served is still known after it has gone, so that work waits for its restart."""

_FORGOTTEN = timedelta(days=7)


class Member(Frozen):
    """A worker process of the deployment."""

    worker: str
    live: bool
    served: Capabilities
    remembered: bool = True
    """Whether what it serves still counts as known where nobody else serves its packages."""


class Waiting(Frozen):
    """Actions that are proposed and not executed: of whom, under which names, and where the graph waits."""

    tenant: str
    conversation: str
    turn: int
    step: int
    agent: str
    actions: tuple[str, ...]
    snapshot: bytes | None


class ProposedAction(Frozen):
    """An action that is to be executed, as `read_proposed` finds it; `later` are those that follow it in
    its proposal."""

    name: str
    state: RecordedActionState
    agent: str
    snapshot: bytes | None
    later: tuple[str, ...]


async def note_worker(
    connection: Connection,
    scope: str,
    *,
    build: str,
    worker: str,
    served: Capabilities,
    capacity: int,
) -> None:
    """Say that the worker is there."""
    await connection.execute(
        """
        insert into holdfast.workers as known (scope, build, worker, served, capacity)
        values ($1, $2, $3, $4, $5)
        on conflict (scope, worker) do update set seen_at = now(), left_at = null
        """,
        scope,
        build,
        worker,
        served.model_dump(mode="json"),
        capacity,
    )


async def note_leaving(connection: Connection, scope: str, worker: str) -> None:
    """Say that the worker stops, and forget those that were last seen long ago."""
    await connection.execute(
        "update holdfast.workers set left_at = now() where scope = $1 and worker = $2",
        scope,
        worker,
    )
    await connection.execute(
        "delete from holdfast.workers where seen_at < now() - $1::interval", _FORGOTTEN
    )


async def read_members(connection: Connection, scope: str, build: str) -> tuple[Member, ...]:
    """The workers of one build of a deployment, those that were seen last first."""
    rows = await connection.fetch(
        """
        select worker, served, left_at is null and seen_at > now() - $3::interval as live,
               seen_at > now() - $4::interval as remembered
          from holdfast.workers where scope = $1 and build = $2 order by seen_at desc
        """,
        scope,
        build,
        timedelta(seconds=LIVE_SECONDS),
        REMEMBERED,
    )
    return tuple(Member.model_validate(dict(row)) for row in rows)


async def read_proposed(connection: Connection, key: ActionKey) -> ProposedAction | None:
    """An action of a step, with the agent that proposed it and the snapshot in which that waits."""
    row = await connection.fetchrow(
        """
        select action.name, action.state, step.subgraph as agent, kept.snapshot,
               array(select later.name from holdfast.actions as later
                      where later.tenant = $1 and later.conversation = $2 and later.turn = $3
                        and later.step = $4 and later.index > $5) as later
          from holdfast.actions as action
          join holdfast.steps as step using (tenant, conversation, turn, step)
          left join holdfast.graph_checkpoints as kept using (tenant, conversation, turn, step)
         where tenant = $1 and conversation = $2 and turn = $3 and step = $4
           and action.index = $5
        """,
        key.tenant,
        key.conversation,
        key.turn,
        key.step,
        key.index,
    )
    return ProposedAction.model_validate(dict(row)) if row else None


async def read_waiting(pool: Pool, scope: str, *, snapshots: bool) -> AsyncIterator[Waiting]:
    """Every proposal of the deployment that waits, for people or for a worker; with their `snapshots`
    where these are wanted."""
    async with pool.acquire() as connection, connection.transaction():
        rows = connection.cursor(
            """
            with waiting as (
                select tenant, conversation, turn, step, step.subgraph as agent,
                       array_agg(distinct action.name) as actions
                  from holdfast.actions as action
                  join holdfast.steps as step using (tenant, conversation, turn, step)
                  join holdfast.turns as turn_ using (tenant, conversation, turn)
                  join (select tenant, id as conversation, scope from holdfast.conversations)
                       as home using (tenant, conversation)
                 where action.state = 'proposed' and turn_.ended_at is null
                   and coalesce(home.scope, $1) = $1
                 group by tenant, conversation, turn, step, step.subgraph
            )
            select waiting.*, kept.snapshot
              from waiting
              left join holdfast.graph_checkpoints as kept
                on $2 and (kept.tenant, kept.conversation, kept.turn, kept.step)
                        = (waiting.tenant, waiting.conversation, waiting.turn, waiting.step)
            """,
            scope,
            snapshots,
            prefetch=100,
        )
        async for row in rows:
            yield Waiting.model_validate(dict(row))


async def note_handed_back(
    connection: Connection,
    key: ConversationKey,
    *,
    activity: str,
    attempt: int,
    lacking: str,
) -> None:
    """Note that an attempt was handed back by a worker that lacks something."""
    await connection.execute(
        """
        insert into holdfast.attempts as known
            (tenant, conversation, activity, attempt, handed_back, lacking)
        values ($1, $2, $3, $4, 1, $5)
        on conflict (tenant, conversation, activity) do update
           set attempt = greatest(known.attempt, excluded.attempt), begun_at = now(),
               handed_back = known.handed_back + 1, lacking = excluded.lacking
        """,
        key.tenant,
        key.conversation,
        activity,
        attempt,
        lacking,
    )


async def taken_up(connection: Connection, key: ConversationKey, *, activity: str) -> None:
    """Note that an activity which may have been handed back waits no more."""
    await connection.execute(
        """
        update holdfast.attempts set lacking = null
         where tenant = $1 and conversation = $2 and activity = $3 and lacking is not null
        """,
        key.tenant,
        key.conversation,
        activity,
    )


async def read_lacking(
    connection: Connection, scope: str, within: timedelta
) -> list[tuple[str, int]]:
    """What was lacking where work was handed back within this time, and in how many conversations."""
    rows = await connection.fetch(
        """
        select lacking, count(distinct (attempt.tenant, attempt.conversation)) as conversations
          from holdfast.attempts as attempt
          join holdfast.conversations as home
            on (home.tenant, home.id) = (attempt.tenant, attempt.conversation)
         where lacking is not null and begun_at > now() - $2::interval
           and coalesce(home.scope, $1) = $1
         group by lacking order by lacking
        """,
        scope,
        within,
    )
    return [(row["lacking"], row["conversations"]) for row in rows]
