"""Calling the shop's reads and actions as the platform does, with validated arguments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

import holdfast_shop
from holdfast import Action, ActionContext, Connection, Read, TurnContext
from holdfast.contract.subgraph import TurnOutcome
from holdfast_shop.actions import ACTIONS
from holdfast_shop.demo_data import CUSTOMER
from holdfast_shop.generate import generate
from holdfast_shop.reads import READS

DEMO = "demo"
TAU2 = "tau2"
MIGRATIONS = Path(holdfast_shop.__file__).parent / "migrations"

ACTION: dict[str, Action[Any]] = {action.name: action for action in ACTIONS}
READ: dict[str, Read[Any]] = {read.name: read for read in READS}
DATA = generate()


def context(
    connection: Connection, *, customer: str = CUSTOMER, tenant: str = DEMO
) -> ActionContext:
    return ActionContext(
        tenant=tenant,
        conversation="c-1",
        turn=1,
        customer=customer,
        idempotency_key="key-1",
        connection=connection,
    )


@dataclass(frozen=True)
class _Reads:
    """A connection that is open already."""

    opened: Connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        yield self.opened


async def read(
    connection: Connection,
    name: str,
    arguments: dict[str, Any],
    *,
    customer: str = CUSTOMER,
    tenant: str = DEMO,
) -> JsonValue:
    called = READ[name]
    turn = TurnContext(
        tenant=tenant,
        conversation="c-1",
        turn=1,
        customer=customer,
        model=cast(Any, None),  # reads ask none
        reads=_Reads(connection),
    )
    answer = await called.run(turn, called.arguments.model_validate(arguments))
    assert not isinstance(answer, TurnOutcome)
    return answer


async def execute(ctx: ActionContext, name: str, arguments: dict[str, Any]) -> JsonValue:
    """Execute in a savepoint: what a refused action has written is rolled back."""
    action = ACTION[name]
    async with ctx.transaction.transaction():
        return await action.execute(ctx, action.arguments.model_validate(arguments))


async def facts(ctx: ActionContext, name: str, arguments: dict[str, Any]) -> dict[str, JsonValue]:
    action = ACTION[name]
    assert action.facts is not None
    looking = replace(ctx, read_only=True)
    return await action.facts(looking, action.arguments.model_validate(arguments))


async def own_records(
    connection: Connection, customer: str = CUSTOMER, *, tenant: str = DEMO
) -> list[JsonValue]:
    """The customer's profile and orders, as they are in the database."""
    rows = await connection.fetch(
        """
        select record from shop.user_records where tenant = $1 and user_id = $2
        union all
        (select record from shop.order_records where tenant = $1 and user_id = $2 order by order_id)
        """,
        tenant,
        customer,
    )
    return [row["record"] for row in rows]


def items(order_id: str) -> list[str]:
    """The item ids of a generated order."""
    return [item["item_id"] for item in DATA["orders"][order_id]["items"]]


def variant(product: str, **options: str) -> str:
    """The item id of a generated variant."""
    found = next(p for p in DATA["products"].values() if p["name"] == product)
    return next(str(item_id) for item_id, v in found["variants"].items() if v["options"] == options)
