"""A brought package for tests: an agent that does what the customer's message says, once in every attempt.

`RUNS` counts how often a node or an action began, by tenant; `ENDED` how often it was over again.
"""

import asyncio
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, JsonValue

from holdfast import (
    Action,
    ActionContext,
    Connection,
    Package,
    ProposedAction,
    Reply,
    Subgraph,
    TurnContext,
    TurnState,
    propose,
)

RUNS: Counter[str] = Counter()
ENDED: Counter[str] = Counter()

ERRORS: dict[str, Exception] = {
    "OSError": OSError("disk full"),
    "TimeoutError": TimeoutError(),
    "ConnectionError": ConnectionResetError("reset by an API of the builder's"),
    "ConnectionDoesNotExist": asyncpg.ConnectionDoesNotExistError("another database is away"),
    "Serialization": asyncpg.SerializationError("in another database"),
    "DataError": asyncpg.DataError("invalid input for query argument $1"),
}

_DONE = {"outcome": Reply(text="Done.")}


class Nothing(BaseModel):
    """No arguments."""


async def _asynchronous(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    tenant = runtime.context.tenant
    RUNS[tenant] += 1
    try:
        match state["transcript"][-1].text.split():
            case ["raise", name]:
                raise ERRORS[name]
            case ["hang"]:
                await asyncio.Event().wait()
            case ["wait", seconds]:
                await asyncio.sleep(float(seconds))
            case ["block", seconds]:
                time.sleep(float(seconds))  # noqa: ASYNC251 what this package is for
            case ["block", "in", "a", "task", seconds]:
                await asyncio.gather(_sleep(float(seconds)))
            case ["keep", "the", "interpreter"]:
                re.match(r"(a+)+$", "a" * 60 + "b")
            case ["exit"]:
                sys.exit(3)
            case ["exit", "in", "a", "task"]:
                await asyncio.create_task(_exit())
            case ["raise", "at", "the", "base"]:
                raise AtTheBase
            case ["be", "cancelled"]:
                raise asyncio.CancelledError
            case ["die"]:
                os._exit(1)
            case ["lose", "postgres", times]:
                if RUNS[tenant] <= int(times):
                    async with runtime.context.reads.connection() as connection:
                        await _of_the_pool(connection).execute(
                            "select pg_terminate_backend(pg_backend_pid())"
                        )
            case ["lose", "cursor", times]:
                if RUNS[tenant] <= int(times):
                    async with runtime.context.reads.connection() as connection:
                        statement = await _of_the_pool(connection).prepare(
                            "select pg_terminate_backend(pg_backend_pid())"
                        )
                        await statement.fetch()
            case ["select", what]:
                async with runtime.context.reads.connection() as connection:
                    await connection.execute(f"select {what}")
            case ["propose", name]:
                (result,) = propose(
                    [ProposedAction(name=name, arguments={})], reason="They said so."
                )
                return {"outcome": Reply(text=f"{result.state}: {result.error}")}
    finally:
        ENDED[tenant] += 1
    return _DONE


def _of_the_pool(lent: Connection) -> Any:
    """The connection itself, which is ended here as if the server had done it."""
    return lent._con  # type: ignore[union-attr]


def _synchronous(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    RUNS[runtime.context.tenant] += 1
    match state["transcript"][-1].text.split():
        case ["block", seconds]:
            time.sleep(float(seconds))
        case ["exit"]:
            sys.exit(3)
    return _DONE


class AtTheBase(BaseException):
    """What some libraries raise to get past `except Exception`."""


async def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 what this package is for


async def _exit() -> None:
    sys.exit(3)


async def _hang(context: ActionContext, arguments: Nothing) -> JsonValue:
    RUNS[f"{context.tenant} action"] += 1
    try:
        await asyncio.Event().wait()
    finally:
        ENDED[f"{context.tenant} action"] += 1
    return None


async def _raise(context: ActionContext, arguments: Nothing) -> JsonValue:
    RUNS[f"{context.tenant} action"] += 1
    raise OSError("disk full")


async def _leave(context: ActionContext, arguments: Nothing) -> JsonValue:
    RUNS[f"{context.tenant} action"] += 1
    sys.exit(3)


async def _cancel_itself(context: ActionContext, arguments: Nothing) -> JsonValue:
    RUNS[f"{context.tenant} action"] += 1
    raise asyncio.CancelledError


async def _block(context: ActionContext, arguments: Nothing) -> JsonValue:
    RUNS[f"{context.tenant} action"] += 1
    time.sleep(4.5)  # noqa: ASYNC251 what this package is for
    return None


async def _block_in_a_task(context: ActionContext, arguments: Nothing) -> JsonValue:
    RUNS[f"{context.tenant} action"] += 1
    await asyncio.gather(_sleep(4.5))
    return None


def _graph(node: Any) -> StateGraph[Any, TurnContext, Any, Any]:
    graph: StateGraph[Any, TurnContext, Any, Any] = StateGraph(
        TurnState, context_schema=TurnContext
    )
    graph.add_node("obey", node)
    graph.add_edge(START, "obey")
    graph.add_edge("obey", END)
    return graph


package = Package(
    name="stubborn",
    subgraphs=(
        Subgraph(name="asynchronous", description="Obeys.", graph=lambda: _graph(_asynchronous)),
        Subgraph(name="synchronous", description="Obeys.", graph=lambda: _graph(_synchronous)),
    ),
    actions=(
        Action(name="hang", description="Hangs.", arguments=Nothing, execute=_hang),
        Action(
            name="hang_remotely",
            description="Hangs.",
            arguments=Nothing,
            execute=_hang,
            remote=True,
        ),
        Action(
            name="block_remotely",
            description="Blocks.",
            arguments=Nothing,
            execute=_block,
            remote=True,
        ),
        Action(
            name="block_in_a_task",
            description="Blocks.",
            arguments=Nothing,
            execute=_block_in_a_task,
            remote=True,
        ),
        Action(name="raise", description="Fails.", arguments=Nothing, execute=_raise),
        *(
            Action(
                name=f"{name}{where}",
                description="Ends itself.",
                arguments=Nothing,
                execute=execute,
                remote=bool(where),
            )
            for name, execute in (("exit", _leave), ("be_cancelled", _cancel_itself))
            for where in ("", "_remotely")
        ),
    ),
    policy=Path(__file__).parent / "policy.yaml",
)
