"""The flag by which a model says that the customer wants something once more."""

from pydantic import BaseModel

from holdfast import Tool, ToolCall, take_again, with_again


class Pay(BaseModel):
    amount: int


def call(**arguments: bool | int) -> ToolCall:
    return ToolCall(id="c", name="pay", arguments={**arguments})


def test_the_flag_is_offered_beside_the_arguments() -> None:
    tool = Tool.of(Pay, name="pay", description="Pay.")
    assert set(with_again(tool).parameters["properties"]) == {"amount", "confirmed_again"}
    assert with_again(tool).parameters["required"] == ["amount"]
    assert set(tool.parameters["properties"]) == {"amount"}


def test_the_flag_is_no_argument_of_the_action() -> None:
    calls, again = take_again([call(amount=1, confirmed_again=True)])
    assert ([one.arguments for one in calls], again) == ([{"amount": 1}], True)
    calls, again = take_again([call(amount=1)])
    assert ([one.arguments for one in calls], again) == ([{"amount": 1}], False)


def test_a_proposal_is_confirmed_where_all_of_its_calls_are() -> None:
    assert not take_again([call(confirmed_again=True), call()])[1]
    assert take_again([call(confirmed_again=True), call(confirmed_again=True)])[1]
    assert not take_again([])[1]
