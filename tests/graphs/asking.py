"""Running a subgraph on a few messages."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from holdfast.contract.chat import ChatModel
from holdfast.contract.subgraph import AgentCard, Reads, Subgraph, TurnContext
from holdfast.domain.outcomes import Escalation, Handoff, Reply, Route
from holdfast.testing.graph_turn import transcript_of

AGENTS = (
    AgentCard(name="orders", description="Orders, parcels and payments."),
    AgentCard(name="knowledge", description="General questions about rules and how things work."),
    AgentCard(name="general", description="Greetings, thanks and small talk."),
)
TENANT = "acme"


@dataclass(frozen=True)
class Asker:
    model: Callable[[], ChatModel]
    reads: Reads

    def reading(self, reads: Reads) -> "Asker":
        return replace(self, reads=reads)

    async def ask(
        self,
        subgraph: Subgraph,
        *texts: str,
        tenant: str = TENANT,
        agents: tuple[AgentCard, ...] = AGENTS,
        asked_back: int = 0,
        agent: str | None = None,
        note: str = "",
    ) -> Route | Reply | Handoff | Escalation:
        """The outcome of a standalone run."""
        context = TurnContext(
            tenant=tenant,
            conversation="c-1",
            turn=len(texts),
            customer="ann",
            model=self.model(),
            reads=self.reads,
            agents=tuple(agent for agent in agents if agent.name != subgraph.name),
            asked_back=asked_back,
            agent=agent,
            note=note,
        )
        graph = subgraph.compiled()
        state = await graph.ainvoke({"transcript": transcript_of(*texts)}, context=context)
        outcome: Route | Reply | Handoff | Escalation = state["outcome"]
        return outcome
