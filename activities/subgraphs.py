"""The activity that runs a subgraph for one step of a turn."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.attempts import Attempt, attempting, is_passing, recording
from holdfast.activities.commit import StepCommitter
from holdfast.activities.fleet import needs
from holdfast.activities.pulse import Blockade
from holdfast.activities.refusals import this_activity
from holdfast.activities.resources import PooledReads, Resources
from holdfast.activities.routing import elsewhere
from holdfast.activities.step_commits import of_turn
from holdfast.activities.summaries import summarize, transcript_with
from holdfast.contract.subgraph import TranscriptMessage, TurnContext
from holdfast.domain import wire
from holdfast.domain.activity_protocol import (
    RepeatResult,
    RouteResult,
    StepOutcome,
    StepReport,
    StepRequest,
)
from holdfast.domain.errors import (
    BrokenContract,
    ModelUnavailable,
    NotServedHere,
    Permanent,
    StaleAttempt,
)
from holdfast.domain.events import (
    NewEvent,
    NodeBlockedWorker,
)
from holdfast.domain.fleet import missing
from holdfast.domain.outcomes import Escalation, Handoff, Proposal, Reply, Route
from holdfast.graphs.runner import Progress, StepEnd, StepStart
from holdfast.llm.ledger import StepLedger
from holdfast.llm.model import LedgeredModel
from holdfast.store.events import append_events
from holdfast.store.faults import reach
from holdfast.store.llm_calls import recorded_call
from holdfast.store.steps import (
    BegunStep,
    StepAttempt,
    Summary,
    begin_step,
    save_snapshot,
)

_TRIAGE_OUTCOMES = (Route, Reply, Escalation)
_AGENT_OUTCOMES = (Reply, Handoff, Escalation, Proposal)


class SubgraphActivities:
    """Runs subgraphs."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._committer = StepCommitter(resources)

    @activity.defn(name=wire.RUN_SUBGRAPH)
    async def run_subgraph(self, request: StepRequest) -> StepReport:
        """Run one step, and commit what it leaves behind in one transaction. After triage, run the
        first step of the agent that it has chosen, too, which saves a way through Temporal.

        A step that was committed before gives its recorded result again.
        """
        progress = Progress()
        attempt = Attempt(request.attempts, lost=request.lost_attempts, progress=progress)
        try:
            async with _waiting_for_models(request), attempting(attempt):
                return await self._steps(request, progress, attempt)
        finally:
            if attempt.blockades:
                await self._report(request, attempt.blockades)

    async def _steps(
        self, request: StepRequest, progress: Progress, attempt: Attempt
    ) -> StepReport:
        if (place := self._elsewhere(request.subgraph)) is not None:
            return StepReport(elsewhere=place)
        result = await self._run(request, progress, attempt)
        if not isinstance(result, RouteResult):
            return StepReport(result=result)
        if (place := self._elsewhere(result.agent)) is not None:
            return StepReport(routed=result, elsewhere=place)
        answered = await self._run(_first_step(request, result.agent), progress, attempt)
        if isinstance(answered, RouteResult):
            raise BrokenContract("only triage may route")
        return StepReport(result=answered, routed=result)

    async def _report(self, request: StepRequest, blockades: Sequence[Blockade]) -> None:
        """Say which nodes have kept the worker from doing anything else."""
        announced = [
            NewEvent(
                turn=request.turn,
                data=NodeBlockedWorker(node=one.node, where=one.where, seconds=one.seconds),
            )
            for one in blockades
        ]
        try:
            async with self._resources.pool.acquire() as connection, connection.transaction():
                await append_events(connection, request.key, announced)
        except Exception as error:
            if not is_passing(error):
                raise

    def _elsewhere(self, agent: str) -> str | None:
        """The package to whose workers a step is taken whose agent is not here."""
        resources = self._resources
        if resources.registry.has(agent):
            return None
        shared = wire.subgraphs_queue(resources.fleet.task_queue)
        return elsewhere(resources.fleet.place_of_agent(agent), f"agent {agent!r}", shared=shared)

    async def _run(
        self, request: StepRequest, progress: Progress, attempt: Attempt
    ) -> StepOutcome | RepeatResult:
        key = StepAttempt(
            tenant=request.tenant,
            conversation=request.conversation,
            turn=request.turn,
            step=request.step,
            thread=request.thread,
            run=this_activity(),
            attempt=activity.info().attempt,
        )
        begun = await begin_step(
            self._resources.pool, key, subgraph=request.subgraph, message=request.message
        )
        if begun.repeated is not None:
            return RepeatResult(recorded=begun.repeated)
        if begun.outcome is not None:
            return begun.outcome
        model = self._model(request, key, begun)
        starts_agent = request.step == request.thread and request.subgraph != wire.TRIAGE
        async with self._noting(request, model):
            progress.begin("summary")
            summary = await summarize(model, begun) if starts_agent else None
            progress.begin()
            end = await self._run_graph(request, key, begun, summary, model, progress)
        self._require_outcome(request, end)
        if isinstance(end.outcome, Proposal):
            progress.begin("rehearsal")  # which is brought code as well
        outcome = await self._committer.commit(
            request,
            key,
            begun,
            end,
            summary,
            model.events,
            degraded=model.usage.degraded,
            is_last=attempt.is_last,
        )
        await reach("after_commit")
        if isinstance(end.outcome, Proposal):
            await reach("after_proposal_commit")
        return outcome

    def _model(self, request: StepRequest, key: StepAttempt, begun: BegunStep) -> LedgeredModel:
        ledger = StepLedger(
            self._resources.pool,
            key,
            [recorded_call(row) for row in begun.calls],
            elsewhere=begun.spent_elsewhere,
            keep_requests=self._resources.keep_requests,
        )
        # What a brought graph makes of an answer is not known: a proposal, for all that anybody can tell.
        stand_in = self._resources.registry.is_builtin(request.subgraph)
        return LedgeredModel(self._resources.models, ledger, stand_in=stand_in)

    @asynccontextmanager
    async def _noting(self, request: StepRequest, model: LedgeredModel) -> AsyncIterator[None]:
        """What is permanent ends the step without a commit: record what its model calls came to alone."""
        try:
            yield
        except Permanent:
            if events := of_turn(request, model.events):
                async with recording(self._resources.pool, request.key) as connection:
                    await append_events(connection, request.key, events)
            raise

    async def _run_graph(
        self,
        request: StepRequest,
        key: StepAttempt,
        begun: BegunStep,
        summary: Summary | None,
        model: LedgeredModel,
        progress: Progress,
    ) -> StepEnd:
        registry = self._resources.registry
        agents = self._resources.fleet.agents()
        past = [seen for one in begun.standing if (seen := one.seen()) is not None]
        context = TurnContext(
            tenant=request.tenant,
            conversation=request.conversation,
            turn=request.turn,
            customer=begun.customer,
            model=model,
            reads=PooledReads(self._resources.reads),
            agents=tuple(card for card in agents if card.name != request.subgraph),
            agent=request.agent,
            note=request.note,
            language=begun.language,
            asked_back=request.asked_back,
            executed=tuple(one for one in past if one.state not in ("waiting", "under_way")),
            waiting=tuple(one for one in past if one.state in ("waiting", "under_way")),
        )
        resumes = request.step != request.thread
        said_before, messages = transcript_with(begun, summary)
        transcript = [TranscriptMessage.model_validate(one.model_dump()) for one in messages]
        if said_before:
            transcript.insert(0, TranscriptMessage(seq=0, turn=0, role="summary", text=said_before))
        start = StepStart(
            transcript=transcript,
            snapshot=await self._fitting(request, begun),
            results=begun.results if resumes and not begun.own_snapshot else None,
        )

        async def save(snapshot: bytes) -> None:
            if not await save_snapshot(self._resources.pool, key, snapshot):
                raise StaleAttempt(f"step {key.turn}.{key.step} has a newer attempt")

        return await registry.runner(request.subgraph).run(
            start, context, progress=progress, save_snapshot=save
        )

    async def _fitting(self, request: StepRequest, begun: BegunStep) -> bytes | None:
        """The snapshot to go on from. One that this worker's graph cannot go on from is left out where
        the graph can begin again, since nothing was proposed yet.

        Raises:
            NotServedHere: another worker's graph can go on from it.
            BrokenContract: nobody's can.
        """
        if begun.snapshot is None:
            return None
        needed = needs(begun.snapshot)
        if not missing(needed, self._resources.registry.runner(request.subgraph).graphs):
            return begun.snapshot
        if request.step == request.thread:
            return None
        if lacking := await self._resources.fleet.gaps(request.subgraph, needed):
            raise BrokenContract(
                f"subgraph {request.subgraph!r} cannot go on without {', '.join(lacking)}"
            )
        raise NotServedHere(f"graph of agent {request.subgraph!r} as it was")

    def _require_outcome(self, request: StepRequest, end: StepEnd) -> None:
        allowed = _TRIAGE_OUTCOMES if request.subgraph == wire.TRIAGE else _AGENT_OUTCOMES
        if not isinstance(end.outcome, allowed):
            raise BrokenContract(
                f"subgraph {request.subgraph!r} ended in a {type(end.outcome).__name__}; it may end "
                f"in {', '.join(kind.__name__ for kind in allowed)}"
            )


@asynccontextmanager
async def _waiting_for_models(request: StepRequest) -> AsyncIterator[None]:
    """Leave it to the workflow to wait while no model answers: it can tell the customer, be stopped, and
    call a person in the end. A workflow of older code knows nothing of that; there, Temporal retries."""
    try:
        yield
    except ModelUnavailable as outage:
        if not request.waits_for_model:
            raise
        raise ApplicationError(
            str(outage), outage.retry_after, type=ModelUnavailable.code, non_retryable=True
        ) from None  # a stack trace would go into the history with every try


def _first_step(triage: StepRequest, agent: str) -> StepRequest:
    """The step after triage."""
    step = triage.step + 1
    changes = {"step": step, "thread": step, "subgraph": agent, "message": None, "agent": None}
    return triage.model_copy(update={**changes, "asked_back": 0})
