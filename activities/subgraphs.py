"""The activity that runs a subgraph for one step of a turn."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, assert_never

from pydantic import TypeAdapter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.attempts import Attempt, attempting, is_passing, recording
from holdfast.activities.bounded import bounded, bounded_note, bounded_proposal, reply_cut
from holdfast.activities.circumstances import Origin
from holdfast.activities.denials import note_denials
from holdfast.activities.fleet import needs
from holdfast.activities.judging import in_thread
from holdfast.activities.proposals import (
    Judgement,
    ask_for_approval,
    judged,
    recorded_actions,
)
from holdfast.activities.pulse import Blockade
from holdfast.activities.rehearsal import LONGEST_SECONDS, RehearsedAction, rehearse
from holdfast.activities.repeats import without_repeats
from holdfast.activities.services import PooledReads, Services
from holdfast.activities.serving import elsewhere
from holdfast.activities.summaries import summarize, transcript_with
from holdfast.activities.waiting import patiently
from holdfast.contract.subgraph import TranscriptMessage, TurnContext
from holdfast.domain import wire
from holdfast.domain.conversation import TurnResult, inline
from holdfast.domain.endings import Account
from holdfast.domain.errors import (
    BrokenContract,
    ModelUnavailable,
    NotServedHere,
    Permanent,
    StaleAttempt,
)
from holdfast.domain.events import (
    ActionNotExecuted,
    ApprovalRequested,
    AwaitingHuman,
    NewEvent,
    NewMessageSent,
    NodeBlockedWorker,
    Payload,
    TurnEnded,
    TurnHandedOff,
    TurnRouted,
)
from holdfast.domain.fleet import missing
from holdfast.domain.outcomes import Citation, Escalation, Handoff, Proposal, Reply, Route
from holdfast.domain.past import PastState
from holdfast.domain.steps import (
    Ended,
    HandedOff,
    Proposed,
    Repeated,
    Routed,
    StepReport,
    StepRequest,
    StepResult,
)
from holdfast.domain.texts import customer_text
from holdfast.domain.words import language_of
from holdfast.graphs.runner import Progress, StepEnd, StepStart
from holdfast.llm.ledger import StepLedger
from holdfast.llm.model import LedgeredModel
from holdfast.notifications.outbox import enqueue_request
from holdfast.store.audit import append_audit
from holdfast.store.clock import database_now
from holdfast.store.events import append_events
from holdfast.store.faults import reach
from holdfast.store.llm_calls import CallScope, recorded_call
from holdfast.store.pool import Connection
from holdfast.store.standing import account_of
from holdfast.store.steps import (
    BegunStep,
    NewApproval,
    NewMessage,
    StepCommit,
    StepKey,
    Summary,
    begin_step,
    commit_step,
    save_snapshot,
)
from holdfast.store.turns import spoken

_TOO_MANY_WAIT = (
    "This needs a person's approval, and too many requests of this conversation wait for one."
)

_FIRST_OF_AN_AGENT = 2
"""Triage is step 1."""

_TRIAGE_OUTCOMES = (Route, Reply, Escalation)
_AGENT_OUTCOMES = (Reply, Handoff, Escalation, Proposal)

_WHY_A_PERSON: dict[PastState, str] = {
    "unclear": "nobody knows the outcome of",
    "not_undone": "could not undo",
}

_RESULT: TypeAdapter[Routed | HandedOff | Ended | Proposed | Repeated] = TypeAdapter(StepResult)


class SubgraphActivities:
    """Runs subgraphs."""

    def __init__(self, services: Services) -> None:
        self._services = services

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
        if not isinstance(result, Routed):
            return StepReport(result=result)
        if (place := self._elsewhere(result.agent)) is not None:
            return StepReport(routed=result, elsewhere=place)
        answered = await self._run(_first_step(request, result.agent), progress, attempt)
        if isinstance(answered, Routed):
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
            async with self._services.pool.acquire() as connection, connection.transaction():
                await append_events(connection, request.tenant, request.conversation, announced)
        except Exception as error:
            if not is_passing(error):
                raise

    def _elsewhere(self, agent: str) -> str | None:
        """The package to whose workers a step is taken whose agent is not here."""
        services = self._services
        if services.registry.has(agent):
            return None
        shared = wire.subgraphs_queue(services.fleet.task_queue)
        return elsewhere(services.fleet.place_of_agent(agent), f"agent {agent!r}", shared=shared)

    async def _run(self, request: StepRequest, progress: Progress, attempt: Attempt) -> StepResult:
        info = activity.info()
        key = StepKey(
            tenant=request.tenant,
            conversation=request.conversation,
            turn=request.turn,
            step=request.step,
            thread=request.thread,
            run=f"{info.workflow_run_id}:{info.activity_id}",
            attempt=info.attempt,
        )
        begun = await begin_step(
            self._services.pool, key, subgraph=request.subgraph, message=request.message
        )
        if begun.repeated is not None:
            return Repeated(recorded=begun.repeated)
        if begun.outcome is not None:
            return _recorded(key, begun.outcome)
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
        outcome = await self._commit(
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
        return _recorded(key, outcome)

    def _model(self, request: StepRequest, key: StepKey, begun: BegunStep) -> LedgeredModel:
        scope = CallScope.model_validate(key.model_dump(exclude={"run", "attempt"}))
        ledger = StepLedger(
            self._services.pool,
            scope,
            [recorded_call(row) for row in begun.calls],
            elsewhere=begun.spent_elsewhere,
            keep_requests=self._services.keep_requests,
        )
        # What a brought graph makes of an answer is not known: a proposal, for all that anybody can tell.
        stand_in = self._services.registry.is_builtin(request.subgraph)
        return LedgeredModel(self._services.models, ledger, stand_in=stand_in)

    @asynccontextmanager
    async def _noting(self, request: StepRequest, model: LedgeredModel) -> AsyncIterator[None]:
        """What is permanent ends the step without a commit: record what its model calls came to alone."""
        try:
            yield
        except Permanent:
            if events := _of_turn(request, model.events):
                async with recording(
                    self._services.pool, request.tenant, request.conversation
                ) as connection:
                    await append_events(connection, request.tenant, request.conversation, events)
            raise

    async def _run_graph(
        self,
        request: StepRequest,
        key: StepKey,
        begun: BegunStep,
        summary: Summary | None,
        model: LedgeredModel,
        progress: Progress,
    ) -> StepEnd:
        registry = self._services.registry
        agents = self._services.fleet.agents()
        past = [seen for one in begun.standing if (seen := one.seen()) is not None]
        context = TurnContext(
            tenant=request.tenant,
            conversation=request.conversation,
            turn=request.turn,
            customer=begun.customer,
            model=model,
            reads=PooledReads(self._services.reads),
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
            if not await save_snapshot(self._services.pool, key, snapshot):
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
        if not missing(needed, self._services.registry.runner(request.subgraph).graphs):
            return begun.snapshot
        if request.step == request.thread:
            return None
        if lacking := await self._services.fleet.gaps(request.subgraph, needed):
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

    async def _commit(
        self,
        request: StepRequest,
        key: StepKey,
        begun: BegunStep,
        end: StepEnd,
        summary: Summary | None,
        noted: Sequence[Payload],
        *,
        degraded: bool,
        is_last: bool,
    ) -> dict[str, Any]:
        match end.outcome:
            case Route():
                commit = await self._route(request, end.outcome)
            case Handoff():
                commit = await self._hand_off(request, end.outcome)
            case Reply():
                bounds = self._services.models.bounds
                reply = bounded(end.outcome, bounds)
                account = Account()
                if request.step > _FIRST_OF_AN_AGENT:  # before it, nothing can have been proposed
                    account = await self._account(request)
                if account.half_done:
                    called = _calling(reply, account, begun.language)
                    commit = _end(request, called, account, degraded=degraded)
                else:
                    commit = _end(request, reply, Account(), degraded=degraded)
                if len(end.outcome.text) > bounds.reply_characters:
                    noted = (*noted, reply_cut(request, bounds))
            case Escalation():
                bounds = self._services.models.bounds
                account = await self._account(request)
                # Triage calls a person without having routed, so nobody may have told the language yet.
                said = next(
                    (m.text for m in reversed(begun.transcript) if m.role == "customer"), ""
                )
                language = spoken(begun.language, said, language_of)
                outcome = _telling(bounded(end.outcome, bounds), account, language)
                commit = _end(request, outcome, account, degraded=degraded)
                if len(end.outcome.text) > bounds.reply_characters:
                    noted = (*noted, reply_cut(request, bounds))
            case Proposal():
                origin = _origin(request, begun)
                self._services.fleet.require_actions(
                    tuple(action.name for action in end.outcome.actions)
                )
                rehearsed = await rehearse(
                    self._services,
                    origin,
                    end.outcome.actions,
                    is_last=is_last,
                    seconds=min(request.action_seconds, LONGEST_SECONDS),
                )
                left = StepCommit(
                    outcome={},
                    snapshot=end.snapshot,
                    summary=summary,
                    events=_of_turn(request, noted),
                )
                proposal = bounded_proposal(end.outcome, self._services.models.bounds)
                return await patiently(
                    lambda: self._commit_proposal(
                        request, key, origin, proposal, rehearsed, left, degraded=degraded
                    )
                )
            case _:
                assert_never(end.outcome)
        await reach("before_commit")
        return await commit_step(
            self._services.pool,
            key,
            commit.model_copy(
                update={
                    "summary": summary,
                    "events": (*_of_turn(request, noted), *commit.events),
                }
            ),
        )

    async def _commit_proposal(
        self,
        request: StepRequest,
        key: StepKey,
        origin: Origin,
        proposal: Proposal,
        rehearsed: Sequence[RehearsedAction],
        left: StepCommit,
        *,
        degraded: bool,
    ) -> dict[str, Any]:
        """Judge a proposal and commit it, with what else the step has `left`, in one transaction.

        Raises:
            LockTaken: others count what it counts.
        """
        async with judged(self._services, origin, rehearsed) as (connection, judgement):
            judgement = await without_repeats(
                self._services, connection, origin, proposal, judgement
            )
            now = await database_now(connection) if judgement.asking else origin.opened_at
            propose = partial(
                _propose, request, origin, proposal, judgement, now=now, degraded=degraded
            )
            commit = await in_thread("while_scheduling", propose)
            commit = commit.model_copy(
                update={
                    "snapshot": left.snapshot,
                    "summary": left.summary,
                    "events": (*left.events, *commit.events),
                }
            )
            if commit.approval is not None:
                commit = await self._ask(connection, request, commit, commit.approval)
            await note_denials(
                connection,
                tenant=request.tenant,
                conversation=request.conversation,
                agent=request.subgraph,
                actions=commit.actions,
            )
            await reach("before_commit")
            return await commit_step(connection, key, commit)

    async def _account(self, request: StepRequest) -> Account:
        """What was done in the turn that a person goes on with, and what was not."""
        async with self._services.pool.acquire() as connection:
            return await account_of(connection, request.tenant, request.conversation, request.turn)

    async def _ask(
        self,
        connection: Connection,
        request: StepRequest,
        commit: StepCommit,
        asked: NewApproval,
    ) -> StepCommit:
        """Write down who is asked, and the notifications of it; the commit then names these."""
        approval = asked.approval
        await append_audit(
            connection,
            tenant=request.tenant,
            kind="approval_requested",
            conversation=request.conversation,
            subject=approval.id,
            data={
                "agent": asked.agent,
                "digest": approval.args_digest,
                "requirements": [one.model_dump(mode="json") for one in approval.requirements],
                "expires_at": approval.expires_at.isoformat(),
                "policy": asked.policy_name,
                "policy_version": asked.policy_version,
                "policy_digest": asked.policy_digest,
                "actions": [
                    {"id": one.id, "name": one.name, "arguments": one.arguments, "rule": one.rule}
                    for one in commit.actions
                ],
            },
        )
        deliveries = await enqueue_request(
            connection,
            self._services.notifications,
            tenant=request.tenant,
            conversation=request.conversation,
            asked=asked,
            actions=commit.actions,
        )
        return commit.model_copy(
            update={"outcome": {**commit.outcome, "deliveries": list(deliveries)}}
        )

    async def _route(self, request: StepRequest, route: Route) -> StepCommit:
        await self._require_agent(request, route.agent)
        routed = TurnRouted(
            agent=route.agent,
            intent=route.intent,
            confidence=route.confidence,
            priority=route.priority,
            language=route.language,
        )
        return StepCommit(
            outcome=Routed(agent=route.agent, priority=route.priority).model_dump(mode="json"),
            agent=route.agent,
            priority=route.priority,
            language=route.language,
            events=_of_turn(request, [routed]),
        )

    async def _hand_off(self, request: StepRequest, handoff: Handoff) -> StepCommit:
        await self._require_agent(request, handoff.to)
        handoff = bounded_note(handoff)
        passed_on = TurnHandedOff(from_=request.subgraph, to=handoff.to, note=handoff.note)
        return StepCommit(
            outcome=HandedOff(to=handoff.to, note=handoff.note).model_dump(mode="json"),
            agent=handoff.to,
            events=_of_turn(request, [passed_on]),
        )

    async def _require_agent(self, request: StepRequest, agent: str) -> None:
        is_known = await self._services.fleet.knows_agent(agent)
        if not is_known or agent == request.subgraph:
            known = [card.name for card in self._services.fleet.agents()]
            raise BrokenContract(
                f"subgraph {request.subgraph!r} names the agent {agent!r}; it may name "
                f"{', '.join(name for name in known if name != request.subgraph)}"
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


def _origin(request: StepRequest, begun: BegunStep) -> Origin:
    return Origin(
        tenant=request.tenant,
        conversation=request.conversation,
        turn=request.turn,
        step=request.step,
        agent=request.subgraph,
        customer=begun.customer,
        priority=begun.priority,
        language=begun.language,
        opened_at=begun.opened_at,
    )


def _propose(
    request: StepRequest,
    origin: Origin,
    proposal: Proposal,
    judgement: Judgement,
    *,
    now: datetime,
    degraded: bool,
) -> StepCommit:
    """The commit of a proposal: blocked, allowed, or asked about."""
    if judgement.asking and not judgement.blocked and not request.may_park:
        judgement = judgement.block("denied", _TOO_MANY_WAIT)
    proposed = Proposed(actions=len(judgement.actions), blocked=judgement.blocked)
    if judgement.blocked or not judgement.asking:
        actions = recorded_actions(origin, judgement, approval=None)
        return StepCommit(
            outcome=proposed.model_dump(mode="json"),
            actions=actions,
            events=_of_turn(
                request,
                [
                    ActionNotExecuted(action=action.id, name=action.name, state=action.state)
                    for action in actions
                    if judgement.blocked
                ],
            ),
        )
    asked = ask_for_approval(
        origin,
        judgement,
        reason=proposal.reason,
        evidence=proposal.evidence,
        now=now,
    )
    approval = asked.approval
    holding = proposal.holding_message or customer_text("asked_colleague", origin.language)
    result = TurnResult(
        turn=request.turn,
        status="awaiting_approval",
        reply=inline(holding),
        approvals=(approval.id,),
        degraded=degraded,
    )
    requested = ApprovalRequested(
        approval=approval.id,
        roles=approval.roles,
        expires_at=approval.expires_at,
        actions=tuple(action.proposed.name for action in judgement.actions),
    )
    return StepCommit(
        outcome=proposed.model_copy(update={"approval": approval, "result": result}).model_dump(
            mode="json"
        ),
        turn_status="awaiting_approval",
        turn_result=result,
        messages=(
            NewMessage(
                role="assistant",
                author=request.subgraph,
                text=holding,
                degraded=degraded,
            ),
        ),
        events=_of_turn(request, [requested, NewMessageSent(role="assistant")]),
        actions=recorded_actions(origin, judgement, approval=approval.id),
        approval=asked,
    )


def _telling(escalation: Escalation, account: Account, language: str) -> Escalation:
    """The escalation with what the customer is told: the agent's words, and what was done."""
    first = escalation.text.strip() or customer_text("handed_over", language)
    parts = [part for part in (first, account.lines(language)) if part]
    return escalation.model_copy(update={"text": "\n\n".join(parts)})


