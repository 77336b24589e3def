"""The tools of the orders agent, and what a call of one becomes: a read, a proposal, a passing-on."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import JsonValue, ValidationError

from holdfast import (
    ActionResult,
    ProposedAction,
    Tool,
    ToolCall,
    TurnContext,
    handover_tool,
    with_again,
)
from holdfast_shop.actions import ACTIONS
from holdfast_shop.reads import READS, Read, ReadError, Scope

TRANSFER = "transfer_to_human_agents"
HAND_OVER = "hand_over_to"

CallKind = Literal["read", "write", "pass_on"]

_READS: dict[str, Read[Any]] = {read.name: read for read in READS}
_WRITES = frozenset(action.name for action in ACTIONS)
_TOOLS = (
    *(
        Tool.of(
            read.arguments,
            name=read.name,
            description=read.description,
            lenient=read.name == TRANSFER,
        )
        for read in READS
    ),
    *(
        with_again(Tool.of(act.arguments, name=act.name, description=act.description))
        for act in ACTIONS
    ),
)


def tools_for(context: TurnContext) -> tuple[Tool, ...]:
    """The reads, the writes, and the way to another agent where there is one."""
    return (*_TOOLS, handover_tool(context.agents)) if context.agents else _TOOLS


def kind_of(call: ToolCall) -> CallKind:
    """What is done about a call; an unknown name is answered like a read that fails."""
    if call.name in _WRITES:
        return "write"
    return "pass_on" if call.name == HAND_OVER else "read"


async def run_read(call: ToolCall, context: TurnContext) -> JsonValue:
    """The answer to a call of a read: its result, or `{"error": reason}`."""
    read = _READS.get(call.name)
    if read is None:
        return {"error": f"There is no tool {call.name!r}."}
    try:
        arguments = read.arguments.model_validate(call.arguments)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        return {"error": f"The arguments do not fit: {problems}"}
    scope = Scope(tenant=context.tenant, customer=context.customer)
    try:
        async with context.reads.connection() as connection:
            return await read.run(connection, scope, arguments)
    except ReadError as error:
        return {"error": str(error)}


def proposed(calls: Sequence[ToolCall]) -> list[ProposedAction]:
    """The actions that calls of writes ask for, in order."""
    return [ProposedAction(name=call.name, arguments=call.arguments) for call in calls]


def told(result: ActionResult) -> JsonValue:
    """What the model gets to read about an action."""
    if result.ok:
        return result.result
    if result.state == "repeated":
        return {"error": result.error, "state": result.state, "earlier_result": result.result}
    return {"error": result.error or f"It was {result.state}.", "state": result.state}


def as_text(value: JsonValue) -> str:
    """A tool's answer as the text of a message."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
