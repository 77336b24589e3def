"""An action's arguments, read by its own model: what is judged, shown and recorded is what is executed.

A proposal's arguments are read twice, when they are proposed and, from the record, when they run. A model
that reads its own values as others, such as one whose validator turns euros into cents, is refused both
times.
"""

from typing import Any

from pydantic import BaseModel, JsonValue

from holdfast.contract.action import AnyAction
from holdfast.domain.errors import BrokenContract
from holdfast.domain.ids import canonical_json


class OtherForm(BrokenContract, code=BrokenContract.code):
    """An action's model does not read from a record what was recorded, since it has become another. The
    message is for agents, `problem` for builders."""

    def __init__(self, action: AnyAction, problem: str) -> None:
        super().__init__(
            f"What {action.name} takes has changed since this was proposed, so it was not done. "
            "Propose it anew."
        )
        self.problem = problem


def read_arguments(action: AnyAction, given: object) -> tuple[BaseModel, dict[str, JsonValue]]:
    """The arguments as the action gets them, and as they are recorded, by the names of the fields.

    Raises:
        ValidationError: they don't fit.
        BrokenContract: what is recorded would be read as something else.
    """
    arguments = _read(action, given)
    recorded = arguments.model_dump(mode="json", round_trip=True)
    try:
        recorded_arguments(action, recorded)
    except OtherForm as error:
        raise BrokenContract(
            f"The arguments of {action.name} can't be recorded: {error.problem}. Its model has to read what it "
            "writes as the same values."
        ) from error
    return arguments, recorded


def recorded_arguments(action: AnyAction, recorded: dict[str, JsonValue]) -> BaseModel:
    """The arguments of a record. Values that an earlier version has recorded, and that are worked out now,
    don't count.

    Raises:
        OtherForm: they are not what was recorded.
    """
    try:
        arguments = _read(action, recorded)
        now: dict[str, Any] = arguments.model_dump(mode="json", round_trip=True)
    except ValueError as error:
        raise OtherForm(action, "what it has read itself doesn't fit it") from error
    names = (now.keys() | recorded.keys()) - action.arguments.model_computed_fields.keys()
    absent = object()
    changed = [name for name in names if recorded.get(name, absent) != now.get(name, absent)]
    if changed:
        raise OtherForm(action, f"it reads {', '.join(sorted(changed))} differently again")
    return arguments


def are_equal(
    action: AnyAction | None, one: dict[str, JsonValue], other: dict[str, JsonValue]
) -> bool:
    """Whether two spellings of arguments are the same values: "20" and "20.00", say, where the action's
    model reads decimals."""
    if canonical_json(one) == canonical_json(other):
        return True
    try:
        return action is not None and _read(action, one) == _read(action, other)
    except Exception:  # brought code, which doesn't take one of them, or not any more
        return False


def _read(action: AnyAction, given: object) -> BaseModel:
    arguments: BaseModel = action.arguments.model_validate(given, by_alias=True, by_name=True)
    return arguments
