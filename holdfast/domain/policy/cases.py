"""Cases for a policy: what it has to say under which circumstances, written down in YAML.

policy: shop.yaml
cases:
  - name: a large refund needs two people
    action: cancel_pending_order
    facts: {refund_amount: 1200.0, paid_amount: 1200.0}
    expect: {kind: approve, roles: [refunds], quorum: 2}
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, JsonValue

from holdfast.domain.documents import read_document
from holdfast.domain.errors import PolicyError
from holdfast.domain.model import Frozen, Strict
from holdfast.domain.outcomes import PriorityName, VerdictKind
from holdfast.domain.policy.durations import Duration
from holdfast.domain.policy.rules import Policy, PolicyInput, Verdict


class ConversationFacts(Strict):
    """What conditions see of a conversation, where a case says nothing else."""

    id: str = "c1"
    priority: PriorityName = "normal"
    language: str = "en"
    age: Duration | None = None
    turns: int = 1


class Expectation(Strict):
    """What the policy has to say; what is left out may be anything."""

    kind: VerdictKind
    rule: str | None = None
    reason: str | None = None
    roles: tuple[str, ...] | None = None
    quorum: int | None = None
    four_eyes: bool | None = None


class Case(Strict):
    """One action under some circumstances, and what is expected."""

    name: str
    action: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    customer: dict[str, JsonValue] = Field(default_factory=dict)
    conversation: ConversationFacts = ConversationFacts()
    windows: dict[str, Decimal] = Field(default_factory=dict)
    tenant: str = "demo"
    expect: Expectation

    def policy_input(self) -> PolicyInput:
        """What the policy is asked about. Sums that are not given are 0."""
        return policy_input(
            arguments=self.arguments,
            facts=self.facts,
            customer=self.customer,
            conversation=self.conversation,
            windows=self.windows,
            tenant=self.tenant,
        )

    def problems(self, policy: Policy) -> tuple[str, ...]:
        """Where the policy says something else."""
        known = dict.fromkeys(policy.windows, Decimal(0))
        given = self.policy_input()
        verdict = policy.verdict(
            self.action, given.model_copy(update={"windows": {**known, **given.windows}})
        )
        said = _said(verdict)
        expected = self.expect.model_dump(exclude_none=True)
        return tuple(
            f"{name} is {said.get(name)!r} instead of {value!r}"
            for name, value in expected.items()
            if said.get(name) != value
        )


class CaseFile(Strict):
    """A file of cases; `policy` is the path of the policy, from where the file is."""

    policy: Path
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


class CaseResult(Frozen):
    """Whether a case holds."""

    name: str
    problems: tuple[str, ...]


def policy_input(
    *,
    arguments: dict[str, JsonValue],
    facts: dict[str, JsonValue],
    customer: dict[str, JsonValue],
    conversation: ConversationFacts,
    windows: dict[str, Decimal],
    tenant: str,
) -> PolicyInput:
    """Circumstances as a worker would make them; `customer` gets an id where it has none."""
    seen: dict[str, Any] = conversation.model_dump(exclude={"age"})
    if conversation.age is not None:
        seen["age"] = conversation.age
    return PolicyInput(
        args=arguments,
        facts=facts,
        customer={"id": "customer", **customer},
        conversation=seen,
        windows=windows,
        tenant=tenant,
    )


def load_cases(text: str, *, source: str) -> CaseFile:
    """The cases in a YAML text.

    Raises:
        PolicyError: it is not YAML, or has no cases; the message has a line for each problem.
    """
    return read_document(text, CaseFile, source=source, error=PolicyError)


def _said(verdict: Verdict) -> dict[str, object]:
    said: dict[str, object] = {
        "kind": verdict.kind,
        "rule": verdict.rule,
        "reason": verdict.reason,
    }
    if verdict.approve is not None:
        said |= {
            "roles": verdict.approve.roles,
            "quorum": verdict.approve.quorum,
            "four_eyes": verdict.approve.four_eyes,
        }
    return said
