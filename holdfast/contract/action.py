"""What an agent builder writes for each change of the world that an agent may propose."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, JsonValue

from holdfast.contract.connection import Connection
from holdfast.domain.description import ActionDescription
from holdfast.domain.ids import derived_id
from holdfast.domain.text import storable

ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)


class ActionRefused(Exception):
    """Raise it in an action to refuse for good: "Order not found", say.

    What the action has written is rolled back, the refusal is recorded, and the subgraph gets it as
    the result's `error`. Any other exception is retried, and then ends as a failure.
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class ActionContext:
    """What an action gets besides its arguments.

    `connection` is inside the transaction that also records the execution: everything written
    through it happens exactly once, or not at all. When a proposal is rehearsed, that transaction is
    rolled back. A remote action gets no connection (None), and must send `idempotency_key`, which is
    the same on every try.
    """

    tenant: str
    conversation: str
    turn: int
    customer: str
    """The conversation's customer: an action refuses to touch anybody else's records."""
    idempotency_key: str
    connection: Connection | None
    read_only: bool = False
    """Whether Postgres refuses writes and locks of rows: while facts and a description are asked for."""

    @property
    def transaction(self) -> Connection:
        """The connection of an action on our own database.

        Raises:
            RuntimeError: in a remote action, which has none.
        """
        if self.connection is None:
            raise RuntimeError("a remote action has no database transaction")
        return self.connection

    def new_id(self, kind: str) -> str:
        """An id for something that the action makes, `{kind}_` and 16 hex digits: the same in the
        rehearsal and on every try. A second thing of a kind needs another `kind`."""
        return derived_id(kind, self.idempotency_key, kind)


@dataclass(frozen=True, kw_only=True)
class Action(Generic[ArgumentsT]):
    """A change of the world, by name.

    Args:
        name: what a `ProposedAction` calls it; unique over all packages.
        description: what it does, for the model and for reviewers.
        arguments: a pydantic model; arguments that do not fit it are refused before policy is asked.
        execute: does it, and returns a JSON value that the subgraph gets as `result`.
        facts: reads what policy conditions and reviewers need to know and the arguments do not say,
            such as the amount of a refund. Called when the action is proposed, after the actions that
            come before it, and again right before it runs; Postgres refuses writes in it. Raise
            `ActionRefused` where the action could not succeed anyway.
        informs: the names of facts that inform and don't bind: an approved action may run although
            these have changed since.
        describe: says what it would do, for reviewers: names and amounts instead of ids, and what
            changes; called like `facts`. Without it, the arguments and facts are listed.
        subject: what the action is about, such as an account that several customers share: no two
            actions on a subject run at the same time, on whichever systems. By default, the customer. It
            reads nothing.
        compensate: undoes what `execute` did, given its result, when a later action of the same
            proposal does not succeed.
        remote: `execute` calls another system instead of our database, and changes something by one call
            only: what can't connect counts as not attempted, any other error as of unknown outcome.
        fact_names: what `facts` returns by name, so that `policy check` finds conditions on other names.
    """

    name: str
    description: str
    arguments: type[ArgumentsT]
    execute: Callable[[ActionContext, ArgumentsT], Awaitable[JsonValue]]
    facts: Callable[[ActionContext, ArgumentsT], Awaitable[dict[str, JsonValue]]] | None = None
    informs: tuple[str, ...] = ()
    describe: Callable[[ActionContext, ArgumentsT], Awaitable[ActionDescription]] | None = None
    subject: Callable[[ActionContext, ArgumentsT], str] | None = None
    compensate: Callable[[ActionContext, ArgumentsT, JsonValue], Awaitable[None]] | None = None
    remote: bool = False
    fact_names: tuple[str, ...] | None = None

    def subject_of(self, context: ActionContext, arguments: ArgumentsT) -> str:
        """What no other action may be about while this one runs."""
        if self.subject is None:
            return f"customer/{context.customer}"
        return f"subject/{storable(self.subject(context, arguments))}"


AnyAction = Action[Any]
