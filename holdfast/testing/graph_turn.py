"""One graph, run alone: through the platform's own runner, without Temporal and without Postgres.

async with open_turn(courier, [tool_calls(("redirect", {"to": "Leeds"})), text("Done.")]) as turn:
    proposal = await turn.start("To Leeds, please")
    reply = await turn.resume(action_results(proposal, "rejected", error="Not today."))
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from holdfast.contract.subgraph import Reads, Subgraph, TranscriptMessage, TurnContext
from holdfast.domain.outcomes import (
    ActionResult,
    ActionState,
    Escalation,
    Handoff,
    Proposal,
    Reply,
    Route,
)
from holdfast.graphs.runner import Progress, StepStart, SubgraphRunner
from holdfast.llm.client import ModelClient
from holdfast.llm.model import standalone_model
from holdfast.llm.offline import OfflineTransport
from holdfast.llm.providers import Chain, Provider
from holdfast.testing.reads import NoReads
from holdfast.testing.scripted_model import Answer, ModelReply, ScriptedModel

StepOutcome = Route | Reply | Handoff | Escalation | Proposal


@dataclass
class GraphTurn:
    """A turn of a subgraph, step by step. Between two steps there is the snapshot alone, as on the platform: give
    `subgraph` another version, and it goes on from what the former has left."""

    subgraph: Subgraph
    context: TurnContext
    model: ScriptedModel
    """`model.requests` has what it was asked."""
    transcript: Sequence[TranscriptMessage] = ()
    snapshot: bytes | None = None
    """Where the graph waits for the results of its proposal."""

    async def start(self, *said: str) -> StepOutcome:
        """Run from the start. What was `said` are the customer's and the agents' messages in turns, the last one
        the customer's."""
        self.transcript = transcript_of(*said)
        self.context = replace(self.context, turn=self.transcript[-1].turn)
        return await self._run(StepStart(transcript=self.transcript))

    async def resume(self, results: Sequence[ActionResult]) -> StepOutcome:
        """Go on from the proposal, with what became of each of its actions (`action_results`)."""
        return await self._run(
            StepStart(transcript=self.transcript, snapshot=self.snapshot, results=results)
        )

    async def _run(self, start: StepStart) -> StepOutcome:
        end = await SubgraphRunner(self.subgraph).run(
            start, self.context, progress=Progress(), save_snapshot=_forget
        )
        self.snapshot = end.snapshot
        return end.outcome


@asynccontextmanager
async def open_turn(
    subgraph: Subgraph,
    script: Answer | Sequence[ModelReply],
    *,
    tenant: str = "test",
    customer: str = "customer-1",
    reads: Reads | None = None,
    **context: Any,
) -> AsyncIterator[GraphTurn]:
    """A turn of the subgraph, with a model that answers by the script.

    Args:
        subgraph: what a package brings.
        script: see `ScriptedModel`.
        tenant: whose conversation it is.
        customer: who speaks.
        reads: what the graph reads from: `GivenRows`, or `open_reads`; nothing without it.
        context: other fields of `TurnContext`, such as `agents` or `language`.
    """
    async with ScriptedModel(script) as model:
        provider = Provider(name="scripted", base_url=model.base_url, model="scripted")
        client = ModelClient(Chain(providers=(provider,)), offline_transport=OfflineTransport())
        try:
            given = TurnContext(
                tenant=tenant,
                conversation="c-1",
                turn=1,
                customer=customer,
                model=standalone_model(client),
                reads=reads or NoReads(),
                **context,
            )
            yield GraphTurn(subgraph, given, model)
        finally:
            await client.aclose()


def action_results(
    proposal: StepOutcome,
    state: ActionState = "executed",
    *,
    result: JsonValue = None,
    error: str | None = None,
    reviewer: str | None = None,
) -> list[ActionResult]:
    """What became of the actions of a proposal, the same of each: `result` of those that were executed, `error`
    (the refusal, or the reviewer's reason) of others.

    Raises:
        AssertionError: the step ended in something else.
    """
    assert isinstance(proposal, Proposal), f"no proposal: {proposal!r}"
    return [
        ActionResult(
            id=f"act_{number}",
            name=action.name,
            arguments=action.arguments,
            state=state,
            result=result,
            error=error,
            reviewer=reviewer,
        )
        for number, action in enumerate(proposal.actions, start=1)
    ]


def transcript_of(*said: str) -> list[TranscriptMessage]:
    """Messages of the customer and the assistant in turns; the last is the customer's."""
    return [
        TranscriptMessage(
            seq=seq,
            turn=(seq + 1) // 2,
            role="customer" if (len(said) - seq) % 2 == 0 else "assistant",
            text=text,
        )
        for seq, text in enumerate(said, start=1)
    ]


async def _forget(snapshot: bytes) -> None:
    """A step that dies is not run again here."""
