"""In the shop's tables: whether each effect was allowed by the rules at its moment."""

from collections.abc import Iterable

from bench.chaos.clients import Seen
from bench.chaos.oracle.verdict import Verdict
from bench.chaos.stack import ChaosStack
from holdfast import Connection
from tests.shop.ledger import forbidden_in


async def judge_shops(stack: ChaosStack, seen: Seen, verdict: Verdict) -> None:
    """Look at the shops of the customers who have several conversations at once."""
    tenants = {plan.tenant for plan in seen.plans.values() if plan.rounds[0].kind == "shopping"}
    async with stack.database.acquire() as connection:
        await judge_tenants(connection, tenants, verdict)


async def judge_tenants(connection: Connection, tenants: Iterable[str], verdict: Verdict) -> None:
    """Play what was executed for each beside a model of the rules that knows nothing of the shop's code."""
    for tenant in sorted(tenants):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            forbidden, effects = await forbidden_in(connection, tenant)
        verdict.checked["effects judged by the rules of their moment"] += effects
        for what in forbidden:
            verdict.forbidden(f"{tenant}: {what}")
