"""Events: each kind has one payload, written strictly and read leniently."""

import re
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from pydantic import JsonValue, ValidationError

from holdfast.domain.events import (
    PAYLOADS,
    ActionNotExecuted,
    ApprovalDecided,
    ApprovalRequested,
    ApprovalUpdated,
    BoundReached,
    ConversationForked,
    ConversationOpened,
    DecisionRefused,
    Event,
    EventType,
    HandedBack,
    MessageReceived,
    NewEvent,
    NewMessageSent,
    Payload,
    TurnEnded,
)
from holdfast.domain.limits import AnswerBound, AnswerBounds
from holdfast.domain.outcomes import ProposedAction

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
EDITED = ProposedAction(name="add", arguments={"amount": 5})


def read(kind: str, data: dict[str, Any], turn: int | None = 1) -> Event:
    return Event.model_validate({"type": kind, "turn": turn, "data": data, "seq": 1, "at": AT})


def test_every_kind_has_a_payload_that_is_called_like_it() -> None:
    assert set(PAYLOADS) == set(get_args(EventType))
    for kind, payload in PAYLOADS.items():
        assert re.sub(r"\B([A-Z])", r"_\1", payload.__name__).lower() == kind


def test_the_bounds_that_events_name_are_settings() -> None:
    assert set(get_args(AnswerBound)) == set(AnswerBounds.model_fields)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_field_that_the_kind_lacks_is_refused_where_it_is_written_and_dropped_where_it_is_read(
    payload: type[Payload],
) -> None:
    fields = payload.model_json_schema()["properties"]
    data = {name: one["examples"][0] for name, one in fields.items() if "examples" in one}
    with pytest.raises(ValidationError, match="Extra inputs"):
        payload.model_validate({**data, "later": 1})
    event = read(payload.type, {**data, "later": 1})
    assert event.data == payload.model_validate(data)
    assert event.model_dump(mode="json")["data"] == data


def test_an_event_names_its_turn_where_its_kind_belongs_to_one_and_only_there() -> None:
    with pytest.raises(ValidationError, match="turn is None"):
        NewEvent(data=TurnEnded(status="answered"))
    with pytest.raises(ValidationError, match="turn is 1"):
        NewEvent(turn=1, data=ConversationOpened())


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        (ConversationOpened(), {}),
        (ConversationForked(from_="c1"), {"from": "c1"}),
        (NewMessageSent(role="assistant"), {"role": "assistant"}),
        (TurnEnded(status="answered"), {"status": "answered"}),
        (HandedBack(note=None), {}),
        (
            ActionNotExecuted(action="a", name="add", state="denied"),
            {"action": "a", "name": "add", "state": "denied"},
        ),
        (
            BoundReached(bound="turn_dollars", limit="5"),
            {"bound": "turn_dollars", "limit": "5"},
        ),
        (
            ApprovalRequested(approval="ap", roles=("lead",), expires_at=AT, actions=("add",)),
            {
                "approval": "ap",
                "roles": ["lead"],
                "expires_at": "2026-03-02T09:30:00+00:00",
                "actions": ["add"],
            },
        ),
        (
            ApprovalDecided(approval="ap", state="withdrawn"),
            {"approval": "ap", "state": "withdrawn"},
        ),
        (
            ApprovalUpdated(
                approval="ap",
                decision="d",
                kind="edit",
                reviewer="ann",
                team=None,
                roles=("lead",),
                text="",
                actions=(EDITED,),
            ),
            {
                "approval": "ap",
                "state": "pending",
                "decision": "d",
                "kind": "edit",
                "reviewer": "ann",
                "team": None,
                "roles": ["lead"],
                "text": "",
                "actions": [{"name": "add", "arguments": {"amount": 5}}],
            },
        ),
        (
            ApprovalDecided(
                approval="ap",
                state="accepted",
                decision="d",
                kind="accept",
                reviewer="ann",
                team=None,
                roles=(),
                text="",
            ),
            {
                "approval": "ap",
                "state": "accepted",
                "decision": "d",
                "kind": "accept",
                "reviewer": "ann",
                "team": None,
                "roles": [],
                "text": "",
            },
        ),
    ],
    ids=lambda one: one.type if isinstance(one, Payload) else "",
)
def test_what_is_recorded_has_what_was_given_and_comes_back_as_it_is(
    payload: Payload, data: dict[str, JsonValue]
) -> None:
    turn = 1 if payload.of_turn else None
    recorded = NewEvent(turn=turn, data=payload).to_json()
    assert recorded == {"type": payload.type, "turn": turn, "data": data}
    if payload.type != "message_sent":
        assert read(payload.type, data, turn).model_dump(mode="json")["data"] == data


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        ({"message": 1, "role": "customer"}, MessageReceived(message=1)),
        ({"message": 1, "message_id": "m"}, MessageReceived(message=1, message_id="m")),
        (
            {
                "approval": "ap",
                "state": "rejected",
                "reviewer": "a",
                "kind": "reject",
                "text": "No.",
            },
            ApprovalDecided(
                approval="ap", state="rejected", reviewer="a", kind="reject", text="No."
            ),
        ),
        (
            {"approval": "ap", "reviewer": "eve", "kind": "accept", "refusal": "NotAllowed: no"},
            DecisionRefused(approval="ap", reviewer="eve", kind="accept", refusal="NotAllowed: no"),
        ),
    ],
)
def test_what_earlier_versions_have_recorded_is_read(
    data: dict[str, JsonValue], payload: Payload
) -> None:
    assert read(payload.type, data).data == payload
