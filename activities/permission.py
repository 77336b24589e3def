"""Whether an action may run at this moment: facts and policy are asked again, in its own transaction.

What was judged when the action was proposed decides whether people were asked. What is executed is what
policy allows now, whatever ran beside or before it. The caller holds the lock of the action's subject, so
nothing that is looked at here changes until the action has run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue, TypeAdapter

from holdfast.activities.description import describe
from holdfast.activities.policy_input import (
    ProposalOrigin,
    customer_of,
    locked_windows,
    policy_input,
)
from holdfast.activities.policy_threads import verdict_of
from holdfast.activities.refusals import refused
from holdfast.activities.rehearsal import facts_of
from holdfast.activities.resources import Resources
from holdfast.contract.action import ActionRefused, AnyAction
from holdfast.domain.activity_protocol import ActionRequest
from holdfast.domain.approval import Approval
from holdfast.domain.description import ActionDescription
from holdfast.domain.errors import NotAllowed, PolicyError
from holdfast.domain.identity import ActionKey
from holdfast.domain.ids import canonical_json
from holdfast.domain.policy import ApprovalRule, Policy, PolicyInput, Verdict
from holdfast.domain.records import ActionRecord
from holdfast.domain.text import line, storable
from holdfast.store.actions import proposal_of
from holdfast.store.pool import Connection
from holdfast.store.subjects import lent_reads, reading
from holdfast.store.windows import Place

_DESCRIPTION = TypeAdapter(ActionDescription)

_MOST_FACTS = 10
_FACT_CHARACTERS = 100
"""How much is said of facts that have changed; it goes into events and the audit log."""


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Whether an action may run: the facts that it runs with, and why it may not, in words, where it may
    not."""

    facts: dict[str, JsonValue] | None = None
    objection: str | None = None


async def permission(
    resources: Resources,
    connection: Connection,
    key: ActionKey,
    record: ActionRecord,
    action: AnyAction,
    arguments: BaseModel,
    approval: Approval | None,
) -> Permission:
    """Whether the action may run now. `approval` is the one that it was given, as worked out from its
    decisions."""
    origin = _origin(key, record)
    try:
        if action.remote:
            async with lent_reads(resources.reads) as reads:
                facts, customer, description = await _look(
                    resources, reads, origin, record, action, arguments
                )
        else:
            async with reading(connection):
                facts, customer, description = await _look(
                    resources, connection, origin, record, action, arguments
                )
    except ActionRefused as error:
        return Permission(objection=storable(str(error)))
    if approval is not None and _saw_these_facts(approval, record):
        changed = _other_facts(_bound(action, record.facts), _bound(action, facts))
        changed = changed or _other_description(action, record.description, description)
        if changed is not None:
            return Permission(objection=changed)
    forbidden = await _forbidden(resources, connection, origin, record, facts, customer, approval)
    return Permission(facts=facts, objection=forbidden)


async def require_order(
    connection: Connection, request: ActionRequest, record: ActionRecord
) -> None:
    """An action begins, or ends without that, only after those before it in its proposal.

    Raises:
        ApplicationError: `NotAllowed`, for good: one of those is not executed. Nothing is recorded.
    """
    if record.begun or not record.index:
        return
    proposal = await proposal_of(connection, request.key)
    for one in proposal[: record.index]:
        if one.state != "executed":
            raise refused(
                NotAllowed(f"action {record.id} comes after action {one.id}, which is {one.state}")
            )


async def _look(
    resources: Resources,
    connection: Connection,
    origin: ProposalOrigin,
    record: ActionRecord,
    action: AnyAction,
    arguments: BaseModel,
) -> tuple[dict[str, JsonValue], dict[str, JsonValue], ActionDescription]:
    context = origin.context(record.index, connection, read_only=True)
    facts = await facts_of(action, context, arguments)
    customer = await customer_of(resources, connection, origin, action.name)
    return facts, customer, await describe(action, context, arguments, facts)


