"""How workers and replayers run workflows. Apart from the connection, since clients do without the SDK's workers."""

from temporalio.plugin import SimplePlugin
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from holdfast.runtime.connection import DATA_CONVERTER

PLUGIN = SimplePlugin(
    "holdfast",
    data_converter=DATA_CONVERTER,
    workflow_runner=SandboxedWorkflowRunner(
        SandboxRestrictions.default.with_passthrough_modules("pydantic", "holdfast.domain")
    ),
)
"""Workflows run in the sandbox, which shares the domain's classes."""
