"""The orders agent run standalone over the offline model and the shop's demonstration data."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pytest_asyncio import fixture as async_fixture

from holdfast import Escalation, Handoff, Reads, Reply, TurnContext
from holdfast.activities.resources import PooledReads
from holdfast.contract.chat import ChatModel
from holdfast.contract.subgraph import AgentCard
from holdfast.domain.outcomes import ActionState, Proposal
from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain
from holdfast.store.pool import open_pool
from holdfast.testing import action_results
from holdfast.testing.graph_turn import transcript_of
from holdfast_shop.demo_data import CUSTOMER
from holdfast_shop.hints import hints
from holdfast_shop.orders import orders
from tests.shop.acting import DEMO

KNOWLEDGE = AgentCard(name="knowledge", description="General questions about rules.")


@dataclass
class Turn:
    """A turn of the orders agent: it stops at a proposal, and goes on with `decided`."""

    model: ChatModel
    reads: Reads
    texts: tuple[str, ...]
    state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._graph = orders.compiled()
        self._graph.checkpointer = InMemorySaver()
        self._context = TurnContext(
            tenant=DEMO,
            conversation="c-1",
            turn=1,
            customer=CUSTOMER,
            model=self.model,
            reads=self.reads,
            agents=(KNOWLEDGE,),
        )

    async def _run(self, given: Any) -> "Turn":
        config = {"configurable": {"thread_id": "t"}}
        self.state = await self._graph.ainvoke(given, config, context=self._context)  # type: ignore[call-overload]
        return self

    async def start(self) -> "Turn":
        return await self._run({"transcript": transcript_of(*self.texts)})

    async def decided(
        self, state: ActionState, *, result: Any = None, error: str | None = None
    ) -> "Turn":
        """Goes on with one result for each proposed action."""
        results = action_results(self.proposal, state, result=result, error=error)
        return await self._run(Command(resume=[one.model_dump(mode="json") for one in results]))

    @property
    def proposal(self) -> Proposal:
        return Proposal.model_validate(self.state["__interrupt__"][0].value)

    @property
    def outcome(self) -> Reply | Handoff | Escalation:
        outcome: Reply | Handoff | Escalation = self.state["outcome"]
        return outcome

    @property
    def text(self) -> str:
        assert isinstance(self.outcome, Reply)
        return self.outcome.text

    @property
    def called(self) -> list[str]:
        """The names of the tools that the model called, in order."""
        return [
            call["function"]["name"]
            for message in self.state["exchange"]
            for call in message.get("tool_calls", ())
        ]


@dataclass
class OrdersAgent:
    client: ModelClient
    reads: Reads

    async def ask(self, *texts: str, model: ChatModel | None = None) -> Turn:
        """Messages in turns, the last one the customer's."""
        return await Turn(model or standalone_model(self.client), self.reads, texts).start()


@async_fixture
async def agent(shop_url: str) -> AsyncIterator[OrdersAgent]:
    client = ModelClient(Chain(), offline_transport=OfflineTransport([hints]))
    async with await open_pool(shop_url, read_only=True, max_size=2) as pool:
        yield OrdersAgent(client, PooledReads(pool))
    await client.aclose()