def _calling(reply: Reply, account: Account, language: str) -> Escalation:
    """The reply as one with which a person is called, with what was done and what was not."""
    parts = (reply.text, account.lines(language), customer_text("person_goes_on", language))
    found: dict[PastState | None, list[str]] = {}
    for one in account.actions:
        found.setdefault(one.came_to, []).append(one.name)
    reasons = [
        f"{said} {', '.join(names)}"
        for came_to, said in _WHY_A_PERSON.items()
        if (names := found.get(came_to))
    ]
    reason = "; ".join(reasons) or "a part of it has failed"
    return Escalation(reason=reason, text="\n\n".join(parts))


def _end(
    request: StepRequest, outcome: Reply | Escalation, account: Account, *, degraded: bool
) -> StepCommit:
    """The commit of a turn that is over."""
    escalated = isinstance(outcome, Escalation)
    citations: tuple[Citation, ...] = () if isinstance(outcome, Escalation) else outcome.citations
    named = tuple(citation.model_copy(update={"quote": ""}) for citation in citations)
    result = TurnResult(
        turn=request.turn,
        status="awaiting_human" if escalated else "answered",
        reply=inline(outcome.text),
        citations=named,
        degraded=degraded,
        actions=account.for_callers(),
    )
    ended = Ended(
        result=result,
        asked_back=isinstance(outcome, Reply) and outcome.asks_back,
        reason=outcome.reason if isinstance(outcome, Escalation) else None,
    )
    over = (
        AwaitingHuman(reason=outcome.reason)
        if isinstance(outcome, Escalation)
        else TurnEnded(status=result.status)
    )
    return StepCommit(
        outcome=ended.model_dump(mode="json"),
        turn_status=result.status,
        turn_result=result,
        agent=None if request.subgraph == wire.TRIAGE else request.subgraph,
        phase="awaiting_human" if escalated else None,
        messages=(
            NewMessage(
                role="assistant",
                author=request.subgraph,
                text=outcome.text,
                citations=[citation.model_dump(mode="json") for citation in citations],
                degraded=degraded,
            ),
        ),
        events=_of_turn(request, [NewMessageSent(role="assistant"), over]),
    )


def _of_turn(request: StepRequest, payloads: Sequence[Payload]) -> tuple[NewEvent, ...]:
    return tuple(NewEvent(turn=request.turn, data=payload) for payload in payloads)


def _recorded(key: StepKey, outcome: object) -> StepResult:
    if isinstance(outcome, dict) and outcome.get("kind") == "discarded":
        raise StaleAttempt(f"turn {key.turn} of {key.conversation} ended without this step")
    return _RESULT.validate_python(outcome)
