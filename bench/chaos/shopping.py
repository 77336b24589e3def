"""Customers of the shop who have several conversations at once, all about the same two orders.

Each has a tenant of their own. What one conversation was allowed a moment ago may be forbidden by what
another has done since: payments are moved, orders cancelled and items swapped, several in one answer
of the model, while reviewers take their time.
"""

import json
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from bench.chaos.plan import ConversationPlan, PlannedMessage, Round
from holdfast import Connection
from holdfast.testing import ModelReply, text, tool_calls
from tests.shop.ledger import (
    CARD,
    CHEAP,
    CUSTOMER,
    DEAR,
    GIFT,
    ORDERS,
    PAYPAL,
    Call,
    cancel,
    open_shop,
    pay_with,
    swap,
)

_ROUNDS = 3
_ACCEPTS_AFTER = (0.0, 3.0)
"""Seconds that a reviewer takes."""

_ERRAND = re.compile(r"^Errand [A-Za-z0-9._-]+: (.+)$")

Answers = Sequence[Sequence[Call]]
"""The calls of each answer of the model, before its last words."""

FAREWELL = "That is what I could do about your orders."


def shopper_plans(seed: int, shoppers: int) -> Iterator[ConversationPlan]:
    """The conversations of one customer after the other. Slots that take from it in turn play those of
    one customer at once."""
    for number in range(shoppers):
        chance = random.Random(f"{seed}-shopper-{number}")
        for conversation in range(1, chance.randint(2, 4) + 1):
            yield _plan(chance, _tenant(number), f"s{number}-c{conversation}")


def _tenant(number: int) -> str:
    return f"shopper-{number}"


def _plan(chance: random.Random, tenant: str, name: str) -> ConversationPlan:
    rounds = []
    for number in range(_ROUNDS):
        messages = [_message(chance, f"{name}.m{number}")]
        if chance.random() < 0.4:
            messages.append(_message(chance, f"{name}.m{number}b", delay=chance.uniform(0.1, 0.6)))
        rounds.append(
            Round(
                kind="shopping",
                messages=tuple(messages),
                reviewer_accepts=True,
                accepts_after=round(chance.uniform(*_ACCEPTS_AFTER), 2),
            )
        )
    return ConversationPlan(
        tenant=tenant, conversation=name, customer=CUSTOMER, rounds=tuple(rounds)
    )


def _message(chance: random.Random, id_: str, *, delay: float = 0.0) -> PlannedMessage:
    answers = [
        [_call(chance) for _ in range(chance.choice([1, 1, 2, 3]))]
        for _ in range(chance.choice([1, 1, 2]))
    ]
    return PlannedMessage(id=id_, text=f"Errand {id_}: {json.dumps(answers)}", delays=(delay,))


def _call(chance: random.Random) -> Call:
    order, method = chance.choice([*ORDERS]), chance.choice([CARD, PAYPAL, GIFT])
    match chance.choice(["cancel", "cancel", "pay", "pay", "pay", "swap"]):
        case "cancel":
            return cancel(order)
        case "pay":
            return pay_with(order, method)
        case _:
            return swap(order, chance.choice([CHEAP, DEAR]), method)


def errand(said: str) -> Answers | None:
    """What a customer's message has the model call; None for another kind of message."""
    found = _ERRAND.match(said)
    if found is None:
        return None
    return [[(name, arguments) for name, arguments in calls] for calls in json.loads(found[1])]


def answer_to(answers: Answers, request: dict[str, Any]) -> ModelReply:
    """The model's next answer: its place is the number of calls that were answered in this turn."""
    messages = request["messages"]
    asked = max(index for index, one in enumerate(messages) if one["role"] == "user")
    told = sum(one["role"] == "tool" for one in messages[asked:])
    for calls in answers:
        if told <= 0:
            return tool_calls(*calls)
        told -= len(calls)
    return text(FAREWELL)


async def open_shops(connection: Connection, shoppers: int) -> None:
    """Load the data of the customers."""
    for number in range(shoppers):
        await open_shop(connection, _tenant(number))
