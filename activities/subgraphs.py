"""The activity that runs a subgraph for one step of a turn."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, assert_never

from pydantic import JsonValue, TypeAdapter
from temporalio import activity

from activities.attempts import beating, bounded_attempts, recording
from activities.bounded import bounded, of_turn, reply_cut
from activities.proposals import (
    Judgement,
    Origin,
    ask_for_approval,
    judged,
    recorded_actions,
)
from activities.services import PooledReads, Services
from activities.summaries import summarize, transcript_with
from holdfast.domain import wire
from holdfast.domain.conversation import TurnResult
from holdfast.domain.errors import Permanent, StaleAttempt
from holdfast.domain.events import NewEvent
from holdfast.domain.outcomes import Citation, Escalation, Handoff, Proposal, Reply, Route
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
from holdfast.llm.ledger import StepLedger
from holdfast.llm.model import LedgeredModel
from holdfast.notifications.outbox import enqueue_request
from holdfast.store.audit import append_audit
from holdfast.store.events import append_events
from holdfast.store.faults import reach
from holdfast.store.llm_calls import CallScope, recorded_call
from holdfast.store.pool import Connection
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
from holdfast.subgraphs.contract import TranscriptMessage, TurnContext
from holdfast.subgraphs.runner import BrokenContract, Progress, StepEnd, StepStart

INLINE_REPLY_CHARACTERS = 1_500
"""A longer reply stays in Postgres, so that a turn's history stays small."""

_TOO_MANY_WAIT = (
    "This needs a person's approval, and too many requests of this conversation wait for one."
)

