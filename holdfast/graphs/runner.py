"""Runs one step of a subgraph: from its start, from a snapshot, or from a proposal's results."""

import asyncio
import copy
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphRecursionError
from langgraph.types import Command, Interrupt
from pydantic import Field, TypeAdapter, ValidationError

from holdfast.contract.running import GraphRun, running
from holdfast.contract.subgraph import Subgraph, TranscriptMessage, TurnContext
from holdfast.domain.errors import BrokenContract
from holdfast.domain.failures import in_words
from holdfast.domain.outcomes import (
    ActionResult,
    Escalation,
    Handoff,
    Proposal,
    Reply,
    Route,
)
from holdfast.graphs.checkpointer import SnapshotSaver
from holdfast.graphs.forms import Graph, checked_graph, own_models
from holdfast.graphs.parallel import answers, joined
from holdfast.graphs.snapshots import shapes_of

_logger = logging.getLogger("holdfast.worker")

SNAPSHOT_PAUSE_SECONDS = 0.05
"""A snapshot is saved when tasks that took this long are done and the graph is still running this
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
    """A subgraph, compiled once, that can run any number of steps at the same time.

    Raises:
        ConfigurationError: the graph is none that Holdfast can run; see `checked_graph`.
    """

    def __init__(self, subgraph: Subgraph) -> None:
        self.name = subgraph.name
        self.description = subgraph.description
        self._subgraph = subgraph
        self._graph = checked_graph(subgraph)
        if models := own_models(self._graph):
            _logger.warning(
                "subgraph %r asks a model of its own (%s): its calls are in no ledger and count against "
                "no bound, and a crash makes them again; HoldfastChatModel() in its place mends that",
                self.name,
                ", ".join(models),
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
            BrokenContract: the graph ended without an outcome, or a node caught its own interrupt, or the
                state has something in it that can't be kept.
            Exception: whatever a node raised.
        """
        saver = SnapshotSaver(start.snapshot)
        graph = copy.copy(self._graph)
        graph.checkpointer = saver
        config: RunnableConfig = {
            "configurable": {"thread_id": context.conversation, Progress.KEY: progress}
        }
        if start.results is not None:
            entry: Any = await self._resume(graph, saver, config, start.results)
        elif start.snapshot is not None:
            entry = None
        else:
            entry = self._subgraph.map_input(context, start.transcript)
        within = GraphRun(
            context=context, transcript=start.transcript, loop=asyncio.get_running_loop()
        )

        keeper = asyncio.create_task(_keep_saving(saver, save_snapshot))
        run = asyncio.create_task(self._stream(graph, entry, config, within, progress))
        try:
            await asyncio.wait((run, keeper), return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                keeper.result()
            values, interrupts = await run
        finally:
            await _end(run, keeper)
        if interrupts:
            proposal = joined(self._proposals(saver.in_order(interrupts)))
            return StepEnd(outcome=proposal, snapshot=saver.dump())
        return StepEnd(outcome=self._outcome(values))

    async def _resume(
        self,
        graph: Graph,
        saver: SnapshotSaver,
        config: RunnableConfig,
        results: Sequence[ActionResult],
    ) -> Command[Any]:
        waiting = saver.in_order((await graph.aget_state(config)).interrupts)
        return Command(resume=answers(waiting, self._proposals(waiting), results))

    async def _stream(
        self,
        graph: Graph,
        entry: Any,
        config: RunnableConfig,
        run: GraphRun,
        progress: Progress,
    ) -> tuple[Any, Sequence[Interrupt]]:
        """The graph's output, and the interrupts that it waits in."""
        values: Any = None
        has_stopped = False
        finished: set[str] = set()
        tasks: dict[str, str] = {}
        with running(run):
            stream: AsyncIterator[Any] = graph.astream(
                entry,
                config,
                context=self._subgraph.map_context(run.context),
                stream_mode=["tasks", "values"],
                durability="sync",
            )
            try:
                async for mode, chunk in stream:
                    if mode == "tasks":
                        if "result" in chunk:
                            tasks.pop(chunk["id"], None)
                            if not chunk["interrupts"] and not chunk["error"]:
                                finished.add(chunk["id"])
                        else:
                            tasks[chunk["id"]] = chunk["name"]
                        progress.begin(*tasks.values())
                    elif isinstance(chunk, dict) and "__interrupt__" in chunk:
                        has_stopped = True
                    else:
                        values = chunk
            except GraphRecursionError:
                raise BrokenContract(
                    f"subgraph {self.name!r} did not end within its recursion limit"
                ) from None
        interrupts = (await graph.aget_state(config)).interrupts if has_stopped else ()
        if run.stopped & finished or (run.stopped and not interrupts):
            raise BrokenContract(
                f"subgraph {self.name!r} went on although `propose` had stopped one of its nodes: catch errors of "
                "your own around it, not `Exception`, and hand over in another step"
            )
        return values, interrupts

    def _proposals(self, interrupts: Sequence[Interrupt]) -> list[Proposal]:
        try:
            return [Proposal.model_validate(one.value) for one in interrupts]
        except ValidationError as error:
            raise BrokenContract(
                f"subgraph {self.name!r} interrupted itself with something that is not a proposal; "
                "a node stops for people and actions through `propose`"
            ) from error

    def _outcome(self, values: Any) -> Route | Reply | Handoff | Escalation:
        try:
            mapped = self._subgraph.map_output(values)
        except Exception as error:
            raise BrokenContract(
                f"the output of subgraph {self.name!r} can't be mapped: {in_words(error)}"
            ) from error
        try:
            return _OUTCOME.validate_python(mapped)
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


async def _keep_saving(saver: SnapshotSaver, save: SaveSnapshot) -> None:
    """Save the snapshot when work worth keeping lies behind the graph and more lies ahead of it."""
    saved_at, saved = time.monotonic(), 0
    while True:
        await asyncio.sleep(SNAPSHOT_PAUSE_SECONDS)
        worked = saver.last_progress - saved_at >= SNAPSHOT_PAUSE_SECONDS
        running_on = time.monotonic() - saver.last_progress >= SNAPSHOT_PAUSE_SECONDS
        if saver.progress > saved and worked and running_on:
            saved_at, saved = time.monotonic(), saver.progress
            await save(saver.dump())
