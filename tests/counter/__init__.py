"""A brought package for tests: an agent that adds to counters, with one row for every effect.

The model says what happens: tool calls of the agent become proposals (several in one completion are
one proposal), `think` is a read, `hand_over` and `escalate` end the turn accordingly, text ends it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import httpx2
from pydantic import BaseModel, Field, JsonValue

from holdfast import (
    Action,
    ActionContext,
    ActionRefused,
    Connection,
    Escalation,
    Exchange,
    Handoff,
    Package,
    ProposedAction,
    Rationale,
    Read,
    Subgraph,
    TurnContext,
    tool_agent,
)
from holdfast.domain.outcomes import Route


class Add(BaseModel):
    """Add to a counter."""

    counter: str
    amount: Annotated[int, Field(le=1_000)]


class Tally(BaseModel):
    """Count something."""

    counter: str


class Send(BaseModel):
    """Call another system."""

    url: str


class Handover(BaseModel):
    """Pass the turn on."""

    agent: str


class Nothing(BaseModel):
    """No arguments."""


async def _add(context: ActionContext, add: Add) -> JsonValue:
    if add.amount == 13:
        raise ActionRefused("13 is not added here")
    if add.amount == 500:
        raise RuntimeError("this action is broken")
    effect: int = await context.transaction.fetchval(
        "insert into counter.effects (tenant, counter, amount) values ($1, $2, $3) returning id",
        context.tenant,
        add.counter,
        add.amount,
    )
    return {"effect": effect}


async def _take_back(context: ActionContext, add: Add, result: JsonValue) -> None:
    assert isinstance(result, dict)
    await context.transaction.execute(
        "delete from counter.effects where tenant = $1 and id = $2",
        context.tenant,
        result["effect"],
    )


async def _facts(context: ActionContext, add: Add) -> dict[str, JsonValue]:
    if add.amount == 7:
        raise ActionRefused("7 can never be added")
    if add.amount == 666:
        raise RuntimeError("these facts are broken")
    if add.counter != "watched":
        return {"amount": add.amount}
    total = await context.transaction.fetchval(
        "select coalesce(sum(amount), 0) from counter.effects where tenant = $1 and counter = $2",
        context.tenant,
        add.counter,
    )
    if total < 0:
        raise ActionRefused("this counter is closed")
    return {"amount": add.amount, "total": total}


async def _send(context: ActionContext, send: Send) -> JsonValue:
    async with httpx2.AsyncClient() as client:
        response = await client.post(
            send.url, headers={"Idempotency-Key": context.idempotency_key}, timeout=10
        )
    if response.status_code == 409:
        raise ActionRefused("the other system refused")
    response.raise_for_status()
    answer: JsonValue = response.json()
    return answer


async def _tally(context: ActionContext, tally: Tally) -> JsonValue:
    """Written like most people write it: read, then write what follows from it."""
    highest: int = await context.transaction.fetchval(
        "select coalesce(max(amount), 0) from counter.effects where tenant = $1 and counter = $2",
        context.tenant,
        tally.counter,
    )
    await context.transaction.execute(
        "insert into counter.effects (tenant, counter, amount) values ($1, $2, $3)",
        context.tenant,
        tally.counter,
        highest + 1,
    )
    return {"reached": highest + 1}


async def _open(context: ActionContext, tally: Tally) -> JsonValue:
    """Makes something new, with an id that the rehearsal has shown already."""
    return {"ticket": context.new_id("ticket"), "key": context.idempotency_key}


async def _ticket(context: ActionContext, tally: Tally) -> dict[str, JsonValue]:
    seen = await context.transaction.fetchval("select clock_timestamp()::text")
    return {"ticket": context.new_id("ticket"), "seen": seen}


async def _writing_facts(context: ActionContext, tally: Tally) -> dict[str, JsonValue]:
    await _tally(context, tally)
    return {}


ACTIONS = (
    Action(
        name="add",
        description="Add to a counter.",
        arguments=Add,
        execute=_add,
        facts=_facts,
        compensate=_take_back,
    ),
    Action(
        name="add_for_good",
        description="Add to a counter, without a way back.",
        arguments=Add,
        execute=_add,
    ),
    Action(name="tally", description="Add one to the highest.", arguments=Tally, execute=_tally),
    Action(
        name="tally_together",
        description="Add one to the highest, whoever asks.",
        arguments=Tally,
        execute=_tally,
        subject=lambda _, tally: f"counter/{tally.counter}",
    ),
    Action(
        name="open_ticket",
        description="Open a ticket.",
        arguments=Tally,
        execute=_open,
        facts=_ticket,
        informs=("seen",),
    ),
    Action(
        name="write_facts",
        description="Write where only reads are allowed.",
        arguments=Tally,
        execute=_tally,
        facts=_writing_facts,
    ),
    Action(name="send", description="Call a URL.", arguments=Send, execute=_send, remote=True),
)


async def _think(context: TurnContext, nothing: Nothing) -> JsonValue:
    return {"ok": True}


async def _hand_over(context: TurnContext, handover: Handover) -> Handoff:
    return Handoff(to=handover.agent, note="passed on")


async def _escalate(context: TurnContext, nothing: Nothing) -> Escalation:
    return Escalation(reason="the model asked for a person")


async def _fail(context: TurnContext, nothing: Nothing) -> JsonValue:
    raise ValueError("this node is broken")


async def _route(context: TurnContext, nothing: Nothing) -> Route:
    return Route(agent="other", intent="none", confidence=1.0)


READS = (
    Read(name="hand_over", description="Pass the turn on.", arguments=Handover, run=_hand_over),
    Read(name="escalate", description="Ask for a person.", arguments=Nothing, run=_escalate),
    Read(name="think", description="Go on.", arguments=Nothing, run=_think),
    Read(name="fail", description="Raise an error.", arguments=Nothing, run=_fail),
    Read(name="route", description="End as only triage may.", arguments=Nothing, run=_route),
)


def _explain(exchange: Exchange, actions: Sequence[ProposedAction]) -> Rationale:
    return Rationale(reason="The customer wants it.", evidence=("They said so.",))


def _agent(name: str, description: str) -> Subgraph:
    return tool_agent(
        name=name,
        description=description,
        prompt="You count.",
        reads=READS,
        actions=ACTIONS,
        window=1,
        explain=_explain,
    )


async def _customer(connection: Connection, tenant: str, customer: str) -> dict[str, JsonValue]:
    return {"tier": "gold" if customer.startswith("gold") else "plain"}


_HOME = Path(__file__).parent

package = Package(
    name="counter",
    subgraphs=(
        _agent("counter", "Adds to counters."),
        _agent("other", "Also adds to counters."),
    ),
    actions=ACTIONS,
    policy=_HOME / "policy.yaml",
    customer=_customer,
    migrations=_HOME / "migrations",
)
