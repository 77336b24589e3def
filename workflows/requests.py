"""What handlers are sent, made regular: whoever reaches Temporal can send them anything.

A value that does not fit raises in the SDK before a handler could refuse it, or inside the handler
where their number is wrong; and a plain exception there fails the workflow task forever. So handlers take
what comes, and read it here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import TypeAdapter, ValidationError

    from holdfast.domain.errors import ERRORS_BY_CODE, InvalidRequest, Refused, SubgraphFailed
    from holdfast.domain.failures import in_words

RequestT = TypeVar("RequestT")


def read(kind: type[RequestT], received: Sequence[Any]) -> RequestT:
    """The request among the values that a handler was sent.

    Raises:
        InvalidRequest: it is none of this kind; the message names the fields, and no values.
    """
    if len(received) != 1:
        raise InvalidRequest(f"one value is expected, and {len(received)} came")
    try:
        return TypeAdapter(kind).validate_python(received[0])
    except ValidationError as error:
        raise InvalidRequest(in_words(error)) from None
    except RecursionError:
        raise InvalidRequest("the request is nested too deeply") from None


def read_start(
    kind: type[RequestT], received: Sequence[Any], otherwise: RequestT
) -> tuple[RequestT, InvalidRequest | None]:
    """The input of a workflow, or `otherwise` and why: an error in `__init__` would fail the workflow task
    forever, the workflow itself can fail for it."""
    try:
        return read(kind, received), None
    except InvalidRequest as refused:
        return otherwise, refused


@contextmanager
def refusing(unusable: InvalidRequest | None) -> Iterator[None]:
    """Let nothing out of a handler but refusals, which are typed and end nothing. `unusable` is why the
    workflow's input can't be read, if so: then everything is refused for that.

    Raises:
        ApplicationError: its type is the refusal's code.
    """
    try:
        if unusable is not None:
            raise unusable
        yield
    except Refused as refused:
        raise refusal(refused) from None
    except ActivityError as error:
        raise refusal(refusal_of(error)) from None


def refusal(refused: Exception) -> ApplicationError:
    """A refusal as it crosses the wire."""
    code = getattr(refused, "code", Refused.code)
    return ApplicationError(str(refused), type=code, non_retryable=True)


def refusal_of(error: ActivityError) -> Exception:
    """What the failure of an activity means to whoever has asked for it."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return ERRORS_BY_CODE.get(cause.type or "", SubgraphFailed)(cause.message)
    return SubgraphFailed("the request could not be carried out")
