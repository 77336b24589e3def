"""Heartbeats from a thread of their own, which a node that blocks the worker's event loop can't starve.

The thread also notices that: it names the node, and ends the process where the loop does not come back.
So does the interpreter's watchdog where code keeps the interpreter, and this thread with it.
"""

import asyncio
import contextvars
import faulthandler
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from langchain_core.runnables.config import var_child_runnable_config
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from holdfast.activities.containment import context_of
from holdfast.activities.tally import Tally
from holdfast.domain.errors import LoopBlocked
from holdfast.graphs.runner import Progress
from holdfast.telemetry.metrics import count_blocked_loop

_logger = logging.getLogger("holdfast.worker")

_TICK_SECONDS = 0.05
_PROBE_SECONDS = 0.25
BLOCKED_SECONDS = 1.0
"""A loop that does nothing else for this long is blocked; what blocks it is named."""

_FROZEN_SECONDS = 0.5
"""A thread that wakes up this late was frozen itself, with its whole process."""

_LATE_SECONDS = 0.1
"""An attempt that runs on for this long after its own time, while its loop gives no sign, can't end itself."""

_ARM_SECONDS = 1.0
_BEATS_PER_TIMEOUT = 3
_TELL_SECONDS = 5.0


@dataclass(frozen=True)
class Blockade:
    """A piece of code that kept the event loop to itself."""

    node: str
    where: str
    seconds: float


@dataclass(eq=False)
class Beating:
    """An attempt that beats."""

    progress: Progress
    tally: Tally
    interval: float
    loop: asyncio.AbstractEventLoop
    thread: int
    task: "asyncio.Task[Any] | None"
    context: contextvars.Context
    client: Client | None
    due: float
    until: float = math.inf
    """When its own time is over; a little later, Temporal ends it, and hears of no reason."""
    beaten: bool = False
    told: bool = False
    """Whether Temporal was told that it has blocked its loop for too long."""
    blockades: list[Blockade] = field(default_factory=list)
    """Where this attempt has blocked the loop."""

    @classmethod
    def begin(cls, progress: Progress, tally: Tally) -> "Beating":
        """Of the activity that is running; the first beat is due in a third of its heartbeat timeout."""
        timeout = activity.info().heartbeat_timeout
        interval = (timeout.total_seconds() if timeout else 3.0) / _BEATS_PER_TIMEOUT
        try:
            client = activity.client()
        except RuntimeError:  # in an activity that Temporal's test environment runs
            client = None
        return cls(
            progress=progress,
            tally=tally,
            interval=interval,
            loop=asyncio.get_running_loop(),
            thread=threading.get_ident(),
            task=asyncio.current_task(),
            context=contextvars.copy_context(),
            client=client,
            due=time.monotonic() + interval,
        )

    def is_late_on(self, loop: asyncio.AbstractEventLoop, now: float) -> bool:
        """Whether it should have ended by itself by now, and this loop is what it runs on."""
        return self.loop is loop and self.until + _LATE_SECONDS <= now

    def details(self, tally: Tally | None = None) -> tuple[Any, ...]:
        """What a heartbeat says: the nodes that run, for how many seconds, and the tally."""
        nodes, since = self.progress.nodes, self.progress.since
        seconds = round(time.monotonic() - since, 1) if nodes else 0.0
        tally = tally or self.tally
        return ", ".join(nodes), seconds, tally.failures, tally.heard, tally.reason


_ATTEMPT: contextvars.ContextVar[Beating] = contextvars.ContextVar("holdfast_attempt")
"""What runs here, and in the tasks that it starts, is this attempt's."""


@dataclass
class _Loop:
    """What the thread knows of an event loop."""

    asked: float | None = None
    """When it was asked for a sign that has not come yet."""
    next_probe: float = 0.0
    blocking: "tuple[Beating | None, Blockade] | None" = None
    given_up: bool = False


