"""The rules of a policy, and what they say about an action."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import cel
from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from holdfast.domain.approval import Alarm, OnExpiry, Requirement
from holdfast.domain.model import Frozen, Strict
from holdfast.domain.policy.durations import Duration
from holdfast.domain.policy.working_time import WorkingTime

VerdictKind = Literal["allow", "approve", "deny"]

_VARIABLES = ("args", "facts", "customer", "conversation", "windows", "tenant")
_WINDOW = re.compile(r"\bwindows\s*\.\s*(\w+)|\bwindows\s*\[\s*['\"](\w+)['\"]\s*\]")
_AMOUNT = r"^(facts|args)(\.\w+)+$"

RoleName = Annotated[str, Field(min_length=1)]
RoleNames = Annotated[tuple[RoleName, ...], Field(min_length=1)]


class EscalationStep(Strict):
    """After that time without a decision, people with these roles may decide, too."""

    after: Duration
    roles: RoleNames


class ApprovalRule(Strict):
    """Who has to approve, and what happens while nobody does.

    `quorum` different people are needed, each with one of `roles`. `four_eyes` leaves out those who
    asked for the action; `other_team` wants people of different teams. `working_time` counts the
    durations in the policy's working time.
    """

    roles: RoleNames
    quorum: Annotated[int, Field(ge=1, le=20)] = 1
    four_eyes: bool = False
    other_team: bool = False
    remind_after: Duration | None = None
    escalate: tuple[EscalationStep, ...] = ()
    expire_after: Duration = timedelta(hours=72)
    on_expiry: OnExpiry = "deny"
    claim_for: Duration = timedelta(minutes=15)
    working_time: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.remind_after is not None and self.remind_after >= self.expire_after:
            raise ValueError("remind_after has to be before expire_after")
        times = [step.after for step in self.escalate]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError("each step of escalate has to be later than the one before")
        if times and times[-1] >= self.expire_after:
            raise ValueError("every step of escalate has to be before expire_after")
        return self

    def requirement(self) -> Requirement:
        """What an approval under this rule needs."""
        return Requirement(
            roles=self.roles,
            quorum=self.quorum,
            four_eyes=self.four_eyes,
            other_team=self.other_team,
        )


class Rule(Strict):
    """One rule for an action: what happens when its condition holds, or always without one."""

    when: str | None = None
    allow: Literal[True] | None = None
    approve: ApprovalRule | None = None
    deny: Literal[True] | None = None
    reason: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return {value: True} if value in ("allow", "deny") else value

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        said = [name for name in ("allow", "approve", "deny") if getattr(self, name)]
        if len(said) != 1:
            raise ValueError(
                f"a rule says one of allow, approve or deny, this one {' and '.join(said) or 'none'}"
            )
        return self

    @field_validator("when")
    @classmethod
    def _can_be_read(cls, when: str | None) -> str | None:
        if when is not None:
            try:
                cel.compile(when)
            except ValueError as error:
                raise ValueError(f"condition {when!r}: {str(error).splitlines()[0]}") from None
        return when

    @cached_property
    def _program(self) -> Any:
        return cel.compile(self.when or "true")

    @property
    def windows(self) -> frozenset[str]:
        """The windows that the condition names."""
        found = _WINDOW.findall(self.when or "")
        return frozenset(dotted or quoted for dotted, quoted in found)

    @property
    def kind(self) -> VerdictKind:
        """What the rule says."""
        return "approve" if self.approve else "allow" if self.allow else "deny"

    def matches(self, variables: Mapping[str, Any]) -> bool:
        """Whether the condition holds.

        Raises:
            Exception: whatever the expression raises on these variables.
        """
        answer = self._program.execute(dict(variables))
        if not isinstance(answer, bool):
            raise TypeError(f"condition {self.when!r} gave {answer!r} instead of true or false")
        return answer


def _rules(value: object) -> object:
    return value if isinstance(value, list) else [value]


Rules = Annotated[tuple[Rule, ...], BeforeValidator(_rules), Field(min_length=1)]

_UNSURE = ApprovalRule(roles=("support",))


class Window(Strict):
    """A sum over the past: of the number at `amount` (`facts.refund_amount`, say), over the actions
    of these names that were executed or still may be, of one customer or of the whole tenant."""

    amount: Annotated[str, Field(pattern=_AMOUNT)]
    actions: Annotated[tuple[str, ...], Field(min_length=1)]
    per: Literal["customer", "tenant"] = "customer"
    within: Duration


class Circumstances(Frozen):
    """What conditions see. `customer` has at least `id`; `conversation` has `id`, `priority`,
    `language`, `age` (a duration) and `turns`; `windows` are sums without this action itself."""

    args: dict[str, JsonValue] = Field(default_factory=dict)
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    customer: dict[str, JsonValue] = Field(default_factory=dict)
    conversation: dict[str, JsonValue | timedelta] = Field(default_factory=dict)
    windows: dict[str, float] = Field(default_factory=dict)
    tenant: str = ""


class Tried(Frozen):
    """A rule that was tried: its place, its condition, and what that gave (true, false, or why it
    could not be told)."""

    rule: str
    when: str | None
    matched: bool
    error: str | None = None


class Verdict(Frozen):
    """What policy says about one action. `rule` is the place of the rule that says so."""

    kind: VerdictKind
    rule: str
    reason: str | None = None
    approve: ApprovalRule | None = None


class Policy(Strict):
    """A tenant's policy, checked when it is loaded. `digest` is the SHA-256 of its `text`."""

    name: Annotated[str, Field(min_length=1)]
    version: Annotated[int, Field(ge=1)]
    default: Rule = Rule(approve=_UNSURE)
    actions: dict[str, Rules] = Field(default_factory=dict)
    windows: dict[str, Window] = Field(default_factory=dict)
    working_time: WorkingTime | None = None
    digest: Annotated[str, Field(exclude=True)] = ""
    text: Annotated[str, Field(exclude=True, repr=False)] = ""

    @field_validator("default")
    @classmethod
    def _always_decides(cls, default: Rule) -> Rule:
        if default.when is not None:
            raise ValueError("the default has no condition: it decides where nothing else does")
        return default

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for place, rule in self._all_rules():
            if unknown := sorted(rule.windows - self.windows.keys()):
                raise ValueError(f"{place} names windows that are not there: {', '.join(unknown)}")
            if rule.approve and rule.approve.working_time and self.working_time is None:
                raise ValueError(f"{place} counts working time, and the policy has no working_time")
        return self

    def windows_of(self, action: str) -> dict[str, Window]:
        """The windows that the conditions on an action name."""
        names = {name for rule in self.actions.get(action, ()) for name in rule.windows}
        return {name: self.windows[name] for name in sorted(names)}

    def verdict(self, action: str, circumstances: Circumstances) -> Verdict:
        """What happens to `action` under these circumstances."""
        return self.explain(action, circumstances)[1]

    def explain(
        self, action: str, circumstances: Circumstances
    ) -> tuple[tuple[Tried, ...], Verdict]:
        """What happens to `action`, and the rules that were tried to find out."""
        variables = {name: getattr(circumstances, name) for name in _VARIABLES}
        tried: list[Tried] = []
        for index, rule in enumerate(self.actions.get(action, ())):
            place = f"{action}[{index}]"
            try:
                matched = rule.matches(variables)
            except Exception as error:
                problem = str(error) or type(error).__name__
                tried.append(Tried(rule=place, when=rule.when, matched=False, error=problem))
                unsure = Verdict(
                    kind="approve",
                    rule=place,
                    reason=f"The condition {rule.when!r} failed: {problem}",
                    approve=rule.approve or self.default.approve or _UNSURE,
                )
                return tuple(tried), unsure
            tried.append(Tried(rule=place, when=rule.when, matched=matched))
            if matched:
                return tuple(tried), _verdict(place, rule)
        return tuple(tried), _verdict("default", self.default)

    def schedule(
        self, rule: ApprovalRule, *, asked_at: datetime, requirement: int
    ) -> tuple[tuple[Alarm, ...], datetime]:
        """What happens to an approval asked for at `asked_at`, in order, before it expires; and when
        that is. `requirement` is the place of the rule's requirement in the approval."""
        alarms = [
            Alarm(
                at=self._after(rule, asked_at, step.after),
                kind="escalate",
                requirement=requirement,
                roles=step.roles,
            )
            for step in rule.escalate
        ]
        if rule.remind_after is not None:
            alarms.append(Alarm(at=self._after(rule, asked_at, rule.remind_after), kind="remind"))
        ordered = tuple(sorted(alarms, key=lambda alarm: alarm.at))
        return ordered, self._after(rule, asked_at, rule.expire_after)

    def _after(self, rule: ApprovalRule, start: datetime, duration: timedelta) -> datetime:
        if rule.working_time and self.working_time is not None:
            return self.working_time.after(start, duration)
        return start + duration

    def _all_rules(self) -> Iterator[tuple[str, Rule]]:
        yield "default", self.default
        for action, rules in self.actions.items():
            for index, rule in enumerate(rules):
                yield f"{action}[{index}]", rule


def _verdict(place: str, rule: Rule) -> Verdict:
    return Verdict(kind=rule.kind, rule=place, reason=rule.reason, approve=rule.approve)
