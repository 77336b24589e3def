"""The Temporal workers of a role: which queues it polls, and what it does there."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Interceptor, PollerBehaviorAutoscaling, Worker

from holdfast.activities.abandonment import AbandonmentActivities
from holdfast.activities.actions import ActionActivities
from holdfast.activities.alarms import AlarmActivities
from holdfast.activities.approvals import ApprovalActivities
from holdfast.activities.containment import contain_tasks
from holdfast.activities.conversations import ConversationActivities
from holdfast.activities.notifications import NotificationActivities
from holdfast.activities.operations import OperationActivities
from holdfast.activities.people import PeopleActivities
from holdfast.activities.resources import Resources
from holdfast.activities.routing import RoutingInterceptor
from holdfast.activities.subgraphs import SubgraphActivities
from holdfast.domain import wire
from holdfast.runtime.plugin import PLUGIN
from holdfast.runtime.settings import Settings
from holdfast.runtime.versioning import deployment_config
from holdfast.worker.roles import Role
from holdfast.workflows.conversation import ConversationWorkflow
from holdfast.workflows.notifications import NotificationWorkflow
from holdfast.workflows.operations import OperationWorkflow

_STICKY_TIMEOUT = timedelta(seconds=1)
"""How long a task waits for the worker that has the workflow in its cache: not long, it may be dead."""

_HEARTBEAT_THROTTLE = timedelta(milliseconds=50)
"""The SDK holds heartbeats back for this long; `holdfast.activities.pulse` sends no more than are needed."""

_POLLERS = PollerBehaviorAutoscaling(minimum=1, maximum=20, initial=2)
"""Few while there is little to do: each open poll of a frozen process swallows one task."""


class _Activities:
    """All of them, with what they work with."""

    def __init__(self, resources: Resources, task_queue: str) -> None:
        self.steps = SubgraphActivities(resources)
        self.records = ConversationActivities(resources)
        self.people = PeopleActivities(resources)
        self.approvals = ApprovalActivities(resources)
        self.alarms = AlarmActivities(resources)
        self.actions = ActionActivities(resources)
        self.leaving = AbandonmentActivities(resources)
        self.notifications = NotificationActivities(
            resources.pool, resources.notifications, resources.webhooks
        )
        self.operations = OperationActivities(resources.pool, task_queue)


@dataclass(frozen=True, kw_only=True)
class _Queue:
    """A task queue that a role serves with activities: one that all workers share, one for each package."""

    role: Role
    name: Callable[[str], str]
    shared: bool = True
    of_packages: bool = False
    at_once: Callable[[Settings], int]
    activities: Callable[[_Activities], Sequence[Callable[..., Any]]]
    workflows: Sequence[type] = ()


_QUEUES = (
    _Queue(
        role=Role.SUBGRAPHS,
        name=wire.subgraphs_queue,
        at_once=lambda settings: settings.concurrent_subgraphs,
        activities=lambda its: (
            its.steps.run_subgraph,
            its.records.open_conversation,
            its.records.recall_turn,
            its.records.end_turn,
            its.records.announce_delay,
            its.people.record_human_turn,
            its.people.record_takeover,
            its.records.close_conversation,
            its.approvals.decide_approval,
            its.approvals.record_refusal,
            its.alarms.record_alarm,
            its.operations.fork_conversation,
            its.operations.record_reading,
            its.operations.record_sighting,
            its.operations.record_export,
            its.operations.redrive_deliveries,
            its.leaving.leave_action,
        ),
    ),
    _Queue(
        role=Role.SUBGRAPHS,
        name=wire.subgraphs_queue,
        shared=False,
        of_packages=True,
        at_once=lambda settings: settings.concurrent_subgraphs,
        activities=lambda its: (its.steps.run_subgraph, its.approvals.decide_approval),
    ),
    _Queue(
        role=Role.ACTIONS,
        name=wire.actions_queue,
        of_packages=True,
        at_once=lambda settings: settings.concurrent_actions,
        activities=lambda its: (its.actions.execute_action, its.actions.compensate_action),
    ),
    _Queue(
        role=Role.NOTIFICATIONS,
        name=wire.notifications_queue,
        at_once=lambda settings: settings.concurrent_deliveries,
        activities=lambda its: (its.notifications.send_delivery,),
        workflows=(NotificationWorkflow,),
    ),
)


def build_workers(
    client: Client,
    resources: Resources,
    settings: Settings,
    role: Role = Role.ALL,
    version: WorkerDeploymentVersion | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> list[Worker]:
    """The Temporal workers of a role, not running yet; without a `version` they are not versioned."""
    contain_tasks(asyncio.get_running_loop())
    workers = []
    if role.includes(Role.WORKFLOWS):
        workers.append(_conversations(client, settings, version))
    activities = _Activities(resources, settings.task_queue)
    packages = [package.name for package in resources.registry.packages]
    for queue in _QUEUES:
        if role.includes(queue.role):
            workers += [
                Worker(
                    client,
                    task_queue=task_queue,
                    activities=queue.activities(activities),
                    workflows=queue.workflows,
                    plugins=[PLUGIN],
                    max_concurrent_activities=queue.at_once(settings),
                    max_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
                    default_heartbeat_throttle_interval=_HEARTBEAT_THROTTLE,
                    graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
                    interceptors=[*interceptors, RoutingInterceptor(resources.pool)],
                    # Notifications may be under way for long, and follow the current build.
                    deployment_config=deployment_config(version, VersioningBehavior.AUTO_UPGRADE),
                    workflow_task_poller_behavior=_POLLERS,
                    sticky_queue_schedule_to_start_timeout=_STICKY_TIMEOUT,
                    activity_task_poller_behavior=_POLLERS,
                )
                for task_queue in _names(queue, settings.task_queue, packages)
            ]
    return workers


def _conversations(
    client: Client, settings: Settings, version: WorkerDeploymentVersion | None
) -> Worker:
    """Serves the queue of the workflows; a run of a conversation stays with its build."""
    return Worker(
        client,
        task_queue=wire.workflows_queue(settings.task_queue),
        workflows=[ConversationWorkflow, OperationWorkflow],
        plugins=[PLUGIN],
        max_cached_workflows=settings.max_cached_workflows,
        sticky_queue_schedule_to_start_timeout=_STICKY_TIMEOUT,
        workflow_task_poller_behavior=_POLLERS,
        deployment_config=deployment_config(version, VersioningBehavior.PINNED),
    )


def _names(queue: _Queue, task_queue: str, packages: Sequence[str]) -> Iterator[str]:
    own = queue.name(task_queue)
    if queue.shared:
        yield own
    if queue.of_packages:
        yield from (wire.package_queue(own, package) for package in packages)
