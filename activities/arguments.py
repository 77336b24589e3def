"""An action's arguments, read by its own model: what is judged, shown and recorded is what is executed.

A proposal's arguments are read twice, when they are proposed and, from the record, when they run. A model
that reads its own values as others, such as one whose validator turns euros into cents, is refused both
times.
"""

from typing import Any

from pydantic import BaseModel, JsonValue

from holdfast.contract.action import AnyAction
from holdfast.domain.errors import BrokenContract


def read_arguments(action: AnyAction, given: object) -> tuple[BaseModel, dict[str, JsonValue]]:
    """The arguments as the action gets them, and as they are recorded, by the names of the fields.

    Raises:
        ValidationError: they don't fit.
        BrokenContract: what is recorded would be read as something else.
    """
    arguments: BaseModel = action.arguments.model_validate(given, by_alias=True, by_name=True)
    recorded = arguments.model_dump(mode="json", round_trip=True)
    recorded_arguments(action, recorded)
    return arguments, recorded


def recorded_arguments(action: AnyAction, recorded: dict[str, JsonValue]) -> BaseModel:
    """The arguments of a record.

    Raises:
        BrokenContract: they are not what was recorded.
    """
    try:
        arguments: BaseModel = action.arguments.model_validate(
            recorded, by_alias=True, by_name=True
        )
        now: dict[str, Any] = arguments.model_dump(mode="json", round_trip=True)
    except ValueError as error:
        raise BrokenContract(_problem(action, "what it has read itself doesn't fit it")) from error
    if changed := [name for name in now if name in recorded and recorded[name] != now[name]]:
        raise BrokenContract(_problem(action, f"it reads {', '.join(changed)} differently again"))
    return arguments


def _problem(action: AnyAction, problem: str) -> str:
    return (
        f"The arguments of {action.name} can't be recorded: {problem}. Its model has to read what it "
        "writes as the same values."
    )
