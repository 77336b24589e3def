"""Approvals and decisions in other tools' words, and back."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from holdfast.domain.approval import Approval
from holdfast.domain.description import ActionDescription, Change
from holdfast.domain.errors import InvalidEdit, InvalidRequest, NotExpressible
from holdfast.domain.records import ApprovalRecord, AskedAction
from holdfast.domain.review import (
    Accept,
    Claim,
    Comment,
    Delegate,
    Edit,
    Reject,
    Release,
    Respond,
    Review,
)
from holdfast.domain.terms import Requirement
from holdfast.edges.dialects import agent_inbox, langchain
from holdfast.edges.dialects.agent_inbox import HumanInterrupt
from holdfast.edges.dialects.decision import read_arguments
from holdfast.edges.dialects.langchain import NO_REASON, HITLRequest

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Refund(BaseModel):
    order: str
    amount: float = 1.0
    items: list[int] = []
    quick: bool = False
    note: str | None = None
    due: date | None = None
    limit: Decimal | None = None


SCHEMAS: dict[str, type[BaseModel]] = {"refund": Refund, "notify": Refund}
REFUND: dict[str, JsonValue] = Refund(order="W1", amount=20, items=[1, 2]).model_dump(mode="json")


def asked(*actions: tuple[str, dict[str, JsonValue]]) -> ApprovalRecord:
    """An approval of these actions."""
    machine = Approval(
        id="ap_1",
        turn=1,
        step=2,
        args_digest="d" * 64,
        requirements=(Requirement(roles=("boss",)),),
        requested_at=NOW,
        expires_at=NOW + timedelta(hours=1),
    )
    return ApprovalRecord.model_validate(
        {
            **machine.model_dump(exclude={"claim"}),
            **dict.fromkeys(["amount", "policy_reason", "decided_at", "stale_reason"]),
            **dict.fromkeys(["claimed_by", "claimed_until"]),
            "conversation": "c1",
            "customer": "ann",
            "agent": "orders",
            "requester": "agent:orders",
            "question": "Refund me.",
            "reason": "It came broken.",
            "evidence": ["A photo."],
            "roles": ["boss"],
            "policy_name": "shop",
            "policy_version": 1,
            "due_at": NOW,
            "approval": machine,
            "decisions": [],
            "actions": [
                AskedAction(
                    id=f"act_{index}",
                    name=name,
                    arguments=arguments,
                    facts={},
                    state="proposed",
                    description=ActionDescription(
                        title="Refund W1", changes=(Change(what="status", before="a", after="b"),)
                    ),
                )
                for index, (name, arguments) in enumerate(actions or [("refund", REFUND)])
            ],
        }
    )


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
meaningful = texts.filter(lambda text: bool(text.strip()))
refunds: st.SearchStrategy[dict[str, JsonValue]] = st.builds(
    Refund,
    order=texts,
    amount=st.integers(0, 10_000).map(float),
    items=st.lists(st.integers(0, 9), max_size=3),
    quick=st.booleans(),
    note=st.none() | texts,
    due=st.none() | st.dates(),
).map(lambda refund: refund.model_dump(mode="json"))


@given(arguments=refunds)
def test_an_approval_of_one_action_is_a_human_interrupt(arguments: dict[str, JsonValue]) -> None:
    interrupt = agent_inbox.to_interrupt(asked(("refund", arguments)))
    again = HumanInterrupt.model_validate_json(interrupt.model_dump_json())
    assert (again.action_request.action, again.action_request.args) == ("refund", arguments)
    assert set(again.config.model_dump().values()) == {True}
    assert "status: a → b" in str(again.description)
    assert "It came broken." in str(again.description)


def test_an_approval_of_several_actions_is_none() -> None:
    with pytest.raises(NotExpressible, match="has 2 actions"):
        agent_inbox.to_interrupt(asked(("refund", REFUND), ("notify", REFUND)))


@given(
    review=st.one_of(
        st.just(Accept()),
        st.just(Reject(agent_inbox.IGNORED)),
        meaningful.map(Respond),
        refunds.filter(lambda one: one != REFUND).map(lambda one: Edit((one,))),
    )
)
def test_what_the_inbox_can_say_comes_back_as_it_was(review: Review) -> None:
    record = asked()
    response = agent_inbox.to_response(review, record)
    told = agent_inbox.read_response([response.model_dump(mode="json")])
    assert agent_inbox.from_response(told, record, SCHEMAS) == review


@given(edited=refunds)
def test_edited_values_come_as_text_and_are_read_by_the_schema(
    edited: dict[str, JsonValue],
) -> None:
    as_text = {
        name: "" if value is None else value if isinstance(value, str) else str(value).lower()
        for name, value in edited.items()
    }
    answer: JsonValue = {"type": "edit", "args": {"action": "refund", "args": {**as_text}}}
    record = asked()
    review = agent_inbox.from_response(agent_inbox.read_response(answer), record, SCHEMAS)
    if edited == REFUND:
        assert review == Accept()
    else:
        assert isinstance(review, Edit)
        (read,) = review.arguments
        assert Refund.model_validate(read) == Refund.model_validate(edited)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"order": "W1", "amount": "much"}, "amount"),
        ({"order": "W1", "items": "[1, 'x']"}, "items"),
        ({"amount": "1"}, "order"),
        ({"order": "W1", "more": "1"}, "more"),
        ({"order": "W1", "amount": "NaN"}, "amount"),
        ({"order": "W1", "amount": "1e400"}, "amount"),
        ({"order": "W1", "amount": float("nan")}, "amount"),
        ({"order": "W1", "amount": "0.12345678901234567891"}, "amount"),
        ({"order": "W1", "amount": "1_000"}, "amount"),
        ({"order": "W1", "quick": "yes"}, "quick"),
        ({"order": "W1", "items": "[" * 100_000}, "items"),
        ({"order": "W1", "items": "9" * 5_000}, "items"),
        ({"order": "W1", "limit": "1e-99999999999999999999"}, "limit"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused_by_name(
    values: dict[str, JsonValue], named: str
) -> None:
    with pytest.raises(InvalidEdit, match=named):
        read_arguments(asked().actions[0], SCHEMAS, values)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"type": "maybe"}, InvalidRequest),
        ({"type": "accept", "more": 1}, InvalidRequest),
        ({"type": "response"}, InvalidRequest),
        ({"type": "response", "args": "  "}, InvalidRequest),
        ({"type": "edit", "args": None}, InvalidRequest),
        ({"type": "edit", "args": {"action": "notify", "args": {}}}, InvalidRequest),
        ({"type": "accept", "args": {"action": "refund", "args": {"order": "X"}}}, NotExpressible),
        ([], InvalidRequest),
    ],
)
def test_an_inbox_answer_that_says_nothing_usable_is_refused(
    answer: JsonValue, error: type[Exception]
) -> None:
    with pytest.raises(error):
        agent_inbox.from_response(agent_inbox.read_response(answer), asked(), SCHEMAS)


def test_accepting_may_repeat_the_arguments_as_text() -> None:
    shown = {name: str(value) for name, value in REFUND.items() if value is not None}
    answer: JsonValue = {"type": "accept", "args": {"action": "refund", "args": {**shown}}}
    review = agent_inbox.from_response(agent_inbox.read_response(answer), asked(), SCHEMAS)
    assert review == Accept()


@pytest.mark.parametrize(
    "review", [Delegate("deb"), Claim(), Release(), Comment("Hm.")], ids=lambda one: one.kind
)
def test_what_a_dialect_has_no_word_for_is_refused(review: Review) -> None:
    with pytest.raises(NotExpressible, match=review.kind):
        agent_inbox.to_response(review, asked())
    with pytest.raises(NotExpressible, match=review.kind):
        langchain.to_response(review, asked())
    with pytest.raises(NotExpressible, match="reason"):
        agent_inbox.to_response(Reject("Too much."), asked())


@given(arguments=st.lists(refunds, min_size=1, max_size=3))
def test_an_approval_is_a_hitl_request(arguments: list[dict[str, JsonValue]]) -> None:
    record = asked(*(("refund", one) for one in arguments))
    request = langchain.to_request(record, SCHEMAS)
    again = HITLRequest.model_validate_json(request.model_dump_json())
    assert [(one.name, one.args) for one in again.action_requests] == [
        ("refund", one) for one in arguments
    ]
    (config,) = again.review_configs
    assert config.allowed_decisions == ("approve", "edit", "reject", "respond")
    assert config.args_schema is not None
    assert langchain.to_request(record).review_configs[0].args_schema is None


@given(
    review=st.one_of(
        st.just(Accept()),
        st.just(Reject(NO_REASON)),
        meaningful.map(Reject),
        meaningful.map(Respond),
        st.tuples(refunds, refunds).filter(lambda both: both != (REFUND, REFUND)).map(Edit),
    )
)
def test_what_langchain_can_say_comes_back_as_it_was(review: Review) -> None:
    record = asked(("refund", REFUND), ("notify", REFUND))
    response = langchain.to_response(review, record)
    told = langchain.read_response(response.model_dump(mode="json"))
    assert langchain.from_response(told, record, SCHEMAS) == review


APPROVE: JsonValue = {"type": "approve"}
EDIT: JsonValue = {"type": "edit", "edited_action": {"name": "refund", "args": {"order": "W2"}}}


@pytest.mark.parametrize(
    ("decisions", "error"),
    [
        ([APPROVE], InvalidRequest),
        ([APPROVE, {"type": "reject"}], NotExpressible),
        ([{"type": "reject", "message": "a"}, {"type": "reject", "message": "b"}], NotExpressible),
        ([{"type": "respond", "message": "a"}, {"type": "reject"}], NotExpressible),
        ([APPROVE, EDIT], InvalidRequest),
        ([{"type": "respond"}, APPROVE], InvalidRequest),
        ([{"type": "ignore"}, APPROVE], InvalidRequest),
    ],
)
def test_langchains_answers_that_ours_cannot_say_are_refused(
    decisions: list[JsonValue], error: type[Exception]
) -> None:
    record = asked(("refund", REFUND), ("notify", REFUND))
    with pytest.raises(error):
        langchain.from_response(langchain.read_response({"decisions": decisions}), record, SCHEMAS)


def test_an_edit_of_one_action_leaves_the_others_as_they_are() -> None:
    record = asked(("refund", REFUND), ("notify", REFUND))
    answer = langchain.read_response({"decisions": [EDIT, APPROVE]})
    review = langchain.from_response(answer, record, SCHEMAS)
    assert isinstance(review, Edit)
    assert review.arguments[0]["order"] == "W2"
    assert review.arguments[1] == REFUND


class Charge(BaseModel):
    order: str
    amount: Decimal
    note: str | None = None
    days: int = 14


CHARGE: dict[str, JsonValue] = {"order": "W1", "amount": 49.9, "note": None}
"""As an agent proposes it: a number for the decimal, a default left out."""


def in_the_inbox(type_: str, **args: JsonValue) -> Review:
    """What the inbox's answer says about `CHARGE`."""
    answer: JsonValue = {"type": type_, "args": {"action": "charge", "args": {**args}}}
    response = agent_inbox.read_response([answer])
    return agent_inbox.from_response(response, asked(("charge", CHARGE)), {"charge": Charge})


