"""Waiting for locks of our own: beside the database, one at a time, and never as a failure of the work."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from temporalio import activity

from holdfast.domain.errors import LockTaken

ResultT = TypeVar("ResultT")

_LONGEST_SECONDS = 5.0
"""Of an attempt's time, at most this much, and at most a quarter of it, goes by with waiting. Then Temporal
tries it again, which leaves the place to others."""

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.2
_GROWTH = 1.5

_QUEUES: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""Who waits for a lock in this process: the first looks whether it is free, the others wait for the first."""


async def patiently(work: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """What `work` returns, a transaction that takes locks. Where one is taken, it is rolled back and begun
    again later; nobody has a connection meanwhile.

    Raises:
        LockTaken: it has been taken for too long for this attempt.
    """
    until = time.monotonic() + _patience()
    pause = _FIRST_PAUSE_SECONDS
    queue: asyncio.Lock | None = None
    waiting_for = ""
    try:
        while True:
            try:
                return await work()
            except LockTaken as taken:
                if time.monotonic() >= until:
                    raise
                if taken.key != waiting_for:
                    if queue is not None:
                        queue.release()
                    queue, waiting_for = None, taken.key
                    queue = await _queued(taken, until)
            await asyncio.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
    finally:
        if queue is not None:
            queue.release()


async def _queued(taken: LockTaken, until: float) -> asyncio.Lock:
    """The queue, once it is our turn."""
    queue = _QUEUES.setdefault(taken.key, asyncio.Lock())
    try:
        async with asyncio.timeout(until - time.monotonic()):
            await queue.acquire()
    except TimeoutError:
        raise taken from None
    return queue


def _patience() -> float:
    longest = activity.info().start_to_close_timeout
    return min(_LONGEST_SECONDS, longest.total_seconds() / 4) if longest else _LONGEST_SECONDS
