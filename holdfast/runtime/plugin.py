"""How workers and replayers run workflows. Apart from the connection, since clients do without the SDK's workers."""

from temporalio import workflow
from temporalio.plugin import SimplePlugin
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from holdfast.domain.model import build_models
from holdfast.runtime.connection import DATA_CONVERTER


class _Runner(SandboxedWorkflowRunner):
    """Builds the models that a workflow's module has imported, before it is loaded in the sandbox."""

    def prepare_workflow(self, defn: workflow._Definition) -> None:
        build_models()
        super().prepare_workflow(defn)


PLUGIN = SimplePlugin(
    "holdfast",
    data_converter=DATA_CONVERTER,
    workflow_runner=_Runner(
        SandboxRestrictions.default.with_passthrough_modules("pydantic", "holdfast.domain")
    ),
)
"""Workflows run in the sandbox, which shares the domain's classes."""
