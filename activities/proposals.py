"""What policy says about a proposal: the facts of each action, the verdicts, the approval they need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel, JsonValue, ValidationError

from activities.services import Services
from holdfast.domain.approval import Alarm, Approval, OnExpiry, Person, Requirement, args_digest
from holdfast.domain.description import ActionDescription
from holdfast.domain.ids import derived_id
from holdfast.domain.outcomes import ProposedAction
from holdfast.domain.policy import ApprovalRule, Circumstances, Policy, Verdict, Window
from holdfast.store.pool import Connection
from holdfast.store.steps import NewAction, NewApproval
from holdfast.store.windows import lock_windows, sum_of_window
from holdfast.subgraphs.action import ActionContext, ActionRefused
from holdfast.subgraphs.description import describe

_STANDS_BEHIND = "Another action of the same proposal may not run, so this one was not attempted."
_STRICTEST: tuple[OnExpiry, ...] = ("deny", "person", "allow")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who proposes: the step, its agent, the customer it works for, and how the conversation is.

    `approval` is the one whose arguments a reviewer edits.
    """

    tenant: str
    conversation: str
    turn: int
    step: int
    agent: str
    customer: str
    priority: str
    language: str
    opened_at: datetime
    approval: str | None = None


@dataclass(frozen=True, kw_only=True)
class JudgedAction:
    """An action with what policy says. `blocked_as` is the action's state, and `error` the reason,
    where it may not run."""

    proposed: ProposedAction
    facts: dict[str, JsonValue]
    verdict: Verdict
    policy: Policy | None = None
    description: ActionDescription | None = None
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


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The sums that conditions look at; until the transaction of `_locked_windows` ends, nobody else adds
    to them."""

    connection: Connection
    customer: str
    tenant: str
    without_approval: str | None
    added: dict[str, float] = field(default_factory=dict)
    """What earlier actions of the same proposal add to each."""

    async def read(self, windows: dict[str, Window]) -> dict[str, float]:
        """The sum of each."""
        return {
            name: self.added.get(name, 0.0)
            + await sum_of_window(
                self.connection,
                self.tenant,
                amount=window.amount.split("."),
                actions=window.actions,
                within=window.within,
                customer=self.customer if window.per == "customer" else None,
                without_approval=self.without_approval,
            )
            for name, window in windows.items()
        }

    def add(self, policy: Policy, action: JudgedAction) -> None:
        """Count an action of this proposal, which later ones have to see."""
        for name, window in policy.windows.items():
            if action.proposed.name in window.actions:
                root, *path = window.amount.split(".")
                value: JsonValue = action.facts if root == "facts" else action.proposed.arguments
                for part in path:
                    value = value.get(part) if isinstance(value, dict) else None
                if isinstance(value, int | float) and not isinstance(value, bool):
                    self.added[name] = self.added.get(name, 0.0) + value


@asynccontextmanager
async def judged(
    services: Services, origin: Origin, proposed: tuple[ProposedAction, ...]
) -> AsyncIterator[tuple[Connection, Judgement]]:
    """What policy says about a proposal, and the transaction to record that in.

    Where conditions look at sums, these are counted within it and under their locks, so that two
    conversations cannot slip under a limit together.
    """
    judgement = None
    if not _windows_of(services, origin, proposed):
        judgement = await _judge_all(services, origin, proposed, None)
    async with services.pool.acquire() as connection, connection.transaction():
        if judgement is None:
            windows = await _locked_windows(services, connection, origin, proposed)
            judgement = await _judge_all(services, origin, proposed, windows)
        yield connection, judgement


def _windows_of(
    services: Services, origin: Origin, proposed: tuple[ProposedAction, ...]
) -> dict[str, Window]:
    """The windows that the conditions on these actions look at."""
    found: dict[str, Window] = {}
    for action in proposed:
        policy = services.registry.policy(origin.tenant, action.name)
        found |= policy.windows_of(action.name)
    return found


async def _locked_windows(
    services: Services,
    connection: Connection,
    origin: Origin,
    proposed: tuple[ProposedAction, ...],
) -> Windows:
    """The sums that the verdicts on a proposal depend on, locked until the transaction ends."""
    windows = _windows_of(services, origin, proposed)
    keys = [
        f"{name}/{origin.customer}" if window.per == "customer" else name
        for name, window in windows.items()
    ]
    await lock_windows(connection, origin.tenant, keys)
    return Windows(
        connection=connection,
        customer=origin.customer,
        tenant=origin.tenant,
        without_approval=origin.approval,
    )


async def _judge_all(
    services: Services,
    origin: Origin,
    proposed: tuple[ProposedAction, ...],
    windows: Windows | None,
) -> Judgement:
    """Validate the arguments, read the facts, and ask policy, for each action."""
    attributes = await _customer(services, origin)
    judged: list[JudgedAction] = []
    for action in proposed:
        one = await _judge(services, origin, action, attributes, windows)
        if windows is not None and one.policy is not None:
            windows.add(one.policy, one)
        judged.append(one)
    return Judgement(actions=tuple(judged))


async def _judge(
    services: Services,
    origin: Origin,
    proposed: ProposedAction,
    customer: dict[str, JsonValue],
    windows: Windows | None,
) -> JudgedAction:
    action = services.registry.action(proposed.name)
    if action is None:
        return _blocked(proposed, "refused", f"There is no action {proposed.name!r}.")
    try:
        arguments: BaseModel = action.arguments.model_validate(proposed.arguments)
    except ValidationError as error:
        return _blocked(proposed, "refused", in_words(error))
    proposed = proposed.model_copy(update={"arguments": arguments.model_dump(mode="json")})
    try:
        async with services.reads.acquire() as connection:
            context = _context(origin, connection)
            facts = await action.facts(context, arguments) if action.facts else {}
            description = await describe(action, context, arguments, facts)
    except ActionRefused as refused:
        return _blocked(proposed, "refused", str(refused))
    policy = services.registry.policy(origin.tenant, action.name)
    verdict = policy.verdict(
        action.name,
        Circumstances(
            args=proposed.arguments,
            facts=facts,
            customer=customer,
            conversation={
                "id": origin.conversation,
                "priority": origin.priority,
                "language": origin.language,
                "age": datetime.now(UTC) - origin.opened_at,
                "turns": origin.turn,
            },
            windows=await windows.read(policy.windows_of(action.name)) if windows else {},
            tenant=origin.tenant,
        ),
    )
    denied = verdict.kind == "deny"
    return JudgedAction(
        proposed=proposed,
        facts=facts,
        verdict=verdict,
        policy=policy,
        description=description,
        blocked_as="denied" if denied else None,
        error=(verdict.reason or "Policy does not allow this.") if denied else None,
    )


async def _customer(services: Services, origin: Origin) -> dict[str, JsonValue]:
    """What conditions may know of the customer: the id, and what the packages say."""
    attributes: dict[str, JsonValue] = {}
    for package in services.registry.packages:
        if package.customer is not None:
            async with services.reads.acquire() as connection:
                attributes |= await package.customer(connection, origin.tenant, origin.customer)
    return {**attributes, "id": origin.customer}


def _context(origin: Origin, connection: Connection) -> ActionContext:
    return ActionContext(
        tenant=origin.tenant,
        conversation=origin.conversation,
        turn=origin.turn,
        customer=origin.customer,
        idempotency_key="",
        connection=connection,
    )


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
            policy=action.policy and action.policy.name,
            policy_version=action.policy and action.policy.version,
            policy_digest=action.policy and action.policy.digest,
            rule=action.verdict.rule,
            description=action.description,
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
) -> NewApproval:
    """The approval that a proposal needs: all requirements of its actions, the earliest of their
    deadlines, the strictest of their ends."""
    rules = judgement.rules
    alarms: set[Alarm] = set()
    expiries: list[datetime] = []
    for index, (rule, policy) in enumerate(rules):
        scheduled, expires_at = policy.schedule(rule, asked_at=now, requirement=index)
        alarms |= set(scheduled)
        expiries.append(expires_at)
    ends = {rule.on_expiry for rule, _ in rules}
    approval = Approval(
        id=derived_id("ap", origin.tenant, origin.conversation, origin.turn, origin.step),
        turn=origin.turn,
        step=origin.step,
        args_digest=judgement.digest,
        requirements=judgement.requirements,
        requesters=(Person(id=origin.customer, kind="customer"),),
        requested_at=now,
        expires_at=min(expiries),
        schedule=tuple(
            sorted(
                (alarm for alarm in alarms if alarm.at < min(expiries)),
                key=lambda alarm: (alarm.at, alarm.kind, alarm.requirement),
            )
        ),
        on_expiry=next(end for end in _STRICTEST if end in ends),
        claim_seconds=int(min(rule.claim_for for rule, _ in rules) / timedelta(seconds=1)),
    )
    reasons = [action.verdict.reason for action in judgement.asking if action.verdict.reason]
    policy = rules[0][1]
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


def _amount(judgement: Judgement) -> Decimal | None:
    """The money at stake, where the actions name any, in one currency."""
    described = [action.description for action in judgement.actions if action.description]
    amounts = [one.amount for one in described if one.amount is not None]
    currencies = {one.currency for one in described if one.amount is not None}
    return sum(amounts, Decimal(0)) if amounts and len(currencies) == 1 else None


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
        verdict=Verdict(kind="deny", rule="", reason=error),
        blocked_as=state,
        error=error,
    )
