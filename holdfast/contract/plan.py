"""What an action would do, worked out in one place for its `facts`, `describe` and `execute`."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from pydantic import BaseModel, JsonValue

from holdfast.contract.action import ActionContext
from holdfast.domain.description import ActionDescription

ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)
PlanT = TypeVar("PlanT")


class Plan(Generic[ArgumentsT, PlanT]):
    """Makes the parts of an action that rest on the same reads and checks.

        redirection = Plan(find_parcel)
        Action(
            name="redirect_parcel",
            facts=redirection.facts(lambda wanted, parcel: {"insured": parcel.insured}),
            describe=redirection.describe(describe),
            execute=redirection.execute(redirect),
            ...
        )

    Args:
        make: reads what the action needs and checks it; raises `ActionRefused` where the action could
            not succeed. It runs once for `facts` and `describe` together, and once more, in the
            action's transaction, for `execute`. It may lock rows unless `context.read_only`. The
            `execute` of a remote action has no connection, so it can't have a plan.
    """

    def __init__(self, make: Callable[[ActionContext, ArgumentsT], Awaitable[PlanT]]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[ActionContext, tuple[ArgumentsT, PlanT]] = WeakKeyDictionary()

    def facts(
        self, facts: Callable[[ArgumentsT, PlanT], dict[str, JsonValue]]
    ) -> Callable[[ActionContext, ArgumentsT], Awaitable[dict[str, JsonValue]]]:
        """An action's `facts`, from its arguments and the plan."""

        async def of_plan(context: ActionContext, arguments: ArgumentsT) -> dict[str, JsonValue]:
            return facts(arguments, await self._seen(context, arguments))

        return of_plan

    def describe(
        self, describe: Callable[[ArgumentsT, PlanT], ActionDescription]
    ) -> Callable[[ActionContext, ArgumentsT], Awaitable[ActionDescription]]:
        """An action's `describe`, from its arguments and the plan."""

        async def of_plan(context: ActionContext, arguments: ArgumentsT) -> ActionDescription:
            return describe(arguments, await self._seen(context, arguments))

        return of_plan

    def execute(
        self, execute: Callable[[ActionContext, ArgumentsT, PlanT], Awaitable[JsonValue]]
    ) -> Callable[[ActionContext, ArgumentsT], Awaitable[JsonValue]]:
        """An action's `execute`, which gets the plan as a third argument."""

        async def of_plan(context: ActionContext, arguments: ArgumentsT) -> JsonValue:
            return await execute(context, arguments, await self._make(context, arguments))

        return of_plan

    async def _seen(self, context: ActionContext, arguments: ArgumentsT) -> PlanT:
        """The plan for one look at an action: the platform asks for facts and description with the same
        context and the same arguments, and nothing changes in between."""
        made = self._made.get(context)
        if made is None or made[0] is not arguments:
            made = self._made[context] = arguments, await self._make(context, arguments)
        return made[1]
