"""The agent that is measured: five nodes, one read, one call of the model, and one action to propose.

Each node is small, as the frame around it is what is measured.
"""

from pathlib import Path
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, JsonValue

from holdfast import (
    Action,
    ActionContext,
    Package,
    ProposedAction,
    Reply,
    Subgraph,
    Tool,
    TurnContext,
    TurnState,
    propose,
)

NODES = ("understand", "look_up", "think", "act", "answer")


class Add(BaseModel):
    """Add to a counter."""

    counter: str
    amount: int


async def _add(context: ActionContext, add: Add) -> JsonValue:
    await context.transaction.execute(
        "insert into bench.effects (tenant, counter, amount) values ($1, $2, $3)",
        context.tenant,
        add.counter,
        add.amount,
    )
    return {"added": add.amount}


ACTION = Action(name="add", description="Add to a counter.", arguments=Add, execute=_add)
TOOLS = (Tool.of(Add, name="add", description="Add to a counter."),)


class State(TurnState):
    """What the nodes hand on."""

    question: str
    total: int
    said: str
    calls: list[dict[str, Any]]


async def understand(state: State) -> dict[str, Any]:
    """Take the question out of the transcript."""
    return {"question": state["transcript"][-1].text.strip()}


async def look_up(state: State, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """The one read."""
    context = runtime.context
    async with context.reads.connection() as connection:
        total = await connection.fetchval(
            "select coalesce(sum(amount), 0)::int from bench.effects where tenant = $1 and counter = $2",
            context.tenant,
            context.customer,
        )
    return {"total": total}


async def think(state: State, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """The one call of the model."""
    completion = await runtime.context.model.chat(
        [
            {"role": "system", "content": f"The total is {state['total']}."},
            {"role": "user", "content": state["question"]},
        ],
        tools=TOOLS,
    )
    calls = [call.model_dump(mode="json") for call in completion.tool_calls]
    return {"said": completion.text or "", "calls": calls}


async def act(state: State) -> dict[str, Any]:
    """Propose what the model wants to do, if anything."""
    if not state["calls"]:
        return {}
    propose(
        [ProposedAction(name=call["name"], arguments=call["arguments"]) for call in state["calls"]],
        reason="The customer wants it.",
    )
    return {"said": "It is added."}


async def answer(state: State) -> dict[str, Any]:
    """End the turn."""
    return {"outcome": Reply(text=state["said"])}


def _graph() -> StateGraph[Any, TurnContext, Any, Any]:
    graph: StateGraph[Any, TurnContext, Any, Any] = StateGraph(State, context_schema=TurnContext)
    graph.add_node("understand", understand)
    graph.add_node("look_up", look_up)
    graph.add_node("think", think)
    graph.add_node("act", act)
    graph.add_node("answer", answer)
    graph.add_edge(START, "understand")
    graph.add_edge("understand", "look_up")
    graph.add_edge("look_up", "think")
    graph.add_edge("think", "act")
    graph.add_edge("act", "answer")
    graph.add_edge("answer", END)
    return graph


_HOME = Path(__file__).parent

package = Package(
    name="bench",
    subgraphs=(Subgraph(name="bench", description="Answers and adds.", graph=_graph),),
    actions=(ACTION,),
    policy=_HOME / "policy.yaml",
    migrations=_HOME / "migrations",
)
