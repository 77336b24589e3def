"""What an action's parts share."""

from dataclasses import replace

import pytest
from pydantic import BaseModel, JsonValue

from holdfast import Action, ActionContext, ActionDescription, ActionRefused, Plan


class Pay(BaseModel):
    """Pay."""

    amount: int


CONTEXT = ActionContext(
    tenant="acme",
    conversation="c-1",
    turn=1,
    customer="ann",
    idempotency_key="key-1",
    connection=None,
    read_only=True,
)


def action(made: list[bool]) -> Action[Pay]:
    """Notes in `made` whether each plan was made where nothing may be written."""

    async def make(context: ActionContext, pay: Pay) -> int:
        made.append(context.read_only)
        if pay.amount > 100:
            raise ActionRefused("That is too much.")
        return 2 * pay.amount

    def facts(pay: Pay, double: int) -> dict[str, JsonValue]:
        return {"amount": pay.amount, "double": double}

    def describe(pay: Pay, double: int) -> ActionDescription:
        return ActionDescription(title=f"Pay {pay.amount} twice, {double}")

    async def execute(context: ActionContext, pay: Pay, double: int) -> JsonValue:
        return {"key": context.idempotency_key, "paid": double}

    plan = Plan(make)
    return Action(
        name="pay",
        description="Pay.",
        arguments=Pay,
        execute=plan.execute(execute),
        facts=plan.facts(facts),
        describe=plan.describe(describe),
    )


async def test_one_look_makes_one_plan_and_execution_its_own() -> None:
    made: list[bool] = []
    pay, arguments = action(made), Pay(amount=5)
    assert pay.facts
    assert pay.describe
    for _ in range(2):
        assert await pay.facts(CONTEXT, arguments) == {"amount": 5, "double": 10}
        assert (await pay.describe(CONTEXT, arguments)).title == "Pay 5 twice, 10"
    assert made == [True]
    running = replace(CONTEXT, read_only=False)
    assert await pay.execute(running, arguments) == {"key": "key-1", "paid": 10}
    assert await pay.execute(running, arguments) == {"key": "key-1", "paid": 10}
    assert made == [True, False, False]


async def test_another_look_or_other_arguments_make_a_plan_of_their_own() -> None:
    made: list[bool] = []
    pay = action(made)
    assert pay.facts
    five = Pay(amount=5)
    await pay.facts(CONTEXT, five)
    await pay.facts(replace(CONTEXT), five)
    assert await pay.facts(CONTEXT, Pay(amount=6)) == {"amount": 6, "double": 12}
    assert await pay.facts(CONTEXT, five) == {"amount": 5, "double": 10}
    assert len(made) == 4


async def test_what_could_not_succeed_is_refused_by_every_part() -> None:
    pay, arguments = action([]), Pay(amount=101)
    assert pay.facts
    assert pay.describe
    for part in (pay.facts, pay.describe, pay.execute):
        with pytest.raises(ActionRefused, match="too much"):
            await part(CONTEXT, arguments)
