"""Describes an action for reviewers: as it says itself, or from its arguments' schema."""

import logging
from collections.abc import Mapping

from pydantic import BaseModel, JsonValue

from holdfast.domain.description import ActionDescription, Detail
from holdfast.subgraphs.action import ActionContext, ActionRefused, AnyAction

_logger = logging.getLogger(__name__)

_MOST_DETAILS = 40


async def describe(
    action: AnyAction,
    context: ActionContext,
    arguments: BaseModel,
    facts: Mapping[str, JsonValue],
) -> ActionDescription:
    """What a reviewer reads of the action. A `describe` that fails does not stop the proposal: then
    its schema has to do.

    Raises:
        ActionRefused: the action could not succeed.
    """
    if action.describe is not None:
        try:
            return await action.describe(context, arguments)
        except ActionRefused:
            raise
        except Exception:
            _logger.warning("action %r could not be described", action.name, exc_info=True)
    return describe_by_schema(action, arguments, facts)


def describe_by_schema(
    action: AnyAction, arguments: BaseModel, facts: Mapping[str, JsonValue]
) -> ActionDescription:
    """The first sentence of the action's description, its arguments and its facts."""
    fields = type(arguments).model_fields
    details = [
        Detail(label=fields[name].title or _in_words(name), value=_readable(value))
        for name, value in arguments.model_dump(mode="json").items()
    ]
    details += [
        Detail(label=_in_words(name), value=_readable(fact)) for name, fact in facts.items()
    ]
    return ActionDescription(
        title=action.description.split(". ")[0].rstrip("."), details=tuple(details[:_MOST_DETAILS])
    )


def _in_words(name: str) -> str:
    return name.replace("_", " ")


def _readable(value: JsonValue) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{_in_words(name)}: {_readable(one)}" for name, one in value.items())
        case list():
            return ", ".join(_readable(one) for one in value)
        case _:
            return str(value)
