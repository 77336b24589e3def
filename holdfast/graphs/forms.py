"""What a brought graph may be: everything that can be known of it is checked when it is loaded."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, is_typeddict

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding, RunnableSequence
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel

from holdfast.contract.message_graphs import messages_of
from holdfast.contract.subgraph import Subgraph, TurnContext
from holdfast.domain.errors import ConfigurationError
from holdfast.langchain.chat_model import LLM_TYPE

Graph = Pregel[Any, Any, Any, Any]


def checked_graph(subgraph: Subgraph) -> Graph:
    """The subgraph's graph, compiled.

    Raises:
        ConfigurationError: Holdfast could not run it, or not keep what it keeps; the error says what to
            do instead.
    """
    graph = subgraph.compiled()
    if not isinstance(graph, Pregel):
        raise ConfigurationError(
            f"subgraph {subgraph.name!r} is a {type(graph).__name__}: `graph` is a StateGraph, one "
            "compiled, an @entrypoint, or a function that returns one"
        )
    for problem in (*_unkept(graph), *_unmapped(subgraph, graph)):
        raise ConfigurationError(f"subgraph {subgraph.name!r} {problem}")
    return graph


def graphs_in(graph: Graph) -> Iterator[tuple[str, Graph]]:
    """The graph and those nested in it, by the place of each: nodes divided by `|`, "" for the graph."""
    yield "", graph
    for place, one in graph.get_subgraphs(recurse=True):
        if isinstance(one, Pregel):
            yield place, one


def own_models(graph: Graph) -> list[str]:
    """The kinds of LangChain's chat models that the nodes ask, as far as their functions name them, other
    than the platform's own: what they answer is in no ledger."""
    found = {
        type(value).__name__
        for _, one in graphs_in(graph)
        for node in one.nodes.values()
        for value in _named_in(node)
        if isinstance(value, BaseChatModel) and value._llm_type != LLM_TYPE
    }
    return sorted(found)


def _graphs_of(node: Any) -> Iterator[Graph]:
    """Graphs that are a node, or that its function names."""
    for value in (*_parts(node.bound), *_named_in(node)):
        if isinstance(value, Pregel):
            yield value


def _named_in(node: Any) -> Iterator[Any]:
    for function in _functions(node.bound):
        for named in _named_by(function):
            yield from _parts(named)


def _parts(value: Any) -> Iterator[Any]:
    """A runnable, what it is bound to, and the steps of a sequence."""
    yield value
    if isinstance(value, RunnableBinding):
        yield from _parts(value.bound)
    elif isinstance(value, RunnableSequence):
        for step in value.steps:
            yield from _parts(step)


def _functions(bound: Any) -> Iterator[Any]:
    for part in getattr(bound, "steps", (bound,)):
        for name in ("func", "afunc"):
            if (function := getattr(part, name, None)) is not None:
                yield inspect.unwrap(getattr(function, "func", function))


def _named_by(function: Any) -> Iterator[Any]:
    try:
        named = inspect.getclosurevars(getattr(function, "__func__", function))
    except TypeError:  # it is no function of Python's
        return
    yield from (*named.nonlocals.values(), *named.globals.values())
    yield from vars(getattr(function, "__self__", None) or object).values()


def _unkept(graph: Graph) -> Iterator[str]:
    for place, one in graphs_in(graph):
        where = f" in its node {place!r}" if place else ""
        if any(isinstance(channel, DeltaChannel) for channel in one.channels.values()):
            yield f"uses a DeltaChannel{where}, whose history Holdfast does not keep; use a reducer"
        if isinstance(one.checkpointer, BaseCheckpointSaver):
            yield (
                f"has a checkpointer of its own{where}: compile it without one, Holdfast keeps its "
                "snapshots"
            )
        for name, node in one.nodes.items():
            if any(inner.checkpointer is False for inner in _graphs_of(node)):
                yield (
                    f"has a graph with checkpointer=False in its node {name!r}: leave that out, since what "
                    "stops in there could not go on"
                )
        if one.cache is not None:
            yield (
                f"caches the results of nodes{where}, by their input: one customer would get another's. "
                "Compile it without a cache, and keep what all may see in the node"
            )
        if one.interrupt_before_nodes or one.interrupt_after_nodes:
            yield (
                f"stops by `interrupt_before` or `interrupt_after`{where}, which nobody could answer: "
                "call `propose` in the node"
            )


def _unmapped(subgraph: Subgraph, graph: Graph) -> Iterator[str]:
    if _is_default(subgraph, "map_input") and _lacks(graph, "input_schema", "transcript"):
        yield (
            "has no channel 'transcript' in its input: extend TurnState, say `map_input`, or bring a "
            "graph that knows messages alone as `Subgraph.of_messages`"
        )
    if subgraph.map_input is messages_of and _lacks(graph, "input_schema", "messages"):
        yield "has no channel 'messages' in its input, which `Subgraph.of_messages` feeds"
    if _is_default(subgraph, "map_output") and _lacks(graph, "output_schema", "outcome"):
        yield "has no channel 'outcome' in its output: extend TurnState, or say `map_output`"
    if _is_default(subgraph, "map_context"):
        for place, one in graphs_in(graph):
            schema = one.context_schema
            if not isinstance(schema, type):
                continue
            if is_typeddict(schema) or not issubclass(TurnContext, schema):
                where = f" in its node {place!r}" if place else ""
                yield (
                    f"wants a {schema.__name__} as its context{where}: say `map_context`, which makes "
                    "one of the TurnContext"
                )


def _is_default(subgraph: Subgraph, name: str) -> bool:
    return getattr(subgraph, name) is getattr(Subgraph, name)


def _lacks(graph: Graph, schema: str, channel: str) -> bool:
    """Whether one of its schemas is known, and has no such channel."""
    if not isinstance(graph, CompiledStateGraph):
        return False
    channels: Mapping[str, Any] = graph.builder.schemas[getattr(graph.builder, schema)]
    return channel not in channels
