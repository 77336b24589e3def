"""Policy: which actions may run at once, which need people, which never run.

A tenant's policy is a YAML file:

    name: shop
    version: 1
    default: {approve: {roles: [support], expire_after: 72h}}
    windows:
      refunds_30d: {amount: facts.refund_amount, actions: [cancel_pending_order], within: 30d}
    actions:
      modify_pending_order_address: allow
      cancel_pending_order:
        - when: facts.refund_amount > 1000.0 || windows.refunds_30d + facts.refund_amount > 2000.0
          approve: {roles: [refunds], quorum: 2, four_eyes: true, expire_after: 48h}
          reason: Much money goes back to the customer.
        - allow
    repeats:
      modify_pending_order_address: allow

Rules are tried in order and the first that matches decides; where none does, `default` does, and
where that is missing somebody with the role "support" decides within 72 hours. A condition (`when`)
is an expression of the Common Expression Language over `args`, `facts`, `customer`, `conversation`,
`windows` and `tenant`; where one cannot be evaluated, the strictest rule that could still match counts.
`repeats` says for each action what happens to a proposal that is equal to one that waits or was just
executed; without it, the customer has to confirm that they want it twice.
"""

from holdfast.domain.policy.approval_rules import ApprovalRule, EscalationStep
from holdfast.domain.policy.policy_file import load_policy
from holdfast.domain.policy.rules import (
    Policy,
    PolicyInput,
    RepeatRule,
    Rule,
    RuleTrial,
    Verdict,
    Window,
)
from holdfast.domain.policy.working_time import WorkingTime

__all__ = [
    "ApprovalRule",
    "EscalationStep",
    "Policy",
    "PolicyInput",
    "RepeatRule",
    "Rule",
    "RuleTrial",
    "Verdict",
    "Window",
    "WorkingTime",
    "load_policy",
]
