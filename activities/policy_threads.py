"""Policy is asked in threads of its own, since the worker's event loop is everybody's.

One evaluation of a condition holds the interpreter, for as long as `holdfast.domain.policy.conditions` lets
it. Between them other conversations go on, whatever a tenant's policy asks for.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from holdfast.domain.policy import Policy, PolicyInput, Verdict
from holdfast.store.faults import FaultPoint, pass_by

_THREADS = ThreadPoolExecutor(4, thread_name_prefix="policy")

Found = TypeVar("Found")


async def verdict_of(policy: Policy, action: str, policy_input: PolicyInput) -> Verdict:
    """What the policy says about an action."""
    return await in_thread("while_judging", lambda: policy.verdict(action, policy_input))


async def in_thread(point: FaultPoint, work: Callable[[], Found]) -> Found:
    """What `work` gives, which only computes."""

    def run() -> Found:
        pass_by(point)
        return work()

    return await asyncio.get_running_loop().run_in_executor(_THREADS, run)
