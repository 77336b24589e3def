"""Policy: which actions may run at once, which need a person, which never run.

A tenant's policy is a YAML file:

    name: shop
    version: 1
    default: {approve: {role: support, within: 72h}}
    actions:
      modify_pending_order_address: allow
      cancel_pending_order:
        - when: facts.refund_amount > 100.0
          approve: {role: refunds, within: 48h}
          reason: The refund is above 100 USD.
        - allow

Rules are tried in order and the first that matches decides; where none does, `default` does, and
where that is missing a person with the role "support" decides within 72 hours. A condition (`when`)
is an expression of the Common Expression Language over `args`, `facts`, `customer` and `tenant`;
one that cannot be evaluated asks for an approval, since nobody knows what it would have said.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import cel
import yaml
from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from holdfast.domain.errors import PolicyError
from holdfast.domain.model import Frozen, Strict

VerdictKind = Literal["allow", "approve", "deny"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,9})\s*([smhd])")


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    raise ValueError(f"{value!r} is not a duration; write 90s, 30m, 48h or 7d")


Duration = Annotated[
    timedelta, BeforeValidator(_duration), Field(gt=timedelta(0), le=timedelta(days=3_650))
]


class ApprovalRule(Strict):
    """Who has to approve, and for how long the question stays open."""

    role: Annotated[str, Field(min_length=1)]
    within: Duration


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
        if self.when is not None:
            try:
                cel.compile(self.when)
            except ValueError as error:
                raise ValueError(f"condition {self.when!r}: {str(error).splitlines()[0]}") from None
        return self

    @cached_property
    def _program(self) -> Any:
        return cel.compile(self.when or "true")

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

_UNSURE = ApprovalRule(role="support", within=timedelta(hours=72))


class Verdict(Frozen):
    """What policy says about one action."""

    kind: VerdictKind
    reason: str | None = None
    role: str | None = None
    within: timedelta | None = None


class Policy(Strict):
    """A tenant's policy, checked when it is loaded."""

    name: str
    version: Annotated[int, Field(ge=1)]
    default: Rule = Rule(approve=_UNSURE)
    actions: dict[str, Rules] = Field(default_factory=dict)

    @field_validator("default")
    @classmethod
    def _always_decides(cls, default: Rule) -> Rule:
        if default.when is not None:
            raise ValueError("the default has no condition: it decides where nothing else does")
        return default

    def verdict(
        self,
        action: str,
        *,
        arguments: Mapping[str, JsonValue],
        facts: Mapping[str, JsonValue],
        customer: str,
        tenant: str,
    ) -> Verdict:
        """What happens to `action` with these arguments and facts."""
        variables = {"args": arguments, "facts": facts, "customer": customer, "tenant": tenant}
        for rule in self.actions.get(action, (self.default,)):
            try:
                if rule.matches(variables):
                    return _verdict(rule)
            except Exception as error:
                fallback = rule.approve or self.default.approve or _UNSURE
                return _verdict(
                    Rule(approve=fallback, reason=f"The condition {rule.when!r} failed: {error}")
                )
        return _verdict(self.default)


def _verdict(rule: Rule) -> Verdict:
    if rule.approve:
        return Verdict(
            kind="approve", reason=rule.reason, role=rule.approve.role, within=rule.approve.within
        )
    return Verdict(kind="allow" if rule.allow else "deny", reason=rule.reason)


def load_policy(text: str, *, source: str) -> Policy:
    """The policy in a YAML text; `source` is what errors call it.

    Raises:
        PolicyError: it is not YAML, or not a policy; the message names the place and the reason.
    """
    try:
        return Policy.model_validate(yaml.load(text, _Loader))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'the file'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise PolicyError(f"{source} is not a policy: {problems}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none, say
        raise PolicyError(f"{source} is not YAML: {error}") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's own loader drops the first in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(str(key.value))
        return node