@pytest.mark.parametrize("type_", ["accept", "edit"])
def test_what_comes_back_as_it_was_shown_is_accepted_as_it_was(type_: str) -> None:
    assert in_the_inbox(type_, **CHARGE) == Accept()
    assert in_the_inbox(type_, order="W1", amount="49.9", note="null") == Accept()
    assert in_the_inbox(type_, order="W1", amount="49.90", note="", days="14") == Accept()


def test_an_edit_keeps_what_was_not_touched_and_every_digit_of_what_was() -> None:
    edited: dict[str, JsonValue] = {"order": "W1", "amount": "12.345678901234567891", "note": None}
    assert in_the_inbox("edit", order="W1", amount=edited["amount"], note="null") == Edit((edited,))
    emptied = in_the_inbox("edit", order="W2", amount="49.9", note="", days="")
    assert emptied == Edit(({"order": "W2", "amount": 49.9, "note": None},))


def test_without_a_schema_values_keep_the_types_that_they_had() -> None:
    record = asked(("refund", REFUND))
    args: JsonValue = {**REFUND, "amount": "21.5", "items": "[3]", "quick": "true"}
    answer: JsonValue = {"type": "edit", "args": {"action": "refund", "args": args}}
    review = agent_inbox.from_response(agent_inbox.read_response(answer), record, {})
    assert review == Edit(({**REFUND, "amount": 21.5, "items": [3], "quick": True},))
    unknown: JsonValue = {"type": "edit", "args": {"action": "refund", "args": {"note": "x"}}}
    with pytest.raises(InvalidEdit, match=r"note: .*give the schema"):
        agent_inbox.from_response(agent_inbox.read_response(unknown), record, {})


def test_what_an_agent_writes_cannot_pose_as_markup() -> None:
    reason = "![seen](https://example.org/seen.png)\n\n# Approved by finance"
    record = asked().model_copy(update={"reason": reason, "evidence": ("<img src=x>",)})
    described = str(agent_inbox.to_interrupt(record).description)
    assert "![" not in described
    assert "\n#" not in described
    assert "> \\<img" in described


@pytest.mark.parametrize("dialect", [agent_inbox, langchain])
def test_a_decision_that_is_not_whole_is_not_translated(dialect: Any) -> None:
    with pytest.raises(InvalidRequest, match="the edit has arguments for 0"):
        dialect.to_response(Edit(()), asked())
    with pytest.raises(InvalidRequest, match="needs a text"):
        dialect.to_response(Reject(" "), asked())


def test_a_blank_message_is_no_reason_and_no_response() -> None:
    answer = langchain.read_response({"decisions": [{"type": "reject", "message": " "}]})
    review = langchain.from_response(answer, asked(), SCHEMAS)
    assert review == Reject(NO_REASON)
    with pytest.raises(InvalidRequest):
        langchain.read_response({"decisions": [{"type": "respond", "message": " "}]})
