"""A third of the retail tasks, in both forms; `python -m bench.tau2` plays all of them.

The seed is one whose third has every kind of task: a write that is refused, a transfer to a person,
four writes in a turn, and several replaced items, each of which gets its own price and options.
"""

from collections.abc import AsyncIterator
from random import Random
from typing import cast

import pytest
from pytest_asyncio import fixture as async_fixture

from holdfast.runtime.settings import Settings
from tests import tau2
from tests.retail.play import FORMS, Form, Retail, open_retail

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SEED = 17
_THIRD = Random(_SEED).sample(tau2.tasks(), len(tau2.tasks()) // 3)
TASKS = [pytest.param(task, id=f"task-{task.id}") for task in _THIRD] or [
    pytest.param(None, marks=pytest.mark.skip(reason=tau2.MISSING))
]


@async_fixture(scope="module", loop_scope="module", params=FORMS)
async def retail(request: pytest.FixtureRequest, stack_settings: Settings) -> AsyncIterator[Retail]:
    """A shop on the platform, with a policy that allows or one that asks."""
    async with open_retail(stack_settings, cast(Form, request.param)) as opened:
        yield opened


@pytest.mark.parametrize("task", TASKS)
async def test_a_task_ends_as_the_reference_with_each_write_executed_once(
    retail: Retail, task: tau2.Task
) -> None:
    played = await retail.play(task)
    assert not played.problems, "\n".join(played.problems)
