"""How a model says that the customer wants something once more: a flag on the tool of an action."""

from collections.abc import Sequence

from holdfast.contract.chat import Tool, ToolCall

CONFIRMED = "confirmed_again"


def with_again(tool: Tool) -> Tool:
    """The tool with a flag besides its arguments: the customer knows that the same was done before, and
    has confirmed that they want it once more."""
    schema = {
        "type": "boolean",
        "description": "Only true when you have told the customer that the very same was done before or "
        "waits, and they have then confirmed that they want it once more.",
    }
    parameters = dict(tool.parameters)
    parameters["properties"] = {**parameters.get("properties", {}), CONFIRMED: schema}
    return tool.model_copy(update={"parameters": parameters})


def take_again(calls: Sequence[ToolCall]) -> tuple[list[ToolCall], bool]:
    """The calls without the flag of `with_again`, and whether all of them had it: the `again` of their
    proposal."""
    again = bool(calls) and all(call.arguments.get(CONFIRMED) is True for call in calls)
    return [_without(call) for call in calls], again


def _without(call: ToolCall) -> ToolCall:
    arguments = {name: value for name, value in call.arguments.items() if name != CONFIRMED}
    return call.model_copy(update={"arguments": arguments})
