"""LangChain's dialect: `HITLRequest` and `HITLResponse` of its human-in-the-loop middleware.

As `langchain.agents.middleware.human_in_the_loop` defines it (https://github.com/langchain-ai/langchain):
several actions for each request, and one decision for each action, in order. Our decision is one for
all actions of an approval, since they are carried out together or not at all.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError

from holdfast.domain import review as ours
from holdfast.domain.errors import InvalidRequest, NotExpressible
from holdfast.domain.failures import in_words
from holdfast.domain.model import Strict
from holdfast.domain.records import ApprovalRecord
from holdfast.edges.dialects.decision import (
    Schemas,
    edited,
    in_markdown,
    read_arguments,
    require_whole,
)

NO_REASON = "The reviewer gave no reason."
"""The reason of a rejection that came without a message, which is optional in this dialect."""

DecisionType = Literal["approve", "edit", "reject", "respond"]


class Action(Strict):
    """An action: its name, and its arguments."""

    name: str
    args: dict[str, JsonValue]


class ActionRequest(Action):
    """An action that is asked about."""

    description: str | None = None


class ReviewConfig(Strict):
    """What may be answered for an action."""

    action_name: str
    allowed_decisions: tuple[DecisionType, ...]
    args_schema: dict[str, JsonValue] | None = None


class HITLRequest(Strict):
    """A question to a reviewer."""

    action_requests: tuple[ActionRequest, ...]
    review_configs: tuple[ReviewConfig, ...]


class Approve(Strict):
    """The action may run as it is."""

    type: Literal["approve"] = "approve"


class Edit(Strict):
    """The action may run with these arguments."""

    type: Literal["edit"] = "edit"
    edited_action: Action


class Reject(Strict):
    """The action may not run."""

    type: Literal["reject"] = "reject"
    message: str | None = None


class Respond(Strict):
    """An answer in the place of a decision."""

    type: Literal["respond"] = "respond"
    message: Annotated[str, Field(pattern=r"\S")]


class HITLResponse(Strict):
    """A reviewer's answer: a decision for each action, in order."""

    decisions: tuple[Annotated[Approve | Edit | Reject | Respond, Field(discriminator="type")], ...]


def to_request(record: ApprovalRecord, schemas: Schemas | None = None) -> HITLRequest:
    """The approval as a question, with the schemas of its actions' arguments where they are given."""
    known = schemas or {}
    names = dict.fromkeys(action.name for action in record.actions)
    return HITLRequest(
        action_requests=tuple(
            ActionRequest(
                name=action.name, args=action.arguments, description=in_markdown(record, action)
            )
            for action in record.actions
        ),
        review_configs=tuple(
            ReviewConfig(
                action_name=name,
                allowed_decisions=("approve", "edit", "reject", "respond"),
                args_schema=known[name].model_json_schema() if name in known else None,
            )
            for name in names
        ),
    )


def read_response(value: JsonValue) -> HITLResponse:
    """An answer as it comes; raises `InvalidRequest` when it is none."""
    try:
        return HITLResponse.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(f"this is no HITLResponse: {in_words(error)}") from None


def from_response(response: HITLResponse, record: ApprovalRecord, schemas: Schemas) -> ours.Review:
    """What an answer to `to_request(record)` says.

    Raises:
        InvalidRequest: it does not have one decision for each action, or names another action.
        InvalidEdit: edited arguments do not fit their action.
        NotExpressible: it decides differently about actions that stand or fall together.
    """
    decisions = response.decisions
    if len(decisions) != len(record.actions):
        raise InvalidRequest(
            f"approval {record.id} has {len(record.actions)} actions, the answer decides about "
            f"{len(decisions)}"
        )
    kinds = {one.type for one in decisions}
    if kinds <= {"approve", "edit"}:
        arguments: list[dict[str, JsonValue]] = []
        for action, one in zip(record.actions, decisions, strict=True):
            if isinstance(one, Edit):
                if one.edited_action.name != action.name:
                    raise InvalidRequest(
                        f"an edit keeps the action {action.name!r}; it is {one.edited_action.name!r}"
                    )
                arguments.append(read_arguments(action, schemas, one.edited_action.args))
            else:
                arguments.append(action.arguments)
        return edited(record, arguments)
    messages = {
        one.message if one.message and one.message.strip() else NO_REASON
        for one in decisions
        if isinstance(one, Reject | Respond)
    }
    if len(kinds) != 1 or len(messages) != 1:
        raise NotExpressible(
            f"the actions of approval {record.id} are carried out together or not at all: decide "
            "the same about each, for the same reason"
        )
    (message,) = messages
    return ours.Reject(message) if kinds == {"reject"} else ours.Respond(message)


def to_response(review: ours.Review, record: ApprovalRecord) -> HITLResponse:
    """A review as an answer.

    Raises:
        InvalidRequest: it is not whole.
        NotExpressible: the dialect has no word for it.
    """
    require_whole(review, record)
    actions = record.actions
    decisions: list[Approve | Edit | Reject | Respond]
    match review:
        case ours.Accept():
            decisions = [Approve() for _ in actions]
        case ours.Edit(arguments=arguments):
            decisions = [
                Approve()
                if changed == action.arguments
                else Edit(edited_action=Action(name=action.name, args=changed))
                for action, changed in zip(actions, arguments, strict=True)
            ]
        case ours.Reject(reason=reason):
            message = None if reason == NO_REASON else reason
            decisions = [Reject(message=message) for _ in actions]
        case ours.Respond(text=text):
            decisions = [Respond(message=text) for _ in actions]
        case _:
            raise NotExpressible(f"LangChain's dialect has no word for a decision to {review.kind}")
    return HITLResponse(decisions=tuple(decisions))
