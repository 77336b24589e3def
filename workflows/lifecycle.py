"""How long one run of a conversation lasts: until the conversation closes, or another run continues it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

from temporalio import workflow
from temporalio.workflow import ContinueAsNewVersioningBehavior

from holdfast.workflows import patches

with workflow.unsafe.imports_passed_through():
    from holdfast.domain.conversation import ConversationStart, ConversationState
    from holdfast.domain.errors import ConversationMoved

IDLE = "idle"
"""The reason for closing a conversation after a long silence."""

_TRY_AGAIN_AFTER = timedelta(minutes=10)
_FEW_SIGNALS = 2
_PAUSE = timedelta(milliseconds=500)


class RunLifecycle:
    """Decides when a run ends, and refuses what comes too late for it."""

    def __init__(self, start: ConversationStart, state: ConversationState) -> None:
        self._start = start
        self._limits = start.limits
        self._state = state
        self._turns = 0
        self._signalled_in = 0
        self._signals = 0
        self._pause: asyncio.Task[None] | None = None
        self.opened = start.state is not None
        """Whether the conversation's records are there."""
        self.draining = False
        """Whether the run takes nothing more, and continues as new once what it has taken is done."""
        self.leaving = False
        """Whether the run ends, and the conversation is closed."""
        self.close_reason: str | None = None
        """Why the conversation closes once its messages are answered."""

    def check_open(self) -> None:
        """Raise `ConversationMoved` if this run takes nothing more."""
        if self.draining or self.leaving or self.close_reason is not None:
            raise ConversationMoved("the conversation is handing over; send the request again")

    def work_done(self, *, turn: bool) -> None:
        """Note that the run has done a piece of work, maybe the turn of a message; after enough, it drains."""
        self._turns += turn
        self._state.last_activity = workflow.now()
        full = self._turns >= self._limits.turns_per_run
        if full or self.is_outdated() or workflow.info().is_continue_as_new_suggested():
            self.draining = True

    def is_outdated(self) -> bool:
        """Whether another build has become the deployment's current one. If moving there has led back to the
        same build, since an operator has pinned the conversation, say, the run tries again later."""
        returned = _build() == self._state.left_build
        age = workflow.now() - workflow.info().start_time
        return _build_has_changed() and (not returned or age > _TRY_AGAIN_AFTER)

    def must_drain(self) -> bool:
        """Whether this run's history has become so long, by whatever was sent, that Temporal would end it
        some day. Asked when no turn runs."""
        if self.draining:
            return False
        info = workflow.info()
        long = info.get_current_history_length() >= self._limits.events_per_run
        return (long or info.is_continue_as_new_suggested()) and workflow.patched(
            patches.FULL_MOVES
        )

    def signal_came(self) -> None:
        """Note a signal, whatever it holds."""
        task = workflow.info().get_current_history_length()
        if task != self._signalled_in:
            self._signalled_in, self._signals = task, 0
        self._signals += 1

    def is_held_up(self) -> bool:
        """Whether the run should end, and signals come too fast for it just now.

        Temporal lets no run end that was sent something in the meantime. It has to be replayed then, while more
        comes: a run that tried whenever it could would do nothing else.
        """
        if not (self.must_drain() or self.must_move()):
            return False
        now = self._signalled_in == workflow.info().get_current_history_length()
        return now and self._signals > _FEW_SIGNALS and workflow.patched(patches.FLOODS_END)

    @property
    def pausing(self) -> bool:
        """Whether the run waits a little before it looks again whether it can end."""
        return self._pause is not None and not self._pause.done()

    def pause(self) -> None:
        """Look again in a little while whether the run can end."""
        if not self.pausing:
            summary = "Too many signals to continue as new"
            self._pause = asyncio.create_task(workflow.sleep(_PAUSE, summary=summary))

    def must_move(self) -> bool:
        """Whether another run has to continue the conversation."""
        return self.draining or self.is_outdated()

    def continue_as_new(self) -> NoReturn:
        """Continue the conversation as a new run, with the current build."""
        self._state.left_build = _build() if _build_has_changed() else None
        workflow.continue_as_new(
            self._start.model_copy(update={"state": self._state}),
            initial_versioning_behavior=ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )

    async def close_when_idle(self, has_work: Callable[[], bool]) -> None:
        """Have the conversation closed after a long silence; one timer, which is set again when it fires."""
        limit = timedelta(seconds=self._limits.idle_seconds)
        while True:
            silent_since = self._state.last_activity or workflow.now()
            remaining = silent_since + limit - workflow.now()
            if remaining > timedelta(0):
                await workflow.sleep(remaining, summary="Closes when nobody writes until then")
            elif self._state.parked or self._state.takeover or has_work():
                await workflow.sleep(limit, summary="Idle, but somebody is waited for")
            else:
                self.close_reason = self.close_reason or IDLE
                return


def _build() -> str | None:
    """The build of the worker that executes this, where workers are versioned."""
    version = workflow.info().get_current_deployment_version()
    return version.build_id if version else None


def _build_has_changed() -> bool:
    return workflow.info().is_target_worker_deployment_version_changed()
