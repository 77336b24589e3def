"""What a model hears of the actions that it has called."""

from typing import Any

import pytest
from pydantic import JsonValue

from holdfast.contract.exchange import action_answer, answered_calls
from holdfast.domain.outcomes import ActionResult

PAID: dict[str, Any] = {"id": "act_1", "name": "pay", "arguments": {}, "result": {"paid": 5}}


@pytest.mark.parametrize(
    ("result", "heard"),
    [
        (ActionResult(**PAID, state="executed"), {"paid": 5}),
        (ActionResult(**{**PAID, "result": None}, state="executed"), {"state": "executed"}),
        (
            ActionResult(**PAID, state="executed", error="It should have been undone."),
            {"error": "It should have been undone.", "state": "executed", "result": {"paid": 5}},
        ),
        (
            ActionResult(**PAID, state="repeated", error="The same was done before."),
            {
                "error": "The same was done before.",
                "state": "repeated",
                "earlier_result": {"paid": 5},
            },
        ),
        (
            ActionResult(**PAID, state="rejected"),
            {"error": "It was rejected.", "state": "rejected"},
        ),
    ],
)
def test_a_model_hears_what_became_of_an_action(result: ActionResult, heard: JsonValue) -> None:
    assert action_answer(result, {}) == heard


def test_a_model_hears_which_arguments_a_reviewer_has_changed() -> None:
    edited = ActionResult(
        **{**PAID, "arguments": {"nights": 7, "room": "R1", "note": ""}},
        state="executed",
        reviewer="rita",
    )
    assert action_answer(edited, {"nights": 10, "room": "R1"}) == {
        "state": "executed",
        "changed_by_a_reviewer": {"nights": 7},
        "result": {"paid": 5},
    }
    accepted = edited.model_copy(update={"reviewer": None})
    assert action_answer(accepted, {"nights": "7"}) == {"paid": 5}


@pytest.mark.parametrize(
    "content", ["no JSON", "[" * 100_000, "1" * 5_000], ids=lambda one: one[:9]
)
def test_a_tool_s_answer_that_cannot_be_read_as_json_stays_a_text(content: str) -> None:
    function: Any = {"name": "look", "arguments": "{}"}
    [answered] = answered_calls(
        [
            {
                "role": "assistant",
                "tool_calls": [{"id": "a", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "a", "content": content},
        ]
    )
    assert answered.result == content
