"""An action's arguments, read by its own model: what is judged, shown and recorded is what is executed.

A proposal's arguments are recorded as its model writes them, and read from that for whatever follows: to be
judged, rehearsed and shown, and to run. A model that reads its own values as others, such as one whose
validator turns euros into cents, or that leaves some out of what it writes, is refused each time.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, JsonValue, RootModel

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
    proposed = _read(action, given)
    recorded = _written(proposed)
    values = dict(proposed)
    try:
        arguments = recorded_arguments(action, recorded)
        _require_same(action, (name for name, value in arguments if value != values.get(name)))
    except OtherForm as error:
        raise BrokenContract(
            f"The arguments of {action.name} can't be recorded: {error.problem}. Its model has to read what it "
            "writes as the same values."
        ) from error
    return arguments, recorded


def recorded_arguments(action: AnyAction, recorded: dict[str, JsonValue]) -> BaseModel:
    """The arguments of a record. Values that an earlier version has recorded, and that are worked out now,
    have to come to the same.

    Raises:
        OtherForm: they are not what was recorded.
    """
    absent = object()
    try:
        arguments = _read(action, recorded)
        now = _written(arguments)
        computed = action.arguments.model_computed_fields.keys() & (recorded.keys() - now.keys())
        worked_out = now | arguments.model_dump(mode="json", include=set(computed))
    except ValueError as error:
        raise OtherForm(action, "what it has read itself doesn't fit it") from error
    if unwritten := sorted(set(_unwritten(arguments, now))):
        raise OtherForm(action, f"it holds {', '.join(unwritten)} besides what it writes")
    names = worked_out.keys() | recorded.keys()
    values = ((name, recorded.get(name, absent), worked_out.get(name, absent)) for name in names)
    _require_same(action, (name for name, then, here in values if not _is_same(then, here)))
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


def _written(arguments: BaseModel) -> dict[str, Any]:
    return arguments.model_dump(mode="json", by_alias=False, round_trip=True)


def _require_same(action: AnyAction, changed: Iterable[str]) -> None:
    if names := sorted(changed):
        raise OtherForm(action, f"it reads {', '.join(names)} differently again")


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON, where `true` is not 1."""
    return bool(one == other) and canonical_json(one) == canonical_json(other)


def _unwritten(value: Any, written: Any) -> Iterator[str]:
    """The names under which models hold something that is not in what was written of them: fields that are left
    out, and what code sees in the place of an undeclared value of that name."""
    match value, written:
        case RootModel(), _:
            yield from _unwritten(value.root, written)
        case (list() | tuple() | set() | frozenset(), list()):
            for part, its in zip(value, written, strict=False):
                yield from _unwritten(part, its)
        case dict(), dict():
            yield from _unwritten(list(value.values()), list(written.values()))
        case _, dict():
            kind = type(value)
            fields = getattr(kind, "__pydantic_fields__", {})
            if written.keys().isdisjoint(fields) and _has_a_form_of_its_own(kind):
                return
            for name in fields:
                if name in written:
                    yield from _unwritten(getattr(value, name), written[name])
                elif getattr(value, name) is not None:
                    yield name
            for name in getattr(value, "model_extra", None) or {}:
                if hasattr(kind, name) and not hasattr(BaseModel, name):
                    yield name


def _has_a_form_of_its_own(kind: type) -> bool:
    decorators = getattr(kind, "__pydantic_decorators__", None)
    return decorators is not None and bool(decorators.model_serializers)
