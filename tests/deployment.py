"""Makes a build the current one of a deployment, as `temporal worker deployment` does."""

from temporalio.api.enums.v1 import RoutingConfigUpdateState
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.testing import eventually


async def make_current(temporal: Client, deployment: str, build: str) -> None:
    """Wait for the workers of the build, make it current, and wait until all task queues know."""
    service, namespace = temporal.workflow_service, temporal.namespace

    async def is_current() -> bool:
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=namespace, deployment_name=deployment, build_id=build
        )
        try:
            await service.set_worker_deployment_current_version(request)
        except RPCError:  # Temporal has not heard of its workers yet
            return False
        return True

    async def is_known_everywhere() -> bool:
        described = await service.describe_worker_deployment(
            DescribeWorkerDeploymentRequest(namespace=namespace, deployment_name=deployment)
        )
        state = described.worker_deployment_info.routing_config_update_state
        return state == RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_COMPLETED

    await eventually(is_current, what=f"build {build} as the current one")
    what = f"build {build} on all task queues"
    await eventually(is_known_everywhere, within=60, what=what)  # usually a second
