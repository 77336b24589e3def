"""Which node of a graph is running: the name under which the ledger keeps its model calls."""

from dataclasses import dataclass
from typing import Any

from langgraph.config import get_config
from langgraph.runtime import get_runtime

OUTSIDE = "-"

_PUSH = "__pregel_push"
"""LangGraph's mark of a task that a `Send` or a `@task` call started: its index follows it."""


@dataclass(frozen=True)
class RunningNode:
    """One execution of a node.

    `name` is the same in every attempt at the step and after an interrupt: the names of the graphs
    and of the node from the outside in, the superstep of the innermost graph, and the index of each
    branch that a `Send` or a `@task` opened there: `orders.agent:3`, `fan_out:2#1`. LangGraph tells
    a nested node neither the superstep nor the branch of the graphs around it; equal requests of
    such nodes are told apart by how often they occurred.

    `attempt` counts executions under a retry policy of LangGraph's, from 1.
    """

    name: str
    attempt: int


def running_node() -> RunningNode:
    """The node that calls; outside of a graph its name is `-`."""
    try:
        metadata = get_config()["metadata"]
        namespace: str = metadata["langgraph_checkpoint_ns"]
        step: int = metadata["langgraph_step"]
    except (RuntimeError, KeyError):
        return RunningNode(OUTSIDE, 1)
    # Each level is "{node}:{task id}", or a bare count where one node runs a graph repeatedly.
    levels = [level.partition(":")[0] for level in namespace.split("|")]
    execution = get_runtime().execution_info
    return RunningNode(
        name=f"{'.'.join(levels)}:{step}{_branches(metadata.get('langgraph_path', ()))}",
        attempt=1 if execution is None else execution.node_attempt,
    )


def _branches(path: tuple[Any, ...]) -> str:
    if not path or path[0] != _PUSH:
        return ""
    # (push, index, False) is a Send; (push, path of the caller, index, True) a @task.
    outer = _branches(path[1]) if isinstance(path[1], tuple) else ""
    return f"{outer}#{path[-2]}"
