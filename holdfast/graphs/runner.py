"""Runs one step of a subgraph: from its start, from a snapshot, or from a proposal's results."""

import asyncio
import copy
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt
from pydantic import Field, TypeAdapter, ValidationError

from holdfast.contract.subgraph import Subgraph, TranscriptMessage, TurnContext
from holdfast.domain.errors import BrokenContract, ConfigurationError
from holdfast.domain.outcomes import (
    ActionResult,
    Escalation,
    Handoff,
    Proposal,
    Reply,
    Route,
)
from holdfast.graphs.checkpointer import SnapshotSaver
from holdfast.graphs.snapshots import shapes_of

_logger = logging.getLogger("holdfast.worker")

SNAPSHOT_PAUSE_SECONDS = 0.05
"""A snapshot is saved when supersteps that took this long are done and the graph is still running this
long after them: what is quicker to do again is not worth a round trip to Postgres."""

_CANCELLATIONS = 3
_CANCEL_SECONDS = 0.5
"""A cancelled node has this long to end, each of so many times."""

_OUTCOME: TypeAdapter[Route | Reply | Handoff | Escalation] = TypeAdapter(
    Annotated[Route | Reply | Handoff | Escalation, Field(discriminator="kind")]
)
"""What may be in the state at the end; a proposal is made through `propose` alone."""

SaveSnapshot = Callable[[bytes], Awaitable[None]]


@dataclass
class Progress:
    """Where the graph is, for heartbeats: the nodes that are running and since when (monotonic). Nodes
    have it in their config, under `KEY`, so that one that blocks its thread can be told from others."""

    KEY: ClassVar[str] = "__holdfast_progress"

    nodes: tuple[str, ...] = ()
    since: float = 0.0

    def begin(self, *nodes: str) -> None:
        """These run from now on, and no others."""
        self.nodes, self.since = nodes, time.monotonic()


@dataclass(frozen=True, kw_only=True)
class StepEnd:
    """How the step ended. `snapshot` is set for a proposal: the graph goes on from it."""

    outcome: Route | Reply | Handoff | Escalation | Proposal
    snapshot: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class StepStart:
    """Where the step starts.

    Without a `snapshot`, at the graph's entry with the `transcript`; with one, where it was taken.
    `results` go into the proposal that the snapshot waits in.
    """

    transcript: Sequence[TranscriptMessage]
    snapshot: bytes | None = None
    results: Sequence[ActionResult] | None = None


