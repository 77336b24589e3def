"""What a dialect's answer says in ours, and how edited arguments are read."""

import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, JsonValue, ValidationError

from holdfast.domain.approval import DecisionKind
from holdfast.domain.errors import InvalidEdit, NotExpressible
from holdfast.domain.model import Frozen
from holdfast.store.approvals import ApprovalRecord, AskedAction

Schemas = Mapping[str, type[BaseModel]]
"""The arguments' model of each action, by its name: `Action.arguments`."""


class DialectDecision(Frozen):
    """What `HoldfastClient.decide` takes, about the approval as it was shown."""

    approval: str
    digest: str
    kind: DecisionKind
    text: str = ""
    arguments: tuple[dict[str, JsonValue], ...] = ()


def decided(record: ApprovalRecord, kind: DecisionKind, text: str = "") -> DialectDecision:
    """A decision on all of an approval."""
    return DialectDecision(approval=record.id, digest=record.args_digest, kind=kind, text=text)


def edited(record: ApprovalRecord, arguments: Sequence[dict[str, JsonValue]]) -> DialectDecision:
    """A decision for other arguments; to accept, where they are those that were shown."""
    if list(arguments) == [action.arguments for action in record.actions]:
        return decided(record, "accept")
    return decided(record, "edit").model_copy(update={"arguments": tuple(arguments)})


def read_arguments(
    action: AskedAction, schemas: Schemas, values: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Arguments as the action's schema has them, from values of which some are text: "5" for 5,
    "true" for true, JSON for lists and objects, nothing or "null" for None.

    Raises:
        InvalidEdit: they do not fit; the message names the fields.
        NotExpressible: nobody said what the action's schema is.
    """
    schema = schemas.get(action.name)
    if schema is None:
        raise NotExpressible(f"arguments of {action.name!r} cannot be read without its schema")
    if unknown := sorted(values.keys() - schema.model_fields.keys()):
        raise InvalidEdit(f"{action.name} has no arguments {', '.join(unknown)}")
    given = dict(values)
    for _ in range(2):
        try:
            read: dict[str, JsonValue] = schema.model_validate(given).model_dump(mode="json")
        except ValidationError as error:
            problem = error
            for one in error.errors():
                name = str(one["loc"][0]) if one["loc"] else ""
                value = given.get(name)
                if isinstance(value, str):
                    given[name] = _from_json(value)
        else:
            return read
    problems = "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in problem.errors()
    )
    raise InvalidEdit(f"the arguments do not fit {action.name}: {problems}")


def _from_json(text: str) -> JsonValue:
    if not text.strip():
        return None
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def in_markdown(record: ApprovalRecord, action: AskedAction) -> str:
    """An action for reviewers: what it is, what it changes, why the agent wants it."""
    description = action.description
    changes = description.changes if description else ()
    details = description.details if description else ()
    lines = [
        f"**{description.title if description else action.name}**",
        "",
        *(f"- {one.what}: {one.before or 'nothing'} → {one.after or 'nothing'}" for one in changes),
        *(f"- {one.label}: {one.value}" for one in details),
    ]
    lines += ["", record.reason, *(f"> {evidence}" for evidence in record.evidence)]
    if record.policy_reason:
        lines += ["", record.policy_reason]
    return "\n".join(lines)
