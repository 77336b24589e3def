"""Reads the requests that handlers are sent, and turns errors into typed refusals.

Anybody who reaches Temporal can send a handler anything. A value that does not fit its parameter would raise in
the SDK, before the handler could refuse it, and a plain exception fails the workflow task forever. So handlers take any
values, and read them here.
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
    """The request that a handler was sent.

    Raises:
        InvalidRequest: The message names the fields that do not fit, without their values.
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
    """The input of a workflow; if it can't be read, `otherwise` and the error. Raised in `__init__`, that would
    fail the workflow task forever; raised in `run`, it fails the workflow."""
    try:
        return read(kind, received), None
    except InvalidRequest as refused:
        return otherwise, refused


@contextmanager
def refusing(unusable: InvalidRequest | None) -> Iterator[None]:
    """Turn refusals and failed activities into an `ApplicationError`, which ends a handler and nothing else;
    its type is the refusal's code. If the workflow's input is `unusable`, everything is refused for that."""
    try:
        if unusable is not None:
            raise unusable
        yield
    except Refused as refused:
        raise refusal(refused) from None
    except ActivityError as error:
        raise refusal(refusal_of(error)) from None


def refusal(refused: Exception) -> ApplicationError:
    """The refusal for Temporal."""
    code = getattr(refused, "code", Refused.code)
    return ApplicationError(str(refused), type=code, non_retryable=True)


def refusal_of(error: ActivityError) -> Exception:
    """The refusal that a failed activity is to its caller."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return ERRORS_BY_CODE.get(cause.type or "", SubgraphFailed)(cause.message)
    return SubgraphFailed("the request could not be carried out")
