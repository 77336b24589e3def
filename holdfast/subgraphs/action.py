"""What an agent builder writes for each change of the world that an agent may propose."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, JsonValue

from holdfast.domain.description import ActionDescription
from holdfast.store.pool import Connection

ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)


class ActionRefused(Exception):
    """Raise it in an action to refuse for good: "Order not found", say.

    What the action has written is rolled back, the refusal is recorded, and the subgraph gets it as
    the result's `error`. Any other exception is retried, and then ends as a failure.
    """


@dataclass(frozen=True, kw_only=True)
class ActionContext:
    """What an action gets besides its arguments.

    `connection` is inside the transaction that also records the execution: everything written
    through it happens exactly once, or not at all. A remote action gets no connection (None), and
    must send `idempotency_key`, which is the same on every try.
    """

    tenant: str
    conversation: str
    turn: int
    customer: str
    """The conversation's customer: an action refuses to touch anybody else's records."""
    idempotency_key: str
    connection: Connection | None

    @property
    def transaction(self) -> Connection:
        """The connection of an action on our own database.

        Raises:
            RuntimeError: in a remote action, which has none.
        """
        if self.connection is None:
            raise RuntimeError("a remote action has no database transaction")
        return self.connection


@dataclass(frozen=True, kw_only=True)
class Action(Generic[ArgumentsT]):
    """A change of the world, by name.

    Args:
        name: what a `ProposedAction` calls it; unique over all packages.
        description: what it does, for the model and for reviewers.
        arguments: a pydantic model; arguments that do not fit it are refused before policy is asked.
        execute: does it, and returns a JSON value that the subgraph gets as `result`.
        facts: reads what policy conditions and reviewers need to know and the arguments do not say,
            such as the amount of a refund; called on a read-only connection when the action is
            proposed. Raise `ActionRefused` where the action could not succeed anyway.
        describe: says what it would do, for reviewers: names and amounts instead of ids, and what
            changes; called like `facts`. Without it, the arguments and facts are listed.
        compensate: undoes what `execute` did, given its result, when a later action of the same
            proposal does not succeed.
        remote: `execute` calls another system instead of our database.
        fact_names: what `facts` returns by name, so that `policy check` finds conditions on other names.
    """

    name: str
    description: str
    arguments: type[ArgumentsT]
    execute: Callable[[ActionContext, ArgumentsT], Awaitable[JsonValue]]
    facts: Callable[[ActionContext, ArgumentsT], Awaitable[dict[str, JsonValue]]] | None = None
    describe: Callable[[ActionContext, ArgumentsT], Awaitable[ActionDescription]] | None = None
    compensate: Callable[[ActionContext, ArgumentsT, JsonValue], Awaitable[None]] | None = None
    remote: bool = False
    fact_names: tuple[str, ...] | None = None


AnyAction = Action[Any]