class Pulse:
    """Beats for the attempts of this process.

    With `give_up`, a loop that is blocked for `give_up_seconds` is given up: the attempt that blocks it
    has failed, and `give_up` ends the process, so that others try what else it was working on.
    """

    def __init__(self) -> None:
        self.give_up: Callable[[], object] | None = None
        self.give_up_seconds = 30.0
        self._beating: set[Beating] = set()
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self._thread: threading.Thread | None = None
        self._own: asyncio.AbstractEventLoop | None = None
        self._armed = 0.0
        self._telling: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()

    def add(self, beating: Beating) -> None:
        """Beat for an attempt until it is removed."""
        if self._thread is None:
            self._start()
        self._beating.add(beating)
        _ATTEMPT.set(beating)

    async def remove(self, beating: Beating) -> None:
        """Beat for it no more; what is being sent has been sent when this returns."""
        with self._lock:
            self._beating.discard(beating)
        if beating.beaten and self._own is not None:
            drained = asyncio.run_coroutine_threadsafe(_drain(), self._own)
            await asyncio.wrap_future(drained)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name="pulse", daemon=True)
                self._thread.start()

    def _main(self) -> NoReturn:
        self._own = asyncio.new_event_loop()
        self._own.run_until_complete(self._run())
        raise AssertionError("the pulse ends with its process")

    async def _run(self) -> NoReturn:
        woke = time.monotonic()
        while True:
            if self.give_up is not None and woke >= self._armed + _ARM_SECONDS:
                self._arm(woke)
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            frozen = now - woke > _FROZEN_SECONDS
            woke = now
            beating = tuple(self._beating)
            for one in beating:
                if one.due <= now and not one.told:
                    self._beat(one, now)
            try:
                await self._look(beating, now, frozen)
            except Exception:
                _logger.exception("the pulse cannot look after its event loops")

    def _arm(self, now: float) -> None:
        """End the process also where the interpreter itself is kept, by a regular expression, say: not
        even this thread runs then, and only the interpreter's own watchdog does."""
        self._armed = now
        faulthandler.dump_traceback_later(self.give_up_seconds + _ARM_SECONDS, exit=True)

    def _beat(self, one: Beating, now: float) -> None:
        with self._lock:
            if one in self._beating:
                one.due, one.beaten = now + one.interval, True
                one.context.run(activity.heartbeat, *one.details())

    async def _look(self, beating: tuple[Beating, ...], now: float, frozen: bool) -> None:
        for loop in {one.loop for one in beating} | set(self._loops):
            seen = self._loops.setdefault(loop, _Loop())
            if loop.is_closed():
                del self._loops[loop]
            elif seen.asked is None:
                if seen.next_probe <= now:
                    seen.asked, seen.next_probe = now, now + _PROBE_SECONDS
                    loop.call_soon_threadsafe(self._answered, loop)
            elif frozen:
                seen.asked = now
            elif now - seen.asked >= BLOCKED_SECONDS:
                await self._blocked(loop, seen, now - seen.asked, beating)
            elif now - seen.asked >= _LATE_SECONDS:
                by, _ = _who_blocks(loop, [one for one in beating if one.is_late_on(loop, now)])
                if by is not None:
                    await self._blocked(loop, seen, now - seen.asked, beating)

    def _answered(self, loop: asyncio.AbstractEventLoop) -> None:
        """The sign that a loop is asked for."""
        seen = self._loops.get(loop)
        if seen is None or seen.asked is None:
            return
        seconds = time.monotonic() - seen.asked
        seen.asked = None
        if seen.blocking is not None:
            by, blockade = seen.blocking
            seen.blocking = None
            ended = Blockade(blockade.node, blockade.where, round(seconds, 1))
            _logger.warning("%s blocked the worker for %.1f s", ended.node, ended.seconds)
            if by is not None:
                by.blockades.append(ended)

    async def _blocked(
        self,
        loop: asyncio.AbstractEventLoop,
        seen: _Loop,
        seconds: float,
        beating: tuple[Beating, ...],
    ) -> None:
        if seen.blocking is None:
            by, blockade = _who_blocks(loop, [one for one in beating if one.loop is loop])
            seen.blocking = by, blockade
            _logger.warning(
                "%s blocks the worker's event loop, at %s: nothing else runs meanwhile. Await there, "
                "or make it a plain function, which gets a thread",
                blockade.node,
                blockade.where,
            )
            if by is not None:
                by.context.run(count_blocked_loop, blockade.node)
        by, blockade = seen.blocking
        if by is not None and by.is_late_on(loop, time.monotonic()):
            self._report(by, f"{blockade.node} blocked the worker until its time was over")
        if self.give_up is not None and seconds >= self.give_up_seconds and not seen.given_up:
            seen.given_up = True
            _logger.critical(
                "%s has blocked the worker for %.0f s, at %s: the worker ends",
                blockade.node,
                seconds,
                blockade.where,
            )
            if by is not None:
                self._report(by, f"{blockade.node} blocked the worker for {seconds:.0f} s")
            await asyncio.gather(*self._telling)
            self.give_up()

    def _report(self, by: Beating, reason: str) -> None:
        """Report the attempt as failed, once, beside the beats of the others."""
        if not by.told:
            by.told = True
            telling = asyncio.create_task(_tell(by, reason))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)


PULSE = Pulse()
"""The pulse of this process."""


async def _drain() -> None:
    """Wait for the heartbeats that are being sent: the SDK would wait for them in another loop."""
    own = asyncio.current_task()
    sending = [
        task
        for task in asyncio.all_tasks()
        if task is not own and "_heartbeat" in getattr(task.get_coro(), "__qualname__", "")
    ]
    await asyncio.gather(*sending, return_exceptions=True)


async def _tell(by: Beating, reason: str) -> None:
    """Report the attempt as failed, since it can't do that itself."""
    if by.client is None:
        return
    info = by.context.run(activity.info)
    try:
        async with asyncio.timeout(_TELL_SECONDS):
            await by.client.get_async_activity_handle(task_token=info.task_token).fail(
                ApplicationError(reason, type=LoopBlocked.code),
                last_heartbeat_details=by.details(by.tally.failed(info.attempt, reason)),
            )
    except (RPCError, TimeoutError) as error:
        _logger.warning("Temporal was not told of it: %s", error)


def _who_blocks(
    loop: asyncio.AbstractEventLoop, beating: list[Beating]
) -> tuple[Beating | None, Blockade]:
    """The attempt whose code keeps the loop, its node, and the line that it is in."""
    frames = list(_stack(beating[0].thread)) if beating else []
    where = _place(frames[0]) if frames else "an unknown place"
    task = asyncio.current_task(loop)
    context = context_of(task)  # a task that a node has started has none of LangGraph's frames
    configs: list[Any] = [one.f_locals.get("config") for one in frames]
    configs.append(context.get(var_child_runnable_config))
    for config in configs:
        if not isinstance(config, dict):
            continue
        progress = config.get("configurable", {}).get(Progress.KEY)
        for one in beating:
            if one.progress is progress:
                node = config.get("metadata", {}).get("langgraph_node", "a node")
                return one, Blockade(f"node {node}", where, 0.0)
    for one in beating:
        if one is context.get(_ATTEMPT) or (one.task is task and task is not None):
            name = one.context.run(activity.info).activity_type
            return one, Blockade(f"activity {name}", where, 0.0)
    return None, Blockade("something", where, 0.0)


def _stack(thread: int) -> Iterator[FrameType]:
    """The frames of a thread, the innermost first."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_name}"
