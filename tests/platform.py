"""A platform with the shop and the counter, for the product's own tests."""

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import holdfast.testing
from holdfast.runtime.settings import Settings
from holdfast.testing import ModelReply, text, tool_calls
from holdfast.testing.scripted_model import Answer

ROOT = Path(__file__).parent.parent

PACKAGES = ("holdfast_shop:package", "tests.counter:package")


def counting(*steps: Sequence[tuple[str, dict[str, Any]]], then: str = "Done.") -> Answer:
    """An agent that calls these tools, one list for each completion, and then says something."""

    def answer(request: dict[str, Any]) -> ModelReply:
        said = sum(message["role"] == "assistant" for message in request["messages"])
        return tool_calls(*steps[said]) if said < len(steps) else text(then)

    return answer


class Platform(holdfast.testing.Platform):
    """What a test works with, and what came of its actions on counters."""

    async def effects(self, counter: str = "c") -> list[int]:
        """The amounts that were added to a counter, one for each effect."""
        rows = await self.database.fetch(
            "select amount from counter.effects where tenant = $1 and counter = $2 order by id",
            self.tenant,
            counter,
        )
        return [row["amount"] for row in rows]


def open_platform(
    settings: Settings, tenant: str, *, packages: Sequence[str] = PACKAGES, **options: Any
) -> AbstractAsyncContextManager[Platform]:
    """`Platform.open`; `make test` also runs workers that keep no workflow in memory."""
    cached = int(os.environ.get("HOLDFAST_MAX_CACHED_WORKFLOWS", 100))
    given = {"max_cached_workflows": cached, "root": ROOT, **options}
    return Platform.open(settings, tenant, packages=packages, **given)
