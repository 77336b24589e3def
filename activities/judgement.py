"""What policy says about a proposal: the verdicts on its actions, and the approval they need."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import JsonValue

from holdfast.activities.policy_input import ProposalOrigin, Windows, locked_windows, policy_input
from holdfast.activities.policy_threads import verdict_of
from holdfast.activities.rehearsal import RehearsedAction
from holdfast.activities.resources import Resources
from holdfast.domain.approval import Approval
from holdfast.domain.description import ActionDescription
from holdfast.domain.outcomes import ActionState, ProposedAction
from holdfast.domain.participants import Person
from holdfast.domain.policy import ApprovalRule, Policy, Verdict
from holdfast.domain.shown import ShownAction, shown_digest
from holdfast.domain.terms import Alarm, EditTerms, Requirement, Terms, in_order, strictest
from holdfast.store.faults import reach
from holdfast.store.pool import Connection
from holdfast.store.steps import NewAction, NewApproval

_STANDS_BEHIND = "Another action of the same proposal may not run, so this one was not attempted."


@dataclass(frozen=True, kw_only=True)
class JudgedAction:
    """An action with what policy says. `blocked_as` is the action's state, and `error` the reason,
    where it may not run."""

    proposed: ProposedAction
    facts: dict[str, JsonValue]
    verdict: Verdict
    policy: Policy | None = None
    description: ActionDescription | None = None
    blocked_as: ActionState | None = None
    error: str | None = None
    result: JsonValue = None
    repeats: str | None = None
    """The earlier action that it repeats, whose result it has (`holdfast.activities.repeats`)."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What policy says about a whole proposal: the strictest verdict counts for all of it."""

    actions: tuple[JudgedAction, ...]

    @property
    def blocked(self) -> bool:
        """Whether at least one action may not run; then none does."""
        return any(action.blocked_as for action in self.actions)

    @property
    def asking(self) -> tuple[JudgedAction, ...]:
        """The actions that need an approval."""
        return tuple(action for action in self.actions if action.verdict.approve is not None)

    @property
    def rules(self) -> tuple[tuple[ApprovalRule, Policy], ...]:
        """The approvals that are needed, each once, with the policy that says so."""
        found: dict[ApprovalRule, Policy] = {}
        for action in self.asking:
            if action.verdict.approve is not None and action.policy is not None:
                found.setdefault(action.verdict.approve, action.policy)
        return tuple(found.items())

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What an approval of this proposal needs."""
        return tuple(rule.requirement() for rule, _ in self.rules)

    def block(self, state: ActionState, error: str) -> "Judgement":
        """The same proposal, with every action that needs an approval refused."""
        return Judgement(
            actions=tuple(
                replace(action, blocked_as=state, error=error) if action in self.asking else action
                for action in self.actions
            )
        )

    @property
    def digest(self) -> str:
        """The digest of what a reviewer would see."""
        return shown_digest(
            ShownAction(
                name=action.proposed.name,
                arguments=action.proposed.arguments,
                facts=action.facts,
                description=action.description and action.description.model_dump(mode="json"),
            )
            for action in self.actions
        )


@asynccontextmanager
async def judged(
    resources: Resources, origin: ProposalOrigin, rehearsed: Sequence[RehearsedAction]
) -> AsyncIterator[tuple[Connection, Judgement]]:
    """What policy says about a proposal that was rehearsed, and the transaction to record that in.

    Where conditions look at sums, these are counted within it and under their locks, so that two
    conversations cannot slip under a limit together. It is said again when the actions run
    (`holdfast.activities.permission`): what is said here decides whether people are asked.

    Raises:
        LockTaken: others count; try it again (`holdfast.activities.lock_retries`).
    """
    policies = {
        one.proposed.name: resources.registry.policy(origin.key.tenant, one.proposed.name)
        for one in rehearsed
        if one.blocked_as is None
    }
    for policy in policies.values():
        await resources.policy_texts.keep(resources.pool, origin.key.tenant, policy)
    async with resources.pool.acquire() as connection, connection.transaction():
        windows = await locked_windows(
            connection, origin, ((policy, name) for name, policy in policies.items())
        )
        actions = [
            await _judge(origin, one, policies.get(one.proposed.name), windows) for one in rehearsed
        ]
        await reach("after_counting")
        yield connection, Judgement(actions=tuple(actions))


async def _judge(
    origin: ProposalOrigin, rehearsed: RehearsedAction, policy: Policy | None, windows: Windows
) -> JudgedAction:
    proposed = rehearsed.proposed
    if policy is None or rehearsed.blocked_as is not None:
        return JudgedAction(
            proposed=proposed,
            facts={},
            verdict=Verdict(kind="deny", rule="", reason=rehearsed.error),
            blocked_as=rehearsed.blocked_as,
            error=rehearsed.error,
        )
    verdict = await verdict_of(
        policy,
        proposed.name,
        policy_input(
            origin,
            arguments=proposed.arguments,
            facts=rehearsed.facts,
            customer=rehearsed.customer,
            windows=await windows.read(policy.windows_of(proposed.name)),
        ),
    )
    windows.add(policy, proposed, rehearsed.facts)
    denied = verdict.kind == "deny"
    return JudgedAction(
        proposed=proposed,
        facts=rehearsed.facts,
        verdict=verdict,
        policy=policy,
        description=rehearsed.description,
        blocked_as="denied" if denied else None,
        error=(verdict.reason or "Policy does not allow this.") if denied else None,
    )


def recorded_actions(
    origin: ProposalOrigin, judgement: Judgement, *, approval: str | None
) -> tuple[NewAction, ...]:
    """The proposal's actions as they are recorded with the step."""
    return tuple(
        NewAction(
            id=origin.key.action_key(index).action_id,
            index=index,
            name=action.proposed.name,
            arguments=action.proposed.arguments,
            facts=action.facts,
            verdict=action.verdict.kind,
            state=action.blocked_as or ("not_attempted" if judgement.blocked else "proposed"),
            policy=action.policy and action.policy.name,
            policy_version=action.policy and action.policy.version,
            policy_digest=action.policy and action.policy.digest,
            rule=action.verdict.rule,
            description=action.description,
            approval=approval,
            result=action.result,
            repeats=action.repeats,
            error=action.error or (_STANDS_BEHIND if judgement.blocked else None),
        )
        for index, action in enumerate(judgement.actions)
    )


