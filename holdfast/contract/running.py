"""The run of a graph that the code belongs to, without an argument passed around."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

if TYPE_CHECKING:
    from holdfast.contract.subgraph import TranscriptMessage, TurnContext


@dataclass(frozen=True, kw_only=True)
class GraphRun:
    """A graph that runs for a step of a turn. `stopped` are the outermost tasks that an interrupt has stopped."""

    context: "TurnContext"
    transcript: "Sequence[TranscriptMessage]"
    loop: asyncio.AbstractEventLoop
    stopped: set[str] = field(default_factory=set)

    @property
    def said(self) -> "list[TranscriptMessage]":
        """The messages of this turn: when a graph goes on, the conversation may be further."""
        return [one for one in self.transcript if one.turn == self.context.turn]


_RUN: ContextVar[GraphRun | None] = ContextVar("holdfast_graph_run", default=None)


@contextmanager
def running(run: GraphRun) -> Iterator[None]:
    """What is called inside, in tasks and LangGraph's threads as well, belongs to this run."""
    token = _RUN.set(run)
    try:
        yield
    finally:
        _RUN.reset(token)


def current_run() -> GraphRun | None:
    """The run that this code belongs to; None outside of a turn."""
    return _RUN.get()


def current_turn() -> "TurnContext":
    """The turn that this code runs in: in nodes, tools, and whatever they call, in threads as well.

    Raises:
        LookupError: it runs outside of a turn.
    """
    run = _RUN.get()
    if run is None:
        raise LookupError(
            "there is no current turn: this code runs outside of a graph of Holdfast's"
        )
    return run.context


def stop(value: Any) -> Any:
    """LangGraph's `interrupt`, which the run hears of even where a node catches it."""
    try:
        return interrupt(value)
    except GraphInterrupt:
        if (run := _RUN.get()) is not None:
            outermost = get_config()["metadata"]["langgraph_checkpoint_ns"].partition("|")[0]
            run.stopped.add(outermost.rpartition(":")[2])
        raise
