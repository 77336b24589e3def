"""A desk for a test of activities: with a policy of its own, on the actions of these packages."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from holdfast.activities.resources import Resources
from holdfast.packages.registry import load_packages
from holdfast.runtime.settings import Settings
from holdfast.worker.assembly import open_resources
from tests.activities.desk import Desk, Opening

PACKAGES = ("tests.counter:package", "tests.activities.bank:package")


@pytest.fixture
async def opening(stack_settings: Settings, tenant: str, tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens a desk with conversations; on the counter's and the bank's actions, under the policies of their
    packages, unless others are given."""
    async with AsyncExitStack() as stack:

        async def open_(
            *conversations: str,
            policy: str | None = None,
            packages: tuple[str, ...] = PACKAGES,
            connections: int = 25,
        ) -> Desk:
            if policy is not None:
                (tmp_path / f"{tenant}.yaml").write_text(policy)
            settings = stack_settings.model_copy(
                update={
                    "policy_dir": tmp_path,
                    "database_connections": connections,
                    "task_queue": tenant,
                }
            )
            resources: Resources = await stack.enter_async_context(
                open_resources(settings, load_packages(packages))
            )
            desk = Desk(resources, settings, tenant, "cust")
            for conversation in conversations or ("c1",):
                await desk.open(conversation)
            return desk

        yield open_