async def _forbidden(
    resources: Resources,
    connection: Connection,
    origin: ProposalOrigin,
    record: ActionRecord,
    facts: dict[str, JsonValue],
    customer: dict[str, JsonValue],
    approval: Approval | None,
) -> str | None:
    """What policy has against it: a stricter verdict of the version that it was asked under, or a denial
    of the one in force."""
    current = resources.registry.policy(origin.key.tenant, record.name)
    asked: Policy | None = current
    if record.policy_digest != current.digest and record.policy_digest is not None:
        try:
            asked = await resources.policy_texts.find(
                connection, origin.key.tenant, record.policy_digest
            )
        except PolicyError:
            return "The policy that this was asked under can't be read any more."
    policies = [policy for policy in (asked, current) if policy is not None]
    windows = await locked_windows(
        connection,
        origin,
        ((policy, record.name) for policy in policies),
        before=_place(record),
    )

    async def verdict(policy: Policy) -> Verdict:
        return await verdict_of(policy, record.name, await seen(policy))

    async def seen(policy: Policy) -> PolicyInput:
        return policy_input(
            origin,
            arguments=record.arguments,
            facts=facts,
            customer=customer,
            windows=await windows.read(policy.windows_of(record.name)),
        )

    if asked is not None:
        now = await verdict(asked)
        if now.kind == "deny":
            return f"This is not allowed any more: {now.reason or 'policy denies it.'}"
        if now.approve is not None and not _is_given(asked, now.approve, approval):
            return f"This needs an approval now: {now.reason or 'policy asks for one.'}"
    if asked is not current:
        now = await verdict(current)
        if now.kind == "deny":
            return f"This is not allowed any more: {now.reason or 'policy denies it.'}"
    return None


def _is_given(policy: Policy, rule: ApprovalRule, approval: Approval | None) -> bool:
    """Whether what the rule needs was part of what was approved. Under another rule than those that it was
    asked for under, only people who accepted it count, or a silence that the rule takes for consent, too."""
    if approval is None:
        return False
    if rule.digest in approval.rules:
        return True
    if not approval.ended_by_silence:
        return approval.was_met(rule.requirement())
    _, until = policy.schedule(rule, asked_at=approval.requested_at, requirement=0)
    allows = rule.on_expiry == "allow" and until <= approval.expires_at
    return allows and rule.requirement() in approval.requirements


def _saw_these_facts(approval: Approval, record: ActionRecord) -> bool:
    """Earlier versions showed the later actions of a proposal as if those before them were not run."""
    return approval.covers == "shown" or record.index == 0


def _origin(key: ActionKey, record: ActionRecord) -> ProposalOrigin:
    return ProposalOrigin(
        key=key,
        agent="",
        customer=record.customer,
        priority=record.priority,
        language=record.language,
        opened_at=record.opened_at,
    )


def _place(record: ActionRecord) -> Place:
    return Place.model_validate(record.model_dump(include=set(Place.model_fields)))


def _bound(action: AnyAction, facts: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The facts that have to be as they were shown."""
    return {name: fact for name, fact in facts.items() if name not in action.informs}


def _other_facts(shown: dict[str, JsonValue], now: dict[str, JsonValue]) -> str | None:
    """What has become of the facts that the reviewers saw, in words."""
    names = sorted(
        name
        for name in shown.keys() | now.keys()
        if (name in shown, canonical_json(shown.get(name)))
        != (name in now, canonical_json(now.get(name)))
    )
    if not names:
        return None
    changes = [
        f"{_brief(name)} was {_fact(shown, name)} and is now {_fact(now, name)}"
        for name in names[:_MOST_FACTS]
    ]
    if len(names) > _MOST_FACTS:
        changes.append(f"and {len(names) - _MOST_FACTS} more")
    return _changed(", ".join(changes))


def _fact(facts: dict[str, JsonValue], name: str) -> str:
    """A fact in one spelling, whether its numbers come as whole ones or not."""
    if name not in facts:
        return "not there"
    fact = facts[name]
    return _brief(fact if isinstance(fact, str) else canonical_json(fact))


def _other_description(action: AnyAction, shown: JsonValue, now: ActionDescription) -> str | None:
    """What has become of the description that the reviewers saw: its amount, or which of its parts. What
    they say is for reviewers, not for the agent that gets this. A description from the action's schema
    has nothing but its arguments and facts, which are compared by themselves."""
    now = ActionDescription.model_validate(_DESCRIPTION.dump_python(now, mode="json"))
    before = ActionDescription.model_validate(shown or {"title": now.title})
    if (before.amount, before.currency) != (now.amount, now.currency):
        return _changed(f"the amount was {_money(before)} and is now {_money(now)}")
    if shown is None or action.describe is None:
        return None
    parts = [
        name.replace("_", " ")
        for name in ActionDescription.model_fields
        if getattr(before, name) != getattr(now, name)
    ]
    return _changed(f"what reviewers read as its {' and '.join(parts)}") if parts else None


def _changed(what: str) -> str:
    return f"This has changed since it was approved: {what}."


def _brief(text: str) -> str:
    return line(text, _FACT_CHARACTERS)


def _money(description: ActionDescription) -> str:
    if description.amount is None:
        return "none"
    return f"{description.amount:f} {description.currency}"
