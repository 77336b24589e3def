"""Keys: what they name, and that requests give theirs."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.activity_protocol import (
    ActionRequest,
    EndTurnRequest,
    RecallRequest,
    StepRequest,
)
from holdfast.domain.identity import ConversationKey, StepKey, TurnKey
from holdfast.domain.ids import ID_PATTERN, derived_id

ids = st.from_regex(ID_PATTERN, fullmatch=True).map(str.strip)
PLACE = {"tenant": "demo", "conversation": "c1", "turn": 3, "step": 2, "index": 1}
CONVERSATION = ConversationKey("demo", "c1")
STEP = StepKey("demo", "c1", 3, 2)


@given(tenant=ids, conversation=ids)
def test_a_workflow_id_names_one_tenant_and_one_conversation(
    tenant: str, conversation: str
) -> None:
    key = ConversationKey(tenant, conversation)
    assert ConversationKey.of_workflow(key.workflow_id) == key


def test_each_key_is_made_from_the_level_above() -> None:
    assert CONVERSATION.turn_key(3) == TurnKey("demo", "c1", 3)
    assert CONVERSATION.turn_key(3).step_key(2) == STEP
    assert STEP.action_key(1).index == 1


def test_the_ids_of_approvals_and_actions_are_those_that_records_have() -> None:
    assert STEP.approval_id == derived_id("ap", "demo", "c1", 3, 2)
    assert STEP.action_key(1).action_id == derived_id("act", "demo", "c1", 3, 2, 1)


def test_a_request_is_built_from_a_key_and_gives_it_back() -> None:
    assert RecallRequest(**CONVERSATION.fields, message_id="m1").key == CONVERSATION
    turn = CONVERSATION.turn_key(3)
    assert EndTurnRequest(**turn.fields, status="cancelled", reason="test").key == turn
    assert StepRequest(**STEP.fields, thread=1, subgraph="orders", attempts=1).key == STEP
    action = STEP.action_key(1)
    assert ActionRequest(**action.fields, attempts=1).key == action


def test_a_request_has_the_key_of_what_it_concerns_and_stays_flat_on_the_wire() -> None:
    recall = RecallRequest.model_validate({**PLACE, "message_id": "m1"})
    assert recall.key == CONVERSATION
    ending = EndTurnRequest.model_validate({**PLACE, "status": "cancelled", "reason": "test"})
    assert ending.key == CONVERSATION.turn_key(3)
    step = StepRequest.model_validate({**PLACE, "thread": 1, "subgraph": "orders", "attempts": 1})
    assert step.key == STEP
    action = ActionRequest.model_validate({**PLACE, "attempts": 1})
    assert action.key == STEP.action_key(1)
    assert list(action.model_dump()) == [
        *PLACE,
        "attempts",
        "lost_attempts",
        "seconds",
        "served_within",
    ]