def ask_for_approval(
    origin: ProposalOrigin,
    judgement: Judgement,
    *,
    reason: str,
    evidence: tuple[str, ...],
    now: datetime,
) -> NewApproval:
    """The approval that a proposal needs: all requirements of its actions, on the terms of their rules."""
    terms = _terms(judgement, now=now)
    approval = Approval(
        id=origin.key.approval_id,
        turn=origin.key.turn,
        step=origin.key.step,
        args_digest=judgement.digest,
        covers="shown",
        requirements=judgement.requirements,
        rules=terms.rules,
        requesters=(Person(id=origin.customer, kind="customer"),),
        requested_at=now,
        expires_at=terms.expires_at,
        schedule=terms.schedule,
        on_expiry=terms.on_expiry,
        claim_seconds=terms.claim_seconds,
    )
    reasons = [action.verdict.reason for action in judgement.asking if action.verdict.reason]
    policy = judgement.rules[0][1]
    return NewApproval(
        approval=approval,
        agent=origin.agent,
        reason=reason,
        evidence=evidence,
        policy_name=policy.name,
        policy_version=policy.version,
        policy_digest=policy.digest,
        policy_reason=" ".join(dict.fromkeys(reasons)) or None,
        amount=_amount(judgement),
    )


def what_an_edit_needs(judgement: Judgement, *, now: datetime) -> EditTerms:
    """What policy says about arguments that a reviewer has edited now."""
    return EditTerms(
        digest=judgement.digest,
        requirements=judgement.requirements,
        covers="shown",
        terms=_terms(judgement, now=now) if judgement.rules else None,
    )


def _terms(judgement: Judgement, *, now: datetime) -> Terms:
    alarms: set[Alarm] = set()
    expiries: list[datetime] = []
    for index, (rule, policy) in enumerate(judgement.rules):
        scheduled, expires_at = policy.schedule(rule, asked_at=now, requirement=index)
        alarms |= set(scheduled)
        expiries.append(expires_at)
    rules = [rule for rule, _ in judgement.rules]
    return Terms(
        rules=tuple(rule.digest for rule in rules),
        expires_at=min(expiries),
        schedule=in_order(alarms, until=min(expiries)),
        on_expiry=strictest(rule.on_expiry for rule in rules),
        claim_seconds=int(min(rule.claim_for for rule in rules) / timedelta(seconds=1)),
    )


def _amount(judgement: Judgement) -> Decimal | None:
    """The money at stake, where the actions name any, in one currency."""
    described = [action.description for action in judgement.actions if action.description]
    amounts = [one.amount for one in described if one.amount is not None]
    currencies = {one.currency for one in described if one.amount is not None}
    return sum(amounts, Decimal(0)) if amounts and len(currencies) == 1 else None
