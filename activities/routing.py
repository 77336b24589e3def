"""Work that this worker lacks the code for: taken to where it is, or handed back without counting."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from holdfast.activities.fleet import needs
from holdfast.activities.refusals import this_activity
from holdfast.activities.resources import Resources
from holdfast.domain import wire
from holdfast.domain.activity_protocol import ActionReport, ActionRequest
from holdfast.domain.errors import NotServedHere
from holdfast.domain.identity import ConversationRequest
from holdfast.domain.outcomes import RecordedActionState
from holdfast.store.fleet import note_handed_back, read_proposed, taken_up
from holdfast.store.pool import TRANSIENT_ERRORS, Pool

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0
_GROWTH = 1.5


class RoutingInterceptor(Interceptor):
    """Hands an activity back that raises `NotServedHere`: it is tried again soon, by any worker,
    for as long as it needs."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Temporal's hook."""
        return _RoutingInbound(next, self._pool)


class _RoutingInbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, pool: Pool) -> None:
        super().__init__(next)
        self._pool = pool

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            result = await super().execute_activity(input)
            request = input.args[0]
            if activity.info().attempt > 1 and isinstance(request, ConversationRequest):
                await self._note_taken_up(request)
            return result
        except NotServedHere as lacking:
            pause = await self._note(input.args[0], str(lacking))
            raise ApplicationError(
                f"this worker lacks the {lacking}", type=lacking.code, next_retry_delay=pause
            ) from lacking

    async def _note_taken_up(self, request: ConversationRequest) -> None:
        with contextlib.suppress(*TRANSIENT_ERRORS):
            async with self._pool.acquire() as connection:
                await taken_up(connection, request.key, activity=this_activity())

    async def _note(self, request: ConversationRequest, lacking: str) -> timedelta:
        attempt = activity.info().attempt
        try:
            async with self._pool.acquire() as connection:
                await note_handed_back(
                    connection,
                    request.key,
                    activity=this_activity(),
                    attempt=attempt,
                    lacking=lacking,
                )
        except TRANSIENT_ERRORS:
            activity.logger.debug("a hand-back could not be noted")
        grown = _FIRST_PAUSE_SECONDS * _GROWTH ** min(attempt - 1, 20)
        return timedelta(seconds=min(grown, _LONGEST_PAUSE_SECONDS))


def elsewhere(package: str, lacking: str, *, shared: str) -> str:
    """The package to whose workers a task is taken, from the queue that all workers share.

    Raises:
        NotServedHere: that is where the task comes from; another worker of the package has it.
    """
    if activity.info().task_queue != shared:
        raise NotServedHere(lacking)
    return package


async def check_before_acting(
    resources: Resources, request: ActionRequest, *, acts_on: RecordedActionState
) -> ActionReport | None:
    """Whether an action can be executed here, and, before the first one of a proposal, whether the others
    can be executed as well and its agent can go on afterwards. In a state that the activity doesn't act
    on, nothing is needed.

    None where all of it is so; else where the action is to be taken, or what its agent lacks.

    Raises:
        NotServedHere: nobody has one of the actions, or nobody serves the agent.
    """
    async with resources.pool.acquire() as connection:
        found = await read_proposed(connection, request.key)
    if found is None or found.state != acts_on:
        return None
    fleet = resources.fleet
    if resources.registry.action(found.name) is None:
        place = elsewhere(
            fleet.place_of_action(found.name),
            f"action {found.name!r}",
            shared=wire.actions_queue(fleet.task_queue),
        )
        return ActionReport(state="not_attempted", elsewhere=place)
    if found.state != "proposed" or request.index > 0:
        return None
    for name in found.later:
        if resources.registry.action(name) is None:
            fleet.place_of_action(name)
    if found.snapshot is None:
        return None
    lacking = await fleet.gaps(found.agent, needs(found.snapshot))
    if not lacking:
        return None
    return ActionReport(
        state="stale",
        stuck=f"the agent {found.agent!r} could not go on without {', '.join(lacking)}",
    )


def waited_for_long(request: ActionRequest, error: Exception) -> bool:
    """Whether no worker has had the action for as long as it waits for one."""
    if request.served_within is None or not isinstance(error, NotServedHere):
        return False
    waited = datetime.now(UTC) - activity.info().scheduled_time
    return waited > timedelta(seconds=request.served_within)
