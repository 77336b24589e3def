"""Which failures of an activity are tried again, and how a long one shows that it is alive."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.domain.errors import (
    ConfigurationError,
    ModelUnavailable,
    Permanent,
    StaleAttempt,
    SubgraphFailed,
    Unavailable,
)
from holdfast.store.attempts import begin_attempt
from holdfast.store.pool import TRANSIENT_ERRORS, Connection, Pool
from holdfast.subgraphs.runner import Progress

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")

BEAT_SECONDS = 0.5
"""Time between heartbeats; the heartbeat timeout is a few times that."""

PASSING_ERRORS: tuple[type[Exception], ...] = (
    *TRANSIENT_ERRORS,
    Unavailable,
    ModelUnavailable,
    StaleAttempt,
)
"""Failures that do not count against a subgraph or an action: they are tried again for ever."""


@contextmanager
def bounded_attempts(limit: int) -> Iterator[None]:
    """Let passing failures be retried for ever, and others until attempt `limit`.

    Raises:
        ApplicationError: not retryable, at once for what is permanent, and else once the last attempt
            has failed for other reasons.
    """
    try:
        yield
    except PASSING_ERRORS:
        raise
    except Permanent as error:
        raise ApplicationError(
            f"{error.code}: {error}", error.detail, type=error.code, non_retryable=True
        ) from error
    except Exception as error:
        if activity.info().attempt < limit and not isinstance(error, ConfigurationError):
            raise
        raise ApplicationError(
            f"{type(error).__name__}: {error}", type=SubgraphFailed.code, non_retryable=True
        ) from error


@asynccontextmanager
async def beating(progress: Progress | None = None) -> AsyncIterator[None]:
    """Send heartbeats in the background, with the nodes that run and for how many seconds."""
    beat = asyncio.create_task(_beat(progress or Progress()))
    try:
        yield
    finally:
        beat.cancel()


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
async def recording(pool: Pool, tenant: str, conversation: str) -> AsyncIterator[Connection]:
    """The transaction in which an activity records something.

    Raises:
        StaleAttempt: a later attempt has recorded it; this one belongs to a worker that was thought dead.
    """
    info = activity.info()
    async with pool.acquire() as connection, connection.transaction():
        if not await begin_attempt(
            connection,
            tenant=tenant,
            conversation=conversation,
            activity=f"{info.workflow_run_id}:{info.activity_id}",
            attempt=info.attempt,
        ):
            raise StaleAttempt(f"a later attempt than {info.attempt} has recorded this")
        yield connection


async def _beat(progress: Progress) -> None:
    while True:  # what takes less than this needs no heartbeat
        await asyncio.sleep(BEAT_SECONDS)
        seconds = round(time.monotonic() - progress.since, 1) if progress.nodes else 0.0
        activity.heartbeat(", ".join(progress.nodes), seconds)
