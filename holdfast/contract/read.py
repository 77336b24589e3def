"""What an agent builder writes for each thing that an agent may look up."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, JsonValue

from holdfast.contract.subgraph import TurnContext, TurnOutcome

ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)


class ReadError(Exception):
    """Raise it in a read that has no answer: "Order not found", say. The model is told the message.
    Any other exception counts as one of the step's attempts."""


@dataclass(frozen=True, kw_only=True)
class Read(Generic[ArgumentsT]):
    """A tool that changes nothing, by name.

    Args:
        name: what the model calls it; an agent has no other tool of this name.
        description: what it does, for the model.
        arguments: a pydantic model; the model is told where arguments do not fit it.
        run: returns a JSON value, which the model is told, or an outcome, which ends the turn:
            an `Escalation` to a person, say. It may run more than once. Whose records it shows is
            up to it: filter by the context's `tenant` and `customer`.
        lenient: a call counts even where its arguments cannot be read; they are taken for none then,
            so they have defaults.
    """

    name: str
    description: str
    arguments: type[ArgumentsT]
    run: Callable[[TurnContext, ArgumentsT], Awaitable[JsonValue | TurnOutcome]]
    lenient: bool = False


AnyRead = Read[Any]
