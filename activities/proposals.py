"""What policy says about a proposal: the facts of each action, the verdicts, the approval they need."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import BaseModel, JsonValue, ValidationError

from activities.services import Services
from holdfast.domain.approval import Approval, args_digest
from holdfast.domain.ids import derived_id
from holdfast.domain.outcomes import ProposedAction
from holdfast.domain.policy import Policy, Verdict
from holdfast.store.steps import NewAction, NewApproval
from holdfast.subgraphs.action import ActionContext, ActionRefused, AnyAction

_STANDS_BEHIND = "Another action of the same proposal may not run, so this one was not attempted."


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who proposes: the step, its agent, and the customer it works for."""

    tenant: str
    conversation: str
    turn: int
    step: int
    agent: str
    customer: str


@dataclass(frozen=True, kw_only=True)
class JudgedAction:
    """An action with what policy says. `error` is set when it may not run, with the action's state
    in that case."""

    proposed: ProposedAction
    facts: dict[str, JsonValue]
    verdict: Verdict
    policy: Policy | None = None
    blocked_as: str | None = None
    error: str | None = None


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
        return tuple(action for action in self.actions if action.verdict.kind == "approve")

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that a reviewer of this proposal needs, all of them."""
        return tuple(sorted({action.verdict.role or "" for action in self.asking}))

    def block(self, state: str, error: str) -> "Judgement":
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
        return args_digest(tuple(action.proposed for action in self.actions))


async def judge(
    services: Services, origin: Origin, proposed: tuple[ProposedAction, ...]
) -> Judgement:
    """Validate the arguments, read the facts, and ask policy, for each action."""
    return Judgement(actions=tuple([await _judge(services, origin, one) for one in proposed]))


async def _judge(services: Services, origin: Origin, proposed: ProposedAction) -> JudgedAction:
    action = services.registry.action(proposed.name)
    if action is None:
        return _blocked(proposed, "refused", f"There is no action {proposed.name!r}.")
    try:
        arguments: BaseModel = action.arguments.model_validate(proposed.arguments)
    except ValidationError as error:
        return _blocked(proposed, "refused", in_words(error))
    proposed = proposed.model_copy(update={"arguments": arguments.model_dump(mode="json")})
    try:
        facts = await read_facts(services, origin, action, arguments)
    except ActionRefused as refused:
        return _blocked(proposed, "refused", str(refused))
    policy = services.registry.policy(origin.tenant, action.name)
    verdict = policy.verdict(
        action.name,
        arguments=proposed.arguments,
        facts=facts,
        customer=origin.customer,
        tenant=origin.tenant,
    )
    denied = verdict.kind == "deny"
    return JudgedAction(
        proposed=proposed,
        facts=facts,
        verdict=verdict,
        policy=policy,
        blocked_as="denied" if denied else None,
        error=(verdict.reason or "Policy does not allow this.") if denied else None,
    )


async def read_facts(
    services: Services, origin: Origin, action: AnyAction, arguments: BaseModel
) -> dict[str, JsonValue]:
    """What policy and reviewers need to know about the action.

    Raises:
        ActionRefused: it could not succeed.
    """
    if action.facts is None:
        return {}
    async with services.reads.acquire() as connection:
        context = ActionContext(
            tenant=origin.tenant,
            conversation=origin.conversation,
            turn=origin.turn,
            customer=origin.customer,
            idempotency_key="",
            connection=connection,
        )
        return await action.facts(context, arguments)


def recorded_actions(
    origin: Origin, judgement: Judgement, *, approval: str | None
) -> tuple[NewAction, ...]:
    """The proposal's actions as they are recorded with the step."""
    return tuple(
        NewAction(
            id=derived_id(
                "act", origin.tenant, origin.conversation, origin.turn, origin.step, index
            ),
            index=index,
            name=action.proposed.name,
            arguments=action.proposed.arguments,
            facts=action.facts,
            verdict=action.verdict.kind,
            state=action.blocked_as or ("not_attempted" if judgement.blocked else "proposed"),
            approval=approval,
            error=action.error or (_STANDS_BEHIND if judgement.blocked else None),
        )
        for index, action in enumerate(judgement.actions)
    )


def ask_for_approval(
    origin: Origin,
    judgement: Judgement,
    *,
    reason: str,
    evidence: tuple[str, ...],
    now: datetime,
) -> tuple[Approval, NewApproval]:
    """The approval that a proposal needs: as the workflow carries it, and as it is recorded."""
    asking = judgement.asking
    within = min(action.verdict.within or timedelta(hours=72) for action in asking)
    policies = {(one.policy.name, one.policy.version) for one in asking if one.policy}
    name, version = sorted(policies)[0]
    approval = Approval(
        id=derived_id("ap", origin.tenant, origin.conversation, origin.turn, origin.step),
        turn=origin.turn,
        step=origin.step,
        args_digest=judgement.digest,
        roles=judgement.roles,
        requested_at=now,
        expires_at=now + within,
    )
    reasons = [action.verdict.reason for action in asking if action.verdict.reason]
    record = NewApproval(
        id=approval.id,
        roles=list(approval.roles),
        agent=origin.agent,
        requester=f"agent:{origin.agent}",
        reason=reason,
        evidence=list(evidence),
        args_digest=approval.args_digest,
        policy_name=name,
        policy_version=version,
        policy_reason=" ".join(reasons) or None,
        requested_at=approval.requested_at.isoformat(),
        expires_at=approval.expires_at.isoformat(),
    )
    return approval, record


def in_words(error: ValidationError) -> str:
    """What is wrong with arguments, for people and models."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False)
    )


def _blocked(proposed: ProposedAction, state: str, error: str) -> JudgedAction:
    return JudgedAction(
        proposed=proposed,
        facts={},
        verdict=Verdict(kind="deny", reason=error),
        blocked_as=state,
        error=error,
    )