class SubgraphRunner:
    """A subgraph, compiled once, that can run any number of steps at the same time."""

    def __init__(self, subgraph: Subgraph) -> None:
        self.name = subgraph.name
        self.description = subgraph.description
        self._graph: CompiledStateGraph[Any, TurnContext, Any, Any] = subgraph.graph().compile()
        nested = [graph for _, graph in self._graph.get_subgraphs(recurse=True)]
        graphs = [graph for graph in (self._graph, *nested) if isinstance(graph, Pregel)]
        channels = [channel for graph in graphs for channel in graph.channels.values()]
        if any(isinstance(channel, DeltaChannel) for channel in channels):
            raise ConfigurationError(
                f"subgraph {subgraph.name!r} uses a DeltaChannel, whose history Holdfast does not "
                "keep; use a reducer"
            )
        self.graphs = shapes_of(self._graph)
        """The nodes and channels that a snapshot may need."""

    async def run(
        self,
        start: StepStart,
        context: TurnContext,
        *,
        progress: Progress,
        save_snapshot: SaveSnapshot,
    ) -> StepEnd:
        """Run until the graph ends or proposes.

        Raises:
            BrokenContract: the graph ended without an outcome.
            Exception: whatever a node raised.
        """
        saver = SnapshotSaver(start.snapshot)
        graph = copy.copy(self._graph)
        graph.checkpointer = saver
        config: RunnableConfig = {
            "configurable": {"thread_id": context.conversation, Progress.KEY: progress}
        }
        if start.results is not None:
            entry: Any = await self._resume(graph, config, start.results)
        elif start.snapshot is not None:
            entry = None
        else:
            entry = {"transcript": list(start.transcript)}

        keeper = asyncio.create_task(_keep_saving(saver, save_snapshot))
        run = asyncio.create_task(self._stream(graph, entry, config, context, progress))
        try:
            await asyncio.wait((run, keeper), return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                keeper.result()
            values, interrupts = await run
        finally:
            await _end(run, keeper)
        if interrupts:
            return StepEnd(outcome=self._proposal(interrupts), snapshot=saver.dump())
        return StepEnd(outcome=self._outcome(values))

    async def _resume(
        self,
        graph: CompiledStateGraph[Any, TurnContext, Any, Any],
        config: RunnableConfig,
        results: Sequence[ActionResult],
    ) -> Command[Any]:
        state = await graph.aget_state(config)
        answered = _next_interrupt(state.interrupts)
        return Command(resume={answered.id: [result.model_dump(mode="json") for result in results]})

    async def _stream(
        self,
        graph: CompiledStateGraph[Any, TurnContext, Any, Any],
        entry: Any,
        config: RunnableConfig,
        context: TurnContext,
        progress: Progress,
    ) -> tuple[dict[str, Any], list[Interrupt]]:
        values: dict[str, Any] = {}
        interrupts: dict[str, Interrupt] = {}
        running: dict[str, str] = {}
        stream: AsyncIterator[Any] = graph.astream(
            entry, config, context=context, stream_mode=["tasks", "values"], durability="sync"
        )
        async for mode, chunk in stream:
            if mode == "tasks":
                if "result" in chunk:
                    running.pop(chunk["id"], None)
                else:
                    running[chunk["id"]] = chunk["name"]
                progress.begin(*running.values())
            else:
                values = dict(chunk)
                for stopped in values.pop("__interrupt__", ()):
                    interrupts[stopped.id] = stopped
        return values, list(interrupts.values())

    def _proposal(self, interrupts: Sequence[Interrupt]) -> Proposal:
        try:
            return Proposal.model_validate(_next_interrupt(interrupts).value)
        except ValidationError as error:
            raise BrokenContract(
                f"subgraph {self.name!r} interrupted itself with something that is not a proposal; "
                "a node stops for people and actions through `propose`"
            ) from error

    def _outcome(self, values: dict[str, Any]) -> Route | Reply | Handoff | Escalation:
        try:
            return _OUTCOME.validate_python(values.get("outcome"))
        except ValidationError as error:
            raise BrokenContract(
                f"subgraph {self.name!r} ended without an outcome (Reply, Handoff or Escalation) "
                "in its state"
            ) from error


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel what has not ended; brought code that goes on in spite of it is left behind, and its late
    result is refused."""
    for _ in range(_CANCELLATIONS):
        for task in tasks:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
        if not pending:
            for task in tasks:
                if not task.cancelled():
                    task.exception()  # so that it counts as seen
            return
    _logger.error("a node goes on although its attempt has ended: it must not catch cancellations")


def _next_interrupt(interrupts: Sequence[Interrupt]) -> Interrupt:
    """Parallel nodes may propose at once: they are served one at a time, in the order of their ids,
    and the rest propose again when the graph goes on."""
    return min(interrupts, key=lambda interrupt: interrupt.id)


async def _keep_saving(saver: SnapshotSaver, save: SaveSnapshot) -> None:
    """Save the snapshot when work worth keeping lies behind the graph and more lies ahead of it."""
    saved_at, saved = time.monotonic(), 0
    while True:
        await asyncio.sleep(SNAPSHOT_PAUSE_SECONDS)
        worked = saver.last_superstep - saved_at >= SNAPSHOT_PAUSE_SECONDS
        running_on = time.monotonic() - saver.last_superstep >= SNAPSHOT_PAUSE_SECONDS
        if saver.supersteps > saved and worked and running_on:
            saved_at, saved = time.monotonic(), saver.supersteps
            await save(saver.dump())
