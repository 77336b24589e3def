"""A package whose actions pay through another system, which tests hold up, break off and refuse."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, JsonValue

from holdfast import Action, ActionContext, ActionRefused, Package


class Pay(BaseModel):
    """Pay from an account."""

    amount: float
    account: str = "main"


class Bank:
    """The other system. `does` is what happens to a payment that has arrived."""

    def __init__(self) -> None:
        self.paid = 0.0
        self.keys: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.answer: Any = {"ok": True}
        self.does: Callable[[], Awaitable[None]] | None = None

    async def pay(self, key: str, amount: float) -> JsonValue:
        self.keys.append(key)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            if self.does is not None:
                await self.does()
            self.paid += amount
            answer: JsonValue = self.answer
            return answer
        finally:
            self.at_once -= 1


BANKS: defaultdict[str, Bank] = defaultdict(Bank)
"""By tenant."""


async def _pay(context: ActionContext, pay: Pay) -> JsonValue:
    if pay.amount == 13:
        raise ActionRefused("not \x00\ud800 today")
    return await BANKS[context.tenant].pay(context.idempotency_key, pay.amount)


async def _pay_back(context: ActionContext, pay: Pay, result: JsonValue) -> None:
    await BANKS[context.tenant].pay(f"{context.idempotency_key}-back", -pay.amount)


async def _facts(context: ActionContext, pay: Pay) -> dict[str, JsonValue]:
    if pay.amount == 7:
        raise ActionRefused("never\x00\ud800")
    return {
        "paid": BANKS[context.tenant].paid,
        "amount": pay.amount,
        "as": f"{pay.account}\x00\ud800",
    }


package = Package(
    name="bank",
    actions=(
        Action(
            name="pay",
            description="Pay.",
            arguments=Pay,
            execute=_pay,
            facts=_facts,
            compensate=_pay_back,
            remote=True,
        ),
        Action(
            name="pay_from",
            description="Pay from an account.",
            arguments=Pay,
            execute=_pay,
            facts=_facts,
            subject=lambda _, pay: f"account/{pay.account}",
            remote=True,
        ),
    ),
)
