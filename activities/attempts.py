"""Which failures of an activity are tried again, for how long, and how an attempt is ended and counted."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.containment import contained
from holdfast.activities.pulse import PULSE, Beating, Blockade
from holdfast.activities.refusals import this_activity
from holdfast.activities.tally import Tally
from holdfast.domain.errors import (
    AttemptsLost,
    ConfigurationError,
    HoldfastError,
    ModelUnavailable,
    NotServedHere,
    Permanent,
    StaleAttempt,
    SubgraphFailed,
    TookTooLong,
    Unavailable,
)
from holdfast.domain.failures import in_words
from holdfast.domain.identity import ConversationKey
from holdfast.graphs.runner import Progress
from holdfast.store.attempt_fence import begin_attempt
from holdfast.store.pool import Connection, Pool, is_transient

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")

LOST_ATTEMPTS = 15
"""Where the request says nothing else; see `Limits.lost_attempts`."""

_RECORD_SECONDS = 2.0
"""Of an attempt's time, at most this much is left to record how it has ended."""


def is_passing(error: BaseException) -> bool:
    """Whether it does not count against a step or an action: the same is tried again until it works."""
    return is_transient(error) or isinstance(error, ModelUnavailable | NotServedHere | StaleAttempt)


class Attempt:
    """The attempt at a step or an action that this activity is.

    Entered, it sends heartbeats, and is ended a little before Temporal would do that, so that it counts
    as what it is. `repeats` then says of the failure that came of it whether another attempt follows.

    Args:
        limit: attempts that may end by the fault of brought code.
        lost: attempts that may end without a word.
        within: seconds from the first attempt on, after which failures of Postgres end them as well.
        progress: where the graph is; None where no graph runs.
    """

    def __init__(
        self,
        limit: int,
        *,
        lost: int = LOST_ATTEMPTS,
        within: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        info = activity.info()
        self._limit = limit
        self._lost = lost
        self._until = info.scheduled_time + timedelta(seconds=within) if within else None
        self._number = info.attempt
        self._progress = progress
        self._tally = Tally.carried(tuple(info.heartbeat_details))
        self._beating = Beating.begin(progress or Progress(), self._tally)
        self._seconds = _longest(info)

    @property
    def blockades(self) -> Sequence[Blockade]:
        """Where it has kept the worker from doing anything else."""
        return self._beating.blockades

    @property
    def is_last(self) -> bool:
        """Whether no other follows if brought code raises in this one."""
        return self._tally.failures + 1 >= self._limit

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Beat, and end in time.

        Raises:
            AttemptsLost: as many as may were lost in a row before this one, or have failed.
            TookTooLong: this one was ended.
            Unavailable: this one was ended while none of the graph's nodes was running.
            SubgraphFailed: brought code wanted to exit, or cancelled itself.
        """
        lost = self._number - 1 - self._tally.heard
        if self._tally.failures >= self._limit:
            raise AttemptsLost(f"{self._tally.failures} attempts failed: {self._tally.reason}")
        if lost >= self._lost:
            raise AttemptsLost(f"{lost} attempts ended without a word: workers died or fell silent")
        if self._seconds is not None:
            # Temporal counts from when the worker took it; where the loop was blocked, it begins later.
            # More than its whole time says that the clocks differ, or that it is lost already.
            waited = (datetime.now(UTC) - activity.info().started_time).total_seconds()
            waited = waited if 0 < waited < self._seconds else 0.0
            self._beating.until = time.monotonic() + self._seconds - waited
        PULSE.add(self._beating)
        try:
            async with asyncio.timeout(self._seconds) as limit:
                with contained():
                    yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            if self._progress is not None and not self._progress.nodes:
                raise Unavailable(f"no answer of Postgres within {self._seconds:g} s") from error
            nodes = ", ".join(self._progress.nodes) if self._progress else "it"
            raise TookTooLong(f"{nodes} took longer than {self._seconds:g} s") from error
        finally:
            await PULSE.remove(self._beating)

    def repeats(self, error: Exception) -> bool:
        """Whether another attempt follows after this failure, which is counted with it."""
        if isinstance(error, AttemptsLost | ConfigurationError | Permanent):
            return False
        if is_passing(error):
            late = self._until is not None and datetime.now(UTC) > self._until
            if late and not isinstance(error, NotServedHere):
                return False
            tally = self._tally.passed_over(self._number)
        else:
            tally = self._tally.failed(self._number, type(error).__name__)
            if tally.failures >= self._limit:
                return False
        activity.heartbeat(*self._beating.details(tally))
        return True


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """End brought code in time.

    Raises:
        TookTooLong: it was ended.
        SubgraphFailed: it wanted to exit, or cancelled itself.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            with contained():
                yield
    except TimeoutError as error:
        if limit.expired():
            raise TookTooLong(f"{what} took longer than {seconds:g} s") from error
        raise


@asynccontextmanager
async def attempting(attempt: Attempt) -> AsyncIterator[None]:
    """Make an attempt.

    Raises:
        ApplicationError: not retryable, where no other attempt follows.
    """
    try:
        async with attempt.running():
            yield
    except Exception as error:
        if attempt.repeats(error):
            raise
        code = error.code if isinstance(error, HoldfastError) else SubgraphFailed.code
        details = (error.detail,) if isinstance(error, Permanent) else ()
        raise ApplicationError(in_words(error), *details, type=code, non_retryable=True) from error


@asynccontextmanager
async def beating() -> AsyncIterator[None]:
    """Send heartbeats in the background."""
    beats = Beating.begin(Progress(), Tally.carried(tuple(activity.info().heartbeat_details)))
    PULSE.add(beats)
    try:
        yield
    finally:
        await PULSE.remove(beats)


def heartbeating(
    work: Callable[Parameters, Awaitable[ResultT]],
) -> Callable[Parameters, Awaitable[ResultT]]:
    """An activity that sends heartbeats, so that the death of its worker is noticed soon."""

    @functools.wraps(work)
    async def beats(*args: Parameters.args, **kwargs: Parameters.kwargs) -> ResultT:
        async with beating():
            return await work(*args, **kwargs)

    return beats


@asynccontextmanager
async def recording(pool: Pool, key: ConversationKey) -> AsyncIterator[Connection]:
    """The transaction in which an activity records something.

    Raises:
        StaleAttempt: a later attempt has recorded it; this one belongs to a worker that was thought dead.
    """
    info = activity.info()
    async with pool.acquire() as connection, connection.transaction():
        if not await begin_attempt(
            connection,
            key,
            activity=this_activity(),
            attempt=info.attempt,
        ):
            raise StaleAttempt(f"a later attempt than {info.attempt} has recorded this")
        yield connection


def _longest(info: activity.Info) -> float | None:
    """How long the attempt may run, in seconds."""
    if info.start_to_close_timeout is None:
        return None
    seconds = info.start_to_close_timeout.total_seconds()
    return seconds - min(_RECORD_SECONDS, seconds / 4)
