"""Equal proposals: what waits or was just done is answered from there, and not done twice.

Looked at in the transaction that commits the step, under a lock of the customer, so that two equal
proposals at once, in one conversation or in two, can't both pass.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from pydantic import JsonValue

from holdfast.activities.arguments import are_equal
from holdfast.activities.judgement import JudgedAction, Judgement
from holdfast.activities.policy_input import ProposalOrigin
from holdfast.activities.resources import Resources
from holdfast.domain.ids import canonical_json
from holdfast.domain.outcomes import Proposal
from holdfast.domain.past import PastState
from holdfast.domain.policy import RepeatRule
from holdfast.store.action_history import EqualAction, find_equal, lock_repeats
from holdfast.store.faults import reach
from holdfast.store.pool import Connection

_WHAT: dict[PastState, str] = {
    "executed": "The same was done before",
    "not_undone": "The same was done before, and could not be taken back as it should have been",
    "unclear": "The same was tried before, and nobody knows yet whether it was done",
    "waiting": "The same was proposed before, and waits for a person's approval",
    "under_way": "The same was proposed before, and is being done",
}


async def without_repeats(
    resources: Resources,
    connection: Connection,
    origin: ProposalOrigin,
    proposal: Proposal,
    judgement: Judgement,
) -> Judgement:
    """The judgement, with every action that repeats another one blocked as `repeated`: it has the
    earlier one's result, and a reason in words.

    The policy's `repeats` say for each action whether it may be repeated. With `ask`, the default, one is
    let through that is proposed with `again`, where an agent was told of the repetition in an earlier
    turn of this conversation.
    """
    rules = {
        one.proposed.name: resources.registry.policy(origin.key.tenant, one.proposed.name).repeat(
            one.proposed.name
        )
        for one in judgement.actions
        if resources.registry.action(one.proposed.name) is not None
    }
    if all(rule.say == "allow" for rule in rules.values()):
        return judgement
    await lock_repeats(connection, origin.key.tenant, origin.customer)
    proposed: list[tuple[int, JudgedAction]] = []
    answered: list[JudgedAction] = []
    for index, one in enumerate(judgement.actions):
        rule = rules.get(one.proposed.name)
        if rule is None or rule.say == "allow":
            answered.append(one)
            continue
        equal = await find_equal(
            connection,
            origin.key,
            customer=origin.customer,
            name=one.proposed.name,
            arguments=one.proposed.arguments,
            is_equal=_equals(resources, one),
            within=rule.within,
        )
        first = next((at for at, other in proposed if _are_equal(resources, one, other)), index)
        proposed.append((index, one))
        if equal is not None and not (rule.say == "ask" and proposal.again and equal.told):
            answered.append(_repeated(one, equal, rule, origin))
        elif first != index:
            answered.append(
                replace(
                    one,
                    blocked_as="repeated",
                    repeats=origin.key.action_key(first).action_id,
                    error="The same proposal has this twice. Nothing was done: propose it once.",
                )
            )
        else:
            answered.append(one)
    await reach("after_repeats")
    return Judgement(actions=tuple(answered))


async def denied_repeats(
    resources: Resources, connection: Connection, origin: ProposalOrigin, judgement: Judgement
) -> list[str]:
    """Why arguments that a reviewer has edited may not stand, where policy lets nobody repeat what they
    repeat."""
    reasons: list[str] = []
    for one in judgement.actions:
        name = one.proposed.name
        rule = resources.registry.policy(origin.key.tenant, name).repeat(name)
        if rule.say != "deny":
            continue
        await lock_repeats(connection, origin.key.tenant, origin.customer)
        equal = await find_equal(
            connection,
            origin.key,
            customer=origin.customer,
            name=name,
            arguments=one.proposed.arguments,
            is_equal=_equals(resources, one),
            within=rule.within,
            besides=origin.approval,
        )
        if equal is not None:
            reasons.append(str(_repeated(one, equal, rule, origin).error))
    return reasons


def _repeated(
    one: JudgedAction, equal: EqualAction, rule: RepeatRule, origin: ProposalOrigin
) -> JudgedAction:
    here = equal.conversation == origin.key.conversation
    where = f"in turn {equal.turn}" if here else "in another conversation of this customer"
    if rule.say == "deny":
        then = f"Policy does not let it be done again within {_in_words(rule.within)}."
    elif here and equal.turn == origin.key.turn:
        then = "Tell the customer what came of it."
    else:
        then = (
            "Tell the customer; where they then confirm that they want it once more, propose it "
            "again, as confirmed."
        )
    if equal.changed_to is not None:
        changed = f" A reviewer has changed it, to {canonical_json(equal.changed_to)}."
    else:
        changed = ""
    return replace(
        one,
        blocked_as="repeated",
        repeats=equal.id,
        result=equal.result,
        description=one.description or equal.description,  # facts may refuse what is done already
        error=f"{_WHAT[equal.seen]}, {where}, at {equal.at:%Y-%m-%d %H:%M} UTC.{changed} Nothing was "
        f"done now. {then}",
    )


def _equals(resources: Resources, one: JudgedAction) -> Callable[[dict[str, JsonValue]], bool]:
    action = resources.registry.action(one.proposed.name)
    return lambda recorded: are_equal(action, recorded, one.proposed.arguments)


def _are_equal(resources: Resources, one: JudgedAction, other: JudgedAction) -> bool:
    same = one.proposed.name == other.proposed.name
    return same and _equals(resources, one)(other.proposed.arguments)


def _in_words(within: timedelta) -> str:
    hours, rest = divmod(int(within.total_seconds()), 3600)
    return f"{hours} hours" if not rest else f"{int(within.total_seconds())} seconds"
