"""How a turn waits while no model answers: the customer hears of it, and the waiting has an end."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from holdfast.workflows.activity_calls import ActivityCalls

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.conversation import ConversationStart
    from holdfast.domain.errors import ModelUnavailable

_FIRST_PAUSE = timedelta(seconds=1)
_PAUSES_AT_LEAST = 10
"""A pause is at most this part of the whole wait, so that a wait of any length means some twenty tries at most
in Temporal's history."""
_JITTER = 0.2
"""The random part of a pause, so that turns that lost their model together don't come back together."""

Over = Callable[[], bool]


class NoModel(Exception):
    """No model answered for as long as a turn waits for one."""


def pause_asked_for(error: ActivityError) -> timedelta | None:
    """How long the providers want to be left alone (0 if they don't say) after a step that failed because no
    model answered; None after any other failure."""
    cause = error.cause
    if not isinstance(cause, ApplicationError) or cause.type != ModelUnavailable.code:
        return None
    seconds = cause.details[0] if cause.details else None
    return timedelta(seconds=float(seconds or 0))


class ModelOutages:
    """The waiting of one turn. Its steps share `Limits.model_wait_seconds`."""

    def __init__(self, start: ConversationStart, calls: ActivityCalls, turn: int) -> None:
        self._calls = calls
        self._turn = turn
        self._patience = timedelta(seconds=start.limits.model_wait_seconds)
        self._silence = timedelta(seconds=start.limits.holding_message_seconds)
        self._left = self._patience
        self._tries = 0
        self._announced = False
        self._began = workflow.now()

    def step_begins(self) -> None:
        """A step is run for the first time."""
        self._tries = 0
        self._began = workflow.now()

    def step_ends(self) -> None:
        """The step has ended; the time that it waited for a model is used up."""
        if self._tries:
            self._left -= workflow.now() - self._began

    async def watch(self, over: Over) -> None:
        """Tell the customer in time while a step is tried again, even if the try hangs."""
        if self._tries and not self._announced:
            await self._pause_until(self._began + self._silence, over)
            if not over():
                await self._announce()

    async def outlast(self, asked_for: timedelta, over: Over) -> None:
        """Wait until the models may be asked again, or until it is `over`. Raises `NoModel` if the turn has
        waited long enough."""
        now, until = workflow.now(), self._began + self._left
        if now >= until:
            raise NoModel(f"no model answered for {self._patience.total_seconds():g} s")
        again = min(now + self._next_pause(asked_for), until)
        silent_until = self._began + self._silence
        if not self._announced and silent_until <= again:
            await self._pause_until(silent_until, over)
            if over():
                return
            await self._announce()
        await self._pause_until(again, over)

    def _next_pause(self, asked_for: timedelta) -> timedelta:
        longest = self._patience / _PAUSES_AT_LEAST
        pause = min(_FIRST_PAUSE * (1 << self._tries), longest)
        self._tries += 1
        pause *= 1 + _JITTER * workflow.random().uniform(-1, 1)
        return max(pause, asked_for)

    async def _pause_until(self, moment: datetime, over: Over) -> None:
        remaining = moment - workflow.now()
        if remaining > timedelta(0):
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    over,
                    timeout=remaining,
                    timeout_summary=f"Turn {self._turn}: no model answers",
                )

    async def _announce(self) -> None:
        self._announced = True
        await self._calls.announce_delay(self._turn)
