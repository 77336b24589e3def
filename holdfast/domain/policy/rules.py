"""The rules of a policy, and what they say about an action."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from holdfast.domain.model import Frozen, Strict
from holdfast.domain.outcomes import VerdictKind
from holdfast.domain.policy.approval_rules import ApprovalRule
from holdfast.domain.policy.conditions import (
    COST_OF_ALL,
    VARIABLES,
    Condition,
    Evaluation,
    compiling,
)
from holdfast.domain.policy.durations import Duration
from holdfast.domain.policy.working_time import WorkingTime
from holdfast.domain.terms import Alarm
from holdfast.domain.validation import Misfit

_AMOUNT = r"^(facts|args)(\.\w+)+$"

MOST_RULES = 500
MOST_WINDOWS = 50
_LONGEST_CONDITIONS = 64 * 1024
_MOST_NAMED = 100
_HIGHEST_VERSION = 2**31 - 1
_LONGEST_REASON = 2_000
_MOST_TOLD = 5

Name = Annotated[str, Field(min_length=1, max_length=100)]

_condition = lru_cache(MOST_RULES)(Condition)
"""Compiled when it is checked, and there when it is asked."""


class Rule(Strict):
    """One rule for an action: what happens when its condition holds, or always without one."""

    when: str | None = None
    allow: Literal[True] | None = None
    approve: ApprovalRule | None = None
    deny: Literal[True] | None = None
    reason: Annotated[str, Field(max_length=_LONGEST_REASON)] | None = None

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
                _condition(when)
            except ValueError as error:
                raise ValueError(f"condition {when[:200]!r}: {error}") from None
        return when

    @cached_property
    def condition(self) -> Condition | None:
        """Its condition, where it has one."""
        return None if self.when is None else _condition(self.when)

    @property
    def windows(self) -> frozenset[str]:
        """The windows that the condition names."""
        return self.condition.windows if self.condition else frozenset()

    @property
    def kind(self) -> VerdictKind:
        """What the rule says."""
        return "approve" if self.approve else "allow" if self.allow else "deny"

    def matches(self, evaluation: Evaluation) -> bool:
        """Whether the condition holds.

        Raises:
            Exception: whatever the expression raises on these values, or what it would cost.
        """
        return self.condition is None or evaluation.holds(self.condition)


def _rules(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _costs_little(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    if sum(rule.condition.least_cost for rule in rules if rule.condition) > COST_OF_ALL:
        raise ValueError("the patterns of its conditions would take too long together")
    return rules


Rules = Annotated[
    tuple[Rule, ...], BeforeValidator(_rules), Field(min_length=1), AfterValidator(_costs_little)
]


def _are_few(actions: object) -> object:
    """Before each is read, which takes long: aliases can repeat a rule without end."""
    written = actions.values() if isinstance(actions, dict) else ()
    rules = [rule for value in written for rule in _rules(value)]
    if len(rules) > MOST_RULES:
        raise ValueError(f"there are more than {MOST_RULES} rules")
    conditions = [rule.get("when") for rule in rules if isinstance(rule, dict)]
    texts = [one for one in conditions if isinstance(one, str)]
    if sum(map(len, texts)) > _LONGEST_CONDITIONS:
        raise ValueError(f"the conditions have more than {_LONGEST_CONDITIONS} characters together")
    if sum(map(compiling, texts)) > COST_OF_ALL:  # other tenants' work waits meanwhile
        raise ValueError(
            "the patterns of all conditions would take too long together: have fewer of them, or "
            "with fewer repetitions"
        )
    return actions


_UNSURE = ApprovalRule(roles=("support",))


class Window(Strict):
    """A sum over the past: of the number at `amount` (`facts.refund_amount`, say), over the actions
    of these names that were executed or still may be, of one customer or of the whole tenant."""

    amount: Annotated[str, Field(pattern=_AMOUNT, max_length=200)]
    actions: Annotated[tuple[Name, ...], Field(min_length=1, max_length=_MOST_NAMED)]
    per: Literal["customer", "tenant"] = "customer"
    within: Duration


class RepeatRule(Strict):
    """What happens to a proposal that is equal to one of the same customer that waits, or was executed
    `within` this time: `ask` lets it through once the customer has confirmed it, `allow` always, `deny`
    never."""

    say: Literal["ask", "allow", "deny"] = "ask"
    within: Duration = timedelta(hours=24)

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return {"say": value} if isinstance(value, str) else value


class PolicyInput(Frozen):
    """What conditions see. `customer` has at least `id`; `conversation` has `id`, `priority`,
    `language`, `age` (a duration) and `turns`; `windows` are exact sums without this action itself,
    which conditions see as the nearest double."""

    args: dict[str, JsonValue] = Field(default_factory=dict)
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    customer: dict[str, JsonValue] = Field(default_factory=dict)
    conversation: dict[str, JsonValue | timedelta] = Field(default_factory=dict)
    windows: dict[str, Decimal] = Field(default_factory=dict)
    tenant: str = ""

    def variables(self) -> dict[str, Any]:
        """What they are called in conditions."""
        seen = {name: getattr(self, name) for name in VARIABLES}
        return {**seen, "windows": {name: float(sum) for name, sum in self.windows.items()}}


class RuleTrial(Frozen):
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

    name: Name
    version: Annotated[int, Field(ge=1, le=_HIGHEST_VERSION)]
    default: Rule = Rule(approve=_UNSURE)
    actions: Annotated[dict[Name, Rules], BeforeValidator(_are_few)] = Field(default_factory=dict)
    windows: Annotated[dict[Name, Window], Field(max_length=MOST_WINDOWS)] = Field(
        default_factory=dict
    )
    repeats: Annotated[dict[Name, RepeatRule], Field(max_length=MOST_RULES)] = Field(
        default_factory=dict
    )
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
        for at, rule in self._all_rules():
            place = "default" if at == ("default",) else f"{at[1]}[{at[2]}]"
            if unknown := sorted(rule.windows - self.windows.keys()):
                problem = f"{place} names windows that are not there: {', '.join(unknown)}"
                raise Misfit(problem, at=(*at, "when"))
            asked = rule.approve
            if asked is None or not asked.working_time:
                continue
            if self.working_time is None:
                problem = f"{place} counts working time, and the policy has no working_time"
                raise Misfit(problem, at=(*at, "approve", "working_time"))
            if asked.expire_after > self.working_time.surely:
                problem = f"{place} expires after more working time than ten years are sure to have"
                raise Misfit(problem, at=(*at, "approve", "expire_after"))
        return self

    def windows_of(self, action: str) -> dict[str, Window]:
        """The windows that the conditions on an action name."""
        names = {name for rule in self.actions.get(action, ()) for name in rule.windows}
        return {name: self.windows[name] for name in sorted(names)}

    def named_actions(self) -> dict[str, tuple[str | int, ...]]:
        """The actions that it names, each with the first place where it does."""
        named: dict[str, tuple[str | int, ...]] = {}
        for action in self.actions:
            named.setdefault(action, ("actions", action))
        for name, window in self.windows.items():
            for action in window.actions:
                named.setdefault(action, ("windows", name, "actions"))
        for action in self.repeats:
            named.setdefault(action, ("repeats", action))
        return named

    def repeat(self, action: str) -> RepeatRule:
        """What happens to a proposal of `action` that is equal to an earlier one."""
        return self.repeats.get(action, RepeatRule())

    def verdict(self, action: str, policy_input: PolicyInput) -> Verdict:
        """What happens to `action` under these circumstances."""
        return self.explain(action, policy_input)[1]

    def explain(
        self, action: str, policy_input: PolicyInput
    ) -> tuple[tuple[RuleTrial, ...], Verdict]:
        """What happens to `action`, and the rules that were tried to find out.

        Where a condition cannot be evaluated, nobody knows whether its rule matches: of this rule and
        what decides after it, the strictest counts, and it is an approval at least.
        """
        evaluation = Evaluation(policy_input.variables())
        tried: list[RuleTrial] = []
        unsure: list[tuple[str, Rule]] = []
        found = ("default", self.default)
        for index, rule in enumerate(self.actions.get(action, ())):
            place = f"{action}[{index}]"
            problem = None
            try:
                matched = rule.matches(evaluation)
            except Exception as error:
                matched, problem = False, str(error) or type(error).__name__
                unsure.append((place, rule))
            tried.append(RuleTrial(rule=place, when=rule.when, matched=matched, error=problem))
            if matched:
                found = (place, rule)
                break
        if unsure:
            return tuple(tried), self._strictest(unsure, found)
        place, rule = found
        verdict = Verdict(kind=rule.kind, rule=place, reason=rule.reason, approve=rule.approve)
        return tuple(tried), verdict

    def _strictest(self, unsure: list[tuple[str, Rule]], found: tuple[str, Rule]) -> Verdict:
        """What the strictest of these rules says; the last one is known to match."""
        place, rule = max([*unsure, found], key=lambda one: _strictness(one[1]))
        broken = ", ".join(
            f"{where} ({(one.when or '')[:200]!r})" for where, one in unsure[:_MOST_TOLD]
        )
        if len(unsure) > _MOST_TOLD:
            broken += f" and {len(unsure) - _MOST_TOLD} more"
        return Verdict(
            kind="approve" if rule.allow else rule.kind,
            rule=place,
            reason=f"It could not be told whether these conditions hold: {broken}.",
            approve=(self.default.approve or _UNSURE) if rule.allow else rule.approve,
        )

    def schedule(
        self, rule: ApprovalRule, *, asked_at: datetime, requirement: int
    ) -> tuple[tuple[Alarm, ...], datetime]:
        """What happens to an approval asked for at `asked_at`, in order, before it expires; and when
        that is. `requirement` is the place of the rule's requirement in the approval."""
        durations = {rule.expire_after, *(step.after for step in rule.escalate)}
        if rule.remind_after is not None:
            durations.add(rule.remind_after)
        if rule.working_time and self.working_time is not None:
            times = self.working_time.after(asked_at, durations)
        else:
            times = {duration: asked_at + duration for duration in durations}
        alarms = [
            Alarm(at=times[step.after], kind="escalate", requirement=requirement, roles=step.roles)
            for step in rule.escalate
        ]
        if rule.remind_after is not None:
            alarms.append(Alarm(at=times[rule.remind_after], kind="remind"))
        return tuple(sorted(alarms, key=lambda alarm: alarm.at)), times[rule.expire_after]

    def _all_rules(self) -> Iterator[tuple[tuple[int | str, ...], Rule]]:
        yield ("default",), self.default
        for action, rules in self.actions.items():
            for index, rule in enumerate(rules):
                yield ("actions", action, index), rule


def _strictness(rule: Rule) -> tuple[int, ...]:
    """Greater is stricter: a denial, then the approval that asks for most, then what is allowed."""
    asked = rule.approve
    if asked is None:
        return (2,) if rule.deny else (0,)
    ends = ("allow", "person", "deny").index(asked.on_expiry)
    return 1, asked.quorum, asked.four_eyes, asked.other_team, ends, -len(asked.roles)
