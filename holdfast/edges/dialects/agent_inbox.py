"""The dialect of agent-inbox: `HumanInterrupt` and `HumanResponse`.

As `langgraph.prebuilt.interrupt` defines it (https://reference.langchain.com/python/langgraph.prebuilt/interrupt)
and the inbox speaks it (https://github.com/langchain-ai/agent-inbox): one action for each interrupt;
edited and accepted arguments come back as text; to ignore a request means that it is not carried
out. Both travel in lists of one.
"""

from typing import Literal, assert_never

from pydantic import JsonValue, StrictBool, ValidationError

from holdfast.domain.errors import InvalidRequest, NotExpressible
from holdfast.domain.failures import in_words
from holdfast.domain.model import Strict
from holdfast.domain.records import ApprovalRecord, AskedAction
from holdfast.domain.review import Accept, Edit, Reject, Respond, Review
from holdfast.edges.dialects.decision import (
    Schemas,
    edited,
    in_markdown,
    read_arguments,
    require_whole,
)

IGNORED = "The reviewer has ignored this request."
"""The reason of a rejection that comes from an inbox, which has none to give."""


class ActionRequest(Strict):
    """An action: its name, and its arguments."""

    action: str
    args: dict[str, JsonValue]


class HumanInterruptConfig(Strict):
    """What a reviewer may answer."""

    allow_ignore: StrictBool
    allow_respond: StrictBool
    allow_edit: StrictBool
    allow_accept: StrictBool


class HumanInterrupt(Strict):
    """A question to a reviewer."""

    action_request: ActionRequest
    config: HumanInterruptConfig
    description: str | None = None


class HumanResponse(Strict):
    """A reviewer's answer."""

    type: Literal["accept", "ignore", "response", "edit"]
    args: ActionRequest | str | None = None


def to_interrupt(record: ApprovalRecord) -> HumanInterrupt:
    """The approval as a question.

    Raises:
        NotExpressible: it has several actions; LangChain's dialect takes these.
    """
    action = _only_action(record)
    return HumanInterrupt(
        action_request=ActionRequest(action=action.name, args=action.arguments),
        config=HumanInterruptConfig(
            allow_ignore=True, allow_respond=True, allow_edit=True, allow_accept=True
        ),
        description=in_markdown(record, action),
    )


def read_response(value: JsonValue) -> HumanResponse:
    """An answer as it comes, alone or in a list of one.

    Raises:
        InvalidRequest: it is none.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    try:
        return HumanResponse.model_validate(value)
    except ValidationError as error:
        raise InvalidRequest(f"this is no HumanResponse: {in_words(error)}") from None


def from_response(response: HumanResponse, record: ApprovalRecord, schemas: Schemas) -> Review:
    """What an answer to `to_interrupt(record)` says.

    Raises:
        InvalidRequest: it lacks something, or is about another action.
        InvalidEdit: its arguments do not fit the action.
        NotExpressible: it accepts other arguments than those that were shown.
    """
    action = _only_action(record)
    match response.type:
        case "accept":
            if response.args is not None:
                arguments = _read(response, action, schemas)
                if isinstance(edited(record, [arguments]), Edit):
                    raise NotExpressible("it accepts other arguments than those shown; edit them")
            return Accept()
        case "edit":
            return edited(record, [_read(response, action, schemas)])
        case "response":
            if not isinstance(response.args, str) or not response.args.strip():
                raise InvalidRequest("a response needs a text")
            return Respond(response.args)
        case "ignore":
            return Reject(IGNORED)
        case _:
            assert_never(response.type)


def to_response(review: Review, record: ApprovalRecord) -> HumanResponse:
    """A review as an answer.

    Raises:
        InvalidRequest: it is not whole.
        NotExpressible: the dialect has no word for it.
    """
    action = _only_action(record)
    require_whole(review, record)
    match review:
        case Accept():
            asked = ActionRequest(action=action.name, args=action.arguments)
            return HumanResponse(type="accept", args=asked)
        case Edit(arguments=arguments):
            asked = ActionRequest(action=action.name, args=arguments[0])
            return HumanResponse(type="edit", args=asked)
        case Respond(text=text):
            return HumanResponse(type="response", args=text)
        case Reject(reason=reason) if reason == IGNORED:
            return HumanResponse(type="ignore")
        case Reject():
            raise NotExpressible("agent-inbox cannot reject with a reason; it can only ignore")
        case _:
            raise NotExpressible(f"agent-inbox has no word for a decision to {review.kind}")


def _read(response: HumanResponse, action: AskedAction, schemas: Schemas) -> dict[str, JsonValue]:
    if not isinstance(response.args, ActionRequest):
        raise InvalidRequest(f"an answer to {response.type} carries an action and its arguments")
    if response.args.action != action.name:
        raise InvalidRequest(f"it is about {response.args.action!r}, asked was {action.name!r}")
    return read_arguments(action, schemas, response.args.args)


def _only_action(record: ApprovalRecord) -> AskedAction:
    if len(record.actions) != 1:
        raise NotExpressible(
            f"approval {record.id} has {len(record.actions)} actions, agent-inbox shows one; use "
            "LangChain's dialect"
        )
    return record.actions[0]
