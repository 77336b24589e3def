"""The rehearsal of a proposal: its actions run in order, in a transaction that is rolled back.

So each action is judged and described as things will be once those before it have run, and a reviewer
sees what all of them come to. A remote action is not run; its facts are those of now.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from holdfast.activities.arguments import read_arguments
from holdfast.activities.attempts import is_passing, within
from holdfast.activities.containment import contained
from holdfast.activities.description import describe
from holdfast.activities.lock_retries import patiently
from holdfast.activities.policy_input import ProposalOrigin, customer_of
from holdfast.activities.resources import Resources
from holdfast.contract.action import ActionContext, ActionRefused, AnyAction
from holdfast.domain.description import ActionDescription
from holdfast.domain.errors import BrokenContract, TransactionEnded
from holdfast.domain.failures import in_words
from holdfast.domain.outcomes import OUTCOME_UNKNOWN, ActionState, ProposedAction
from holdfast.domain.text import storable, storable_value
from holdfast.store.pool import Connection, is_gone
from holdfast.store.subjects import lent_reads, lock_subjects, reading, require_no_call, writing

_FACTS: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])

LONGEST_SECONDS = 20.0
"""Longest rehearsal of an action: it holds its subject's lock meanwhile."""


@dataclass(frozen=True, kw_only=True)
class RehearsedAction:
    """An action with what it would meet. `blocked_as` is its state, and `error` the reason, where it
    could not run."""

    proposed: ProposedAction
    facts: dict[str, JsonValue] = field(default_factory=dict)
    customer: dict[str, JsonValue] = field(default_factory=dict)
    description: ActionDescription | None = None
    blocked_as: ActionState | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """An action that exists, with arguments that fit it."""

    index: int
    proposed: ProposedAction
    action: AnyAction
    arguments: BaseModel
    subject: str


async def rehearse(
    resources: Resources,
    origin: ProposalOrigin,
    proposed: Sequence[ProposedAction],
    *,
    is_last: bool,
    seconds: float = LONGEST_SECONDS,
) -> tuple[RehearsedAction, ...]:
    """Validate the arguments, and run the actions on trial, in order.

    An action whose code raises anything but `ActionRefused`, or takes longer than `seconds`, is tried
    again with the whole activity; in its last attempt, it counts as failed.
    """
    prepared = [_prepare(resources, origin, index, one) for index, one in enumerate(proposed)]

    async def run_on_trial() -> tuple[RehearsedAction, ...]:
        async with _on_trial(resources, origin, prepared) as connection:
            return tuple(
                [
                    one
                    if isinstance(one, RehearsedAction)
                    else await _rehearse(resources, origin, connection, one, is_last, seconds)
                    for one in prepared
                ]
            )

    return await patiently(run_on_trial)


@asynccontextmanager
async def _on_trial(
    resources: Resources, origin: ProposalOrigin, prepared: Sequence[_Prepared | RehearsedAction]
) -> AsyncIterator[Connection]:
    """A transaction under the subjects' locks, which is rolled back. A reviewer's edit does not wait for
    other systems: its facts are read again before it runs."""
    subjects = [one.subject for one in prepared if isinstance(one, _Prepared)]
    async with resources.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await lock_subjects(connection, origin.key.tenant, subjects)
            if origin.approval is None:
                await require_no_call(connection, origin.key.tenant, subjects)
            yield connection
        finally:
            if not is_gone(connection):  # an action that waits for something else has lost it
                await transaction.rollback()


def _prepare(
    resources: Resources, origin: ProposalOrigin, index: int, proposed: ProposedAction
) -> _Prepared | RehearsedAction:
    """What its arguments are and what it is about: brought code that reads nothing, and is not tried
    again."""
    action = resources.registry.action(proposed.name)
    if action is None:
        return _blocked(proposed, "refused", f"There is no action {proposed.name!r}.")
    try:
        with contained():
            arguments, recorded = read_arguments(action, proposed.arguments)
            subject = action.subject_of(origin.context(index, None), arguments)
    except ActionRefused as refused:
        return _blocked(proposed, "refused", str(refused))
    except ValidationError as error:
        return _blocked(proposed, "refused", in_words(error))
    except Exception as error:
        return _blocked(proposed, "failed", in_words(error))
    proposed = proposed.model_copy(update={"arguments": recorded})
    return _Prepared(
        index=index, proposed=proposed, action=action, arguments=arguments, subject=subject
    )


async def _rehearse(
    resources: Resources,
    origin: ProposalOrigin,
    connection: Connection,
    one: _Prepared,
    is_last: bool,
    seconds: float,
) -> RehearsedAction:
    try:
        async with within(seconds, f"the rehearsal of {one.proposed.name}"):
            if one.action.remote:
                async with lent_reads(resources.reads) as reads:
                    met = await _look(resources, origin, reads, one)
            else:
                async with reading(connection):
                    met = await _look(resources, origin, connection, one)
                await _run(origin, connection, one)
        return met
    except ActionRefused as refused:
        return _blocked(one.proposed, "refused", str(refused))
    except TransactionEnded as error:
        if origin.approval is None:  # the turn ends with it, and a person is called
            raise TransactionEnded(f"{one.proposed.name}, rehearsed: {error}") from None
        return _blocked(one.proposed, "failed", f"{in_words(error)}; {OUTCOME_UNKNOWN}")
    except Exception as error:
        another_try_helps = not isinstance(error, BrokenContract)
        if is_passing(error) or (another_try_helps and not is_last):
            raise
        return _blocked(one.proposed, "failed", in_words(error))


async def _look(
    resources: Resources, origin: ProposalOrigin, connection: Connection, one: _Prepared
) -> RehearsedAction:
    """What the action would meet, and what a reviewer reads of it."""
    context = origin.context(one.index, connection, read_only=True)
    facts = await facts_of(one.action, context, one.arguments)
    return RehearsedAction(
        proposed=one.proposed,
        facts=facts,
        customer=await customer_of(resources, connection, origin, one.action.name),
        description=await describe(one.action, context, one.arguments, facts),
    )


async def facts_of(
    action: AnyAction, context: ActionContext, arguments: BaseModel
) -> dict[str, JsonValue]:
    """What the action's `facts` says, as it can be stored."""
    facts = storable_value(await action.facts(context, arguments) if action.facts else {})
    try:
        return _FACTS.validate_python(facts, strict=True)
    except ValidationError as error:
        raise BrokenContract(
            f"the facts of {action.name} are no JSON: {in_words(error)}; give numbers, texts, lists and "
            "objects"
        ) from None


async def _run(origin: ProposalOrigin, connection: Connection, one: _Prepared) -> None:
    """Run it; constraints that wait for a commit are checked at once, since none follows."""
    async with writing(connection):
        await one.action.execute(origin.context(one.index, connection), one.arguments)
        await connection.execute("set constraints all immediate; set constraints all deferred")


def _blocked(proposed: ProposedAction, state: ActionState, error: str) -> RehearsedAction:
    return RehearsedAction(proposed=proposed, blocked_as=state, error=storable(error))