_TRIAGE_OUTCOMES = (Route, Reply, Escalation)
_AGENT_OUTCOMES = (Reply, Handoff, Escalation, Proposal)

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
        with bounded_attempts(request.attempts):
            async with beating(progress):
                result = await self._run(request, progress)
                if not isinstance(result, Routed):
                    return StepReport(result=result)
                answered = await self._run(_first_step(request, result.agent), progress)
                if isinstance(answered, Routed):
                    raise BrokenContract("only triage may route")
                return StepReport(result=answered, routed=result)

    async def _run(self, request: StepRequest, progress: Progress) -> StepResult:
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
        model = self._model(key, begun)
        starts_agent = request.step == request.thread and request.subgraph != wire.TRIAGE
        async with self._noting(request, model):
            summary = await summarize(model, begun) if starts_agent else None
            end = await self._run_graph(request, key, begun, summary, model, progress)
        self._require_outcome(request, end)
        outcome = await self._commit(
            request, key, begun, end, summary, model.events, degraded=model.usage.degraded
        )
        await reach("after_commit")
        if isinstance(end.outcome, Proposal):
            await reach("after_proposal_commit")
        return _recorded(key, outcome)

    def _model(self, key: StepKey, begun: BegunStep) -> LedgeredModel:
        scope = CallScope.model_validate(key.model_dump(exclude={"run", "attempt"}))
        ledger = StepLedger(
            self._services.pool,
            scope,
            [recorded_call(row) for row in begun.calls],
            elsewhere=begun.spent_elsewhere,
            keep_requests=self._services.keep_requests,
        )
        return LedgeredModel(self._services.models, ledger)

    @asynccontextmanager
    async def _noting(self, request: StepRequest, model: LedgeredModel) -> AsyncIterator[None]:
        """What is permanent ends the step without a commit: record what its model calls came to alone."""
        try:
            yield
        except Permanent:
            if events := of_turn(request, model.events):
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
        agents = registry.agents()
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
        )
        resumes = request.step != request.thread
        said_before, messages = transcript_with(begun, summary)
        transcript = [TranscriptMessage.model_validate(one.model_dump()) for one in messages]
        if said_before:
            transcript.insert(0, TranscriptMessage(seq=0, turn=0, role="summary", text=said_before))
        start = StepStart(
            transcript=transcript,
            snapshot=begun.snapshot,
            results=begun.results if resumes and not begun.own_snapshot else None,
        )

        async def save(snapshot: bytes) -> None:
            if not await save_snapshot(self._services.pool, key, snapshot):
                raise StaleAttempt(f"step {key.turn}.{key.step} has a newer attempt")

        return await registry.runner(request.subgraph).run(
            start, context, progress=progress, save_snapshot=save
        )

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
        noted: Sequence[NewEvent],
        *,
        degraded: bool,
    ) -> dict[str, Any]:
        noted = of_turn(request, noted)
        match end.outcome:
            case Route():
                commit = self._route(request, end.outcome)
            case Handoff():
                commit = self._hand_off(request, end.outcome)
            case Reply() | Escalation():
                bounds = self._services.models.bounds
                commit = _end(request, bounded(end.outcome, bounds), degraded=degraded)
                if len(end.outcome.text) > bounds.reply_characters:
                    noted = (*noted, reply_cut(request, bounds))
            case Proposal():
                origin = _origin(request, begun)
                async with judged(self._services, origin, end.outcome.actions) as (
                    connection,
                    judgement,
                ):
                    commit = _propose(request, origin, end.outcome, judgement, degraded=degraded)
                    commit = commit.model_copy(
                        update={
                            "snapshot": end.snapshot,
                            "summary": summary,
                            "events": (*noted, *commit.events),
                        }
                    )
                    if commit.approval is not None:
                        commit = await self._ask(connection, request, commit, commit.approval)
                    await reach("before_commit")
                    return await commit_step(connection, key, commit)
            case _:
                assert_never(end.outcome)
        await reach("before_commit")
        return await commit_step(
            self._services.pool,
            key,
            commit.model_copy(update={"summary": summary, "events": (*noted, *commit.events)}),
        )

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

    def _route(self, request: StepRequest, route: Route) -> StepCommit:
        self._require_agent(request, route.agent)
        data: dict[str, JsonValue] = route.model_dump(mode="json", exclude={"kind"})
        return StepCommit(
            outcome=Routed(agent=route.agent, priority=route.priority).model_dump(mode="json"),
            agent=route.agent,
            priority=route.priority,
            language=route.language,
            events=(NewEvent(type="turn_routed", turn=request.turn, data=data),),
        )

    def _hand_off(self, request: StepRequest, handoff: Handoff) -> StepCommit:
        self._require_agent(request, handoff.to)
        data: dict[str, JsonValue] = {
            "from": request.subgraph,
            "to": handoff.to,
            "note": handoff.note,
        }
        return StepCommit(
            outcome=HandedOff(to=handoff.to, note=handoff.note).model_dump(mode="json"),
            agent=handoff.to,
            events=(NewEvent(type="turn_handed_off", turn=request.turn, data=data),),
        )

    def _require_agent(self, request: StepRequest, agent: str) -> None:
        known = [card.name for card in self._services.registry.agents()]
        if agent not in known or agent == request.subgraph:
            raise BrokenContract(
                f"subgraph {request.subgraph!r} names the agent {agent!r}; it may name "
                f"{', '.join(name for name in known if name != request.subgraph)}"
            )


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
            events=tuple(
                NewEvent(
                    type="action_not_executed",
                    turn=request.turn,
                    data={"action": action.id, "name": action.name, "state": action.state},
                )
                for action in actions
                if judgement.blocked
            ),
        )
    asked = ask_for_approval(
        origin,
        judgement,
        reason=proposal.reason,
        evidence=proposal.evidence,
        now=datetime.now(UTC),
    )
    approval = asked.approval
    result = TurnResult(
        turn=request.turn,
        status="awaiting_approval",
        reply=_inline(proposal.holding_message),
        approvals=(approval.id,),
        degraded=degraded,
    )
    data: dict[str, JsonValue] = {
        "approval": approval.id,
        "roles": list(approval.roles),
        "expires_at": approval.expires_at.isoformat(),
        "actions": [action.proposed.name for action in judgement.actions],
    }
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
                text=proposal.holding_message,
                degraded=degraded,
            ),
        ),
        events=(
            NewEvent(type="approval_requested", turn=request.turn, data=data),
            NewEvent(type="message_sent", turn=request.turn, data={"role": "assistant"}),
        ),
        actions=recorded_actions(origin, judgement, approval=approval.id),
        approval=asked,
    )


def _end(request: StepRequest, outcome: Reply | Escalation, *, degraded: bool) -> StepCommit:
    """The commit of a turn that is over."""
    escalated = isinstance(outcome, Escalation)
    citations: tuple[Citation, ...] = () if isinstance(outcome, Escalation) else outcome.citations
    named = tuple(citation.model_copy(update={"quote": ""}) for citation in citations)
    result = TurnResult(
        turn=request.turn,
        status="awaiting_human" if escalated else "answered",
        reply=_inline(outcome.text),
        citations=named,
        degraded=degraded,
    )
    ended = Ended(
        result=result,
        asked_back=isinstance(outcome, Reply) and outcome.asks_back,
        reason=outcome.reason if isinstance(outcome, Escalation) else None,
    )
    data: dict[str, JsonValue] = {"status": result.status}
    if isinstance(outcome, Escalation):
        data["reason"] = outcome.reason
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
        events=(
            NewEvent(type="message_sent", turn=request.turn, data={"role": "assistant"}),
            NewEvent(
                type="awaiting_human" if escalated else "turn_ended", turn=request.turn, data=data
            ),
        ),
    )


def _inline(text: str) -> str | None:
    return text if len(text) <= INLINE_REPLY_CHARACTERS else None


def _recorded(key: StepKey, outcome: object) -> StepResult:
    if isinstance(outcome, dict) and outcome.get("kind") == "discarded":
        raise StaleAttempt(f"turn {key.turn} of {key.conversation} ended without this step")
    return _RESULT.validate_python(outcome)
