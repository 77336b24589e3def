"""Running a brought graph step by step through the runner, as the platform does."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from langgraph.graph import StateGraph

from holdfast.contract.subgraph import AnyGraph, Subgraph, TurnContext, TurnState
from holdfast.domain.outcomes import ActionResult, Proposal, ProposedAction, Reply
from holdfast.graphs.runner import Progress, StepEnd, StepStart, SubgraphRunner
from holdfast.testing.graph_turn import transcript_of
from tests.graphs.asking import Asker

Graph = StateGraph[Any, TurnContext, Any, Any]


def joined(old: list[str], new: list[str]) -> list[str]:
    return [*old, *new]


class Notes(TurnState):
    """What the nodes noted, in order."""

    notes: Annotated[list[str], joined]


def graph_of(state: type[TurnState], nodes: dict[str, Any]) -> Graph:
    """A graph with these nodes, and no edges yet."""
    graph: Graph = StateGraph(state, context_schema=TurnContext)
    for name, node in nodes.items():
        graph.add_node(name, node)
    return graph


async def tell(state: Notes) -> dict[str, Any]:
    """The last node: answers with everything that was noted."""
    return {"outcome": Reply(text="; ".join(sorted(state["notes"])) or "nothing")}


def done(proposal: Proposal, result: str = "") -> list[ActionResult]:
    """What the platform gives back when every action of a proposal was executed."""
    return [
        ActionResult(
            id=f"act_{action.name}",
            name=action.name,
            arguments=action.arguments,
            state="executed",
            result=result or f"{action.name} done",
        )
        for action in proposal.actions
    ]


def action(name: str) -> ProposedAction:
    return ProposedAction(name=name)


@dataclass
class Stepper:
    """Runs the steps of one graph. `runs` counts node runs (the nodes do it), `saved` has the
    snapshots that were saved while a step ran."""

    asker: Asker
    runs: Counter[str] = field(default_factory=Counter)
    saved: list[bytes] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)

    async def step(
        self,
        graph: AnyGraph | Callable[[], AnyGraph],
        *,
        snapshot: bytes | None = None,
        results: list[ActionResult] | None = None,
        **maps: Any,
    ) -> StepEnd:
        """One step, by a runner of its own: nothing but the snapshot connects it to another. `maps` are
        the subgraph's functions that map."""
        runner = SubgraphRunner(
            Subgraph(name="brought", description="A graph.", graph=graph, **maps)
        )
        context = TurnContext(
            tenant="acme",
            conversation="c-1",
            turn=1,
            customer="ann",
            model=self.asker.model(),
            reads=self.asker.reads,
        )
        start = StepStart(transcript=transcript_of("Hello."), snapshot=snapshot, results=results)
        return await runner.run(start, context, progress=self.progress, save_snapshot=self._save)

    async def proposal(
        self, graph: AnyGraph | Callable[[], AnyGraph], **options: Any
    ) -> tuple[Proposal, bytes]:
        """A step that ends in a proposal, with the snapshot that it waits in."""
        end = await self.step(graph, **options)
        assert isinstance(end.outcome, Proposal)
        assert end.snapshot is not None
        return end.outcome, end.snapshot

    async def _save(self, snapshot: bytes) -> None:
        self.saved.append(snapshot)
