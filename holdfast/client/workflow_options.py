"""How this client starts workflows, whichever they are."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)

from holdfast.domain import wire

_TENANT = SearchAttributeKey.for_keyword("HoldfastTenant")

_TASK_TIMEOUT = timedelta(seconds=4)
"""How long a workflow task that went to a dead or frozen worker is waited for; Temporal's default, 10
seconds, is most of the time that a recovery takes."""


class WorkflowOptions(TypedDict):
    """The options that all starts share."""

    task_queue: str
    task_timeout: timedelta
    id_conflict_policy: WorkflowIDConflictPolicy
    search_attributes: TypedSearchAttributes
    priority: Priority


def workflow_options(
    tenant: str, task_queue: str, *attributes: SearchAttributePair[str]
) -> WorkflowOptions:
    """The options for a tenant's workflow in the deployment of `task_queue`: one that runs already is used."""
    return WorkflowOptions(
        task_queue=wire.workflows_queue(task_queue),
        task_timeout=_TASK_TIMEOUT,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(_TENANT, tenant), *attributes]
        ),
        priority=Priority(fairness_key=tenant),
    )
