"""Failures on their way into Temporal's histories: in words of ours, without values.

A history is read by the cluster's operators, and kept for long. An exception's own message may hold
what a customer wrote, SQL, or an address with its password; its traceback shows our internals, and that of
its causes. So histories get `holdfast.domain.failures.in_words`; `holdfast.telemetry.logs` has the places as well.
"""

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, TemporalError

from holdfast.domain.errors import HoldfastError
from holdfast.domain.failures import in_words


class WordedFailures(DefaultFailureConverter):
    """Writes failures without tracebacks and, unless they are meant to be read, without their messages.

    Those of Temporal's own kinds are: we raise them, or the SDK does, with words for that.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Fill `failure` in; what the exception was raised from is told in the same way."""
        super().to_failure(_worded(exception), payload_converter, failure)
        _forget_places(failure)


def _worded(exception: BaseException) -> BaseException:
    if isinstance(exception, TemporalError):
        return exception
    own = isinstance(exception, HoldfastError)
    return ApplicationError(
        str(exception) if own else in_words(exception), type=type(exception).__name__
    )


def _forget_places(failure: Failure) -> None:
    failure.stack_trace = ""
    if failure.HasField("cause"):
        _forget_places(failure.cause)
