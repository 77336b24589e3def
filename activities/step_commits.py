"""What a step leaves behind, by its outcome: what is recorded, told and returned."""

from collections.abc import Sequence
from datetime import datetime

from holdfast.activities.bounded import bounded_note
from holdfast.activities.judgement import Judgement, ask_for_approval, recorded_actions
from holdfast.activities.policy_input import ProposalOrigin
from holdfast.domain import wire
from holdfast.domain.activity_protocol import (
    EndResult,
    HandoffResult,
    ProposalResult,
    RouteResult,
    StepRequest,
)
from holdfast.domain.conversation import TurnResult, inline
from holdfast.domain.customer_texts import customer_text
from holdfast.domain.endings import Account
from holdfast.domain.events import (
    ActionNotExecuted,
    ApprovalRequested,
    AwaitingHuman,
    NewEvent,
    NewMessageSent,
    Payload,
    TurnEnded,
    TurnHandedOff,
    TurnRouted,
)
from holdfast.domain.outcomes import Citation, Escalation, Handoff, Proposal, Reply, Route
from holdfast.domain.past import PastState
from holdfast.store.steps import NewMessage, StepCommit

_TOO_MANY_WAIT = (
    "This needs a person's approval, and too many requests of this conversation wait for one."
)

_WHY_A_PERSON: dict[PastState, str] = {
    "unclear": "nobody knows the outcome of",
    "not_undone": "could not undo",
}


def of_turn(request: StepRequest, payloads: Sequence[Payload]) -> tuple[NewEvent, ...]:
    """The events of the step's turn."""
    return tuple(NewEvent(turn=request.turn, data=payload) for payload in payloads)


def routed(request: StepRequest, route: Route) -> StepCommit:
    """The commit of triage that has found an agent."""
    event = TurnRouted(
        agent=route.agent,
        intent=route.intent,
        confidence=route.confidence,
        priority=route.priority,
        language=route.language,
    )
    return StepCommit(
        outcome=RouteResult(agent=route.agent, priority=route.priority),
        agent=route.agent,
        priority=route.priority,
        language=route.language,
        events=of_turn(request, [event]),
    )


def handed_off(request: StepRequest, handoff: Handoff) -> StepCommit:
    """The commit of an agent that hands the turn to another one."""
    handoff = bounded_note(handoff)
    event = TurnHandedOff(from_=request.subgraph, to=handoff.to, note=handoff.note)
    return StepCommit(
        outcome=HandoffResult(to=handoff.to, note=handoff.note),
        agent=handoff.to,
        events=of_turn(request, [event]),
    )


def proposed(
    request: StepRequest,
    origin: ProposalOrigin,
    proposal: Proposal,
    judgement: Judgement,
    *,
    now: datetime,
    degraded: bool,
) -> StepCommit:
    """The commit of a proposal: blocked, allowed, or asked about."""
    if judgement.asking and not judgement.blocked and not request.may_park:
        judgement = judgement.block("denied", _TOO_MANY_WAIT)
    outcome = ProposalResult(actions=len(judgement.actions), blocked=judgement.blocked)
    if judgement.blocked or not judgement.asking:
        actions = recorded_actions(origin, judgement, approval=None)
        return StepCommit(
            outcome=outcome,
            actions=actions,
            events=of_turn(
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
        outcome=outcome.model_copy(update={"approval": approval, "result": result}),
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
        events=of_turn(request, [requested, NewMessageSent(role="assistant")]),
        actions=recorded_actions(origin, judgement, approval=approval.id),
        approval=asked,
    )


def telling(escalation: Escalation, account: Account, language: str) -> Escalation:
    """The escalation with what the customer is told: the agent's words, and what was done."""
    first = escalation.text.strip() or customer_text("handed_over", language)
    parts = [part for part in (first, account.lines(language)) if part]
    return escalation.model_copy(update={"text": "\n\n".join(parts)})


def calling(reply: Reply, account: Account, language: str) -> Escalation:
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
    reason = "; ".join(reasons) or "a part of it was not done"
    return Escalation(reason=reason, text="\n\n".join(parts))


def ended(
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
    end = EndResult(
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
        outcome=end,
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
        events=of_turn(request, [NewMessageSent(role="assistant"), over]),
    )
