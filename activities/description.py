"""Describes an action for reviewers: as it says itself, or from its arguments' schema."""

import logging
import re
from collections.abc import Mapping

from pydantic import BaseModel, JsonValue

from holdfast.contract.action import ActionContext, ActionRefused, AnyAction
from holdfast.domain.description import ActionDescription, Detail
from holdfast.domain.failures import in_words
from holdfast.store.pool import is_transient

_logger = logging.getLogger(__name__)

_LONGEST_LABEL = 40
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])\s")


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
        Exception: Postgres is away or asks to try again.
    """
    if action.describe is not None:
        try:
            described: object = await action.describe(context, arguments)
            if isinstance(described, ActionDescription):
                return described
            raise TypeError(f"describe has to return an ActionDescription, not {described!r}")
        except ActionRefused:
            raise
        except Exception as error:
            if is_transient(error):
                raise
            _logger.warning(
                "action %r could not be described, reviewers see its arguments: %s",
                action.name,
                in_words(error),
            )
    return describe_by_schema(action, arguments, facts)


def describe_by_schema(
    action: AnyAction, arguments: BaseModel, facts: Mapping[str, JsonValue]
) -> ActionDescription:
    """The first sentence of the action's description, its arguments, and the facts that these do
    not say already."""
    dumped: dict[str, JsonValue] = arguments.model_dump(mode="json", round_trip=True)
    details = [
        Detail(label=_label(type(arguments), name), value=_readable(value))
        for name, value in dumped.items()
    ]
    details += [
        Detail(label=_in_words(name), value=_readable(fact))
        for name, fact in facts.items()
        if name not in dumped or dumped[name] != fact
    ]
    return ActionDescription(title=_title(action), details=tuple(details))


def _title(action: AnyAction) -> str:
    first = _END_OF_SENTENCE.split(action.description.strip(), maxsplit=1)[0]
    return first.rstrip(".") or _in_words(action.name)


def _label(arguments: type[BaseModel], name: str) -> str:
    """What the field is called: its title, else its description where that is short, else its name."""
    field = arguments.model_fields.get(name)
    if field is not None and field.title:
        return field.title
    said = field.description.strip().rstrip(".") if field and field.description else ""
    return said if 0 < len(said) <= _LONGEST_LABEL else _in_words(name)


def _in_words(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _readable(value: JsonValue) -> str:
    match value:
        case None | "":
            return "none"
        case dict() | list() if not value:
            return "none"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(
                f"{name.replace('_', ' ')}: {_part(one)}" for name, one in value.items()
            )
        case list():
            return ", ".join(_part(one) for one in value)
        case _:
            return str(value)


def _part(value: JsonValue) -> str:
    """A value within another one."""
    readable = _readable(value)
    return f"({readable})" if isinstance(value, dict | list) and value else readable
