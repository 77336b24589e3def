"""Refusals of activities: typed, final, and the end of the request alone."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.domain.errors import HoldfastError


def refused(error: HoldfastError) -> ApplicationError:
    """The refusal as the workflow gets it, which tries nothing again."""
    return ApplicationError(str(error), type=error.code, non_retryable=True)


def this_activity() -> str:
    """The activity that runs, the same for all of its attempts. The workflow chooses the id, and may choose
    it again once an activity has ended: it tells attempts of one activity from those of another, and proves
    nothing."""
    info = activity.info()
    return f"{info.workflow_run_id}:{info.activity_id}"
