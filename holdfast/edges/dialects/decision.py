"""What a dialect's answer says in ours, and how edited arguments are read."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, JsonValue, ValidationError

from holdfast.domain.errors import InvalidEdit, InvalidRequest
from holdfast.domain.ids import json_digest
from holdfast.domain.records import ApprovalRecord, AskedAction
from holdfast.domain.review import Accept, Edit, Reject, Respond, Review
from holdfast.domain.text import markdown
from holdfast.domain.validation import listed
from holdfast.edges.dialects.coercion import coerce_arguments

Schemas = Mapping[str, type[BaseModel]]
"""The arguments' model of each action, by its name: `Action.arguments`."""


def edited(record: ApprovalRecord, arguments: Sequence[dict[str, JsonValue]]) -> Accept | Edit:
    """Other arguments; those that were shown are accepted."""
    if json_digest(list(arguments)) == json_digest([one.arguments for one in record.actions]):
        return Accept()
    return Edit(tuple(arguments))


def read_arguments(
    action: AskedAction, schemas: Schemas, values: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Arguments from values of which some are text, as `coerce_arguments` reads them; without the
    action's schema, each has the type that it had. Those that mean the same as what was shown, such
    as with a default written out, are what was shown.

    Raises:
        InvalidEdit: they do not fit; the message names the fields.
    """
    schema = schemas.get(action.name)
    read = coerce_arguments(
        values,
        shown=action.arguments,
        schema=schema.model_json_schema() if schema is not None else None,
    )
    if schema is not None:
        try:
            if schema.model_validate(read) == schema.model_validate(action.arguments):
                return action.arguments
        except ValidationError as error:
            problems = listed(error, trusted=True)  # the reviewer has written what does not fit
            raise InvalidEdit(f"the arguments do not fit {action.name}: {problems}") from None
    return read


def require_whole(review: Review, record: ApprovalRecord) -> None:
    """Check that a review has what its kind needs.

    Raises:
        InvalidRequest: it lacks a text, or an edit does not have arguments for each action.
    """
    match review:
        case Reject(reason=text) | Respond(text=text) if not text.strip():
            raise InvalidRequest(f"a decision to {review.kind} needs a text")
        case Edit(arguments=arguments) if len(arguments) != len(record.actions):
            raise InvalidRequest(
                f"approval {record.id} has {len(record.actions)} actions, the edit has arguments for "
                f"{len(arguments)}"
            )


def in_markdown(record: ApprovalRecord, action: AskedAction) -> str:
    """An action for reviewers: what it is, what it changes, why the agent wants it."""
    description = action.description
    changes = description.changes if description else ()
    details = description.details if description else ()
    lines = [
        f"**{markdown(description.title if description else action.name)}**",
        "",
        *(
            f"- {markdown(one.what)}: {markdown(one.before or 'nothing')} → {markdown(one.after or 'nothing')}"
            for one in changes
        ),
        *(f"- {markdown(one.label)}: {markdown(one.value)}" for one in details),
    ]
    lines += ["", markdown(record.reason), *(f"> {markdown(one)}" for one in record.evidence)]
    if record.policy_reason:
        lines += ["", markdown(record.policy_reason)]
    return "\n".join(lines)
