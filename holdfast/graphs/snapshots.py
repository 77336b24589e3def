"""What a graph needs to go on from a snapshot, and what a compiled graph has."""

from collections.abc import Iterator
from typing import Any

from langgraph.types import Send

from holdfast.domain.fleet import GraphShape
from holdfast.graphs.checkpointer import SnapshotSaver
from holdfast.graphs.forms import Graph, graphs_in

_TASKS = "__pregel_tasks"
"""LangGraph's channel of nodes that a `Send` has called."""

_TO_NODE = "branch:to:"
"""How LangGraph's channels begin that only say which node is next."""


def shapes_of(graph: Graph) -> dict[str, GraphShape]:
    """The nodes and channels of the graph, and of those nested in it."""
    return {
        place: GraphShape(nodes=frozenset(one.nodes), channels=_plain(one.channels))
        for place, one in graphs_in(graph)
    }


def needs_of(snapshot: bytes) -> dict[str, GraphShape]:
    """The nodes that are next, and the channels that have something in them.

    Raises:
        Exception: the snapshot cannot be read.
    """
    found: dict[str, GraphShape] = {}
    for namespace, checkpoint, writes in SnapshotSaver(snapshot).contents():
        place = "|".join(part.partition(":")[0] for part in namespace.split("|"))
        values = checkpoint["channel_values"]
        written = {channel: value for channel, value in writes if not _is_internal(channel)}
        called = [
            *values.get(_TASKS, ()),
            *(value for channel, value in writes if channel == _TASKS),
        ]
        channels = [name for name in (*values, *written) if not _is_internal(name)]
        nodes = frozenset(
            [name.removeprefix(_TO_NODE) for name in channels if name.startswith(_TO_NODE)]
            + [node for one in called for node in _called(one)]
        )
        before = found.get(place, GraphShape())
        found[place] = GraphShape(
            nodes=before.nodes | nodes, channels=before.channels | _plain(channels)
        )
    return found


def _called(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list | tuple) else (value,):
        if isinstance(one, Send):
            yield one.node


def _is_internal(channel: str) -> bool:
    return channel.startswith("__")


def _plain(channels: Any) -> frozenset[str]:
    """Without LangGraph's own channels, and those that stand for a node."""
    return frozenset(
        name for name in channels if not _is_internal(name) and not name.startswith(_TO_NODE)
    )
