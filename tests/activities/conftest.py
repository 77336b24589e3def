"""Desks of the counter's package."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from activities.services import Services
from holdfast.runtime.settings import Settings
from holdfast.subgraphs.registry import load_packages
from tests.activities.desk import Desk, Opening
from worker import open_services


@pytest.fixture
async def opening(stack_settings: Settings, tenant: str, tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens a desk with conversations; of the counter's package, under its own policy,
    unless others are given."""
    async with AsyncExitStack() as stack:

        async def open_(
            *conversations: str, policy: str | None = None, package: str = "tests.counter:package"
        ) -> Desk:
            if policy is not None:
                (tmp_path / f"{tenant}.yaml").write_text(policy)
            settings = stack_settings.model_copy(
                update={
                    "policy_dir": tmp_path,
                    "database_connections": 25,
                    "task_queue": tenant,
                }
            )
            services: Services = await stack.enter_async_context(
                open_services(settings, load_packages([package]))
            )
            desk = Desk(services, settings, tenant, "cust")
            for conversation in conversations or ("c1",):
                await desk.open(conversation)
            return desk

        yield open_
