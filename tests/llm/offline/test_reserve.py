"""The offline model acts on plain requests, and on nothing that speaks of an action otherwise."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage

from holdfast.contract.hints import Hints, ToolHint
from holdfast.domain.past import PastAction, PastState, in_words
from holdfast.llm.offline import MODEL
from tests.llm.offline.conftest import Connect
from tests.llm.offline.indirect import GERMAN_INDIRECT, INDIRECT
from tests.llm.offline.reserves import (
    ASKED,
    ASKED_AMONG_OTHER_WORDS,
    GERMAN_ASKED,
    GERMAN_ASKED_AMONG_OTHER_WORDS,
    GERMAN_RESERVED,
    RESERVED,
    Wording,
)
from tests.llm.offline.test_tools import called, say, tool, user

CANCEL = tool(
    "cancel_booking", "Cancel a booking.", booking_id={"type": "string", "pattern": r"B-\d+"}
)
REDIRECT = tool(
    "redirect_parcel",
    "Send a parcel to another address.",
    number={"type": "string", "pattern": r"PX-\d+"},
)
FIND = tool("find_booking", "Find a booking.", booking_id={"type": "string", "pattern": r"B-\d+"})

CANCELLING = Wording("cancel", "cancelled", "cancelling", "booking B-7")
REDIRECTING = Wording("redirect", "redirected", "redirecting", "parcel PX-1001")

PHRASES = Hints(
    tools={
        "cancel_booking": ToolHint(
            phrases=(r"\bcancel", r"\bstornier"),
            patterns={"booking_id": r"\b(B-\d+)"},
            doing="cancel booking {booking_id}",
            doing_in={"de": "Buchung {booking_id} stornieren"},
        ),
        "find_booking": ToolHint(phrases=(r"\bwhere\b",)),
        "redirect_parcel": ToolHint(
            phrases=(r"\b(redirect|deliver|send|bring)\b", r"\bredirect"),
            patterns={"number": r"\b(PX-\d{4})\b"},
            doing="redirect parcel {number}",
        ),
    }
)
"""What a package tells; without it, names and descriptions have to do."""

ACTIONS = {"cancel_booking", "redirect_parcel"}


@pytest.mark.parametrize("hints", [None, PHRASES], ids=["generic", "hinted"])
@pytest.mark.parametrize("form", RESERVED)
async def test_what_is_said_with_a_reserve_calls_no_action(
    connect: Connect, form: str, hints: Hints | None
) -> None:
    for wording in (CANCELLING, REDIRECTING):
        said = wording.of(form)
        message = await say(connect, [user(said)], CANCEL, REDIRECT, FIND, hints=hints)
        assert not ACTIONS & {name for name, _ in called(message)}, said


@pytest.mark.parametrize("hints", [None, PHRASES], ids=["generic", "hinted"])
@pytest.mark.parametrize("form", INDIRECT)
async def test_what_only_speaks_of_an_action_calls_none(
    connect: Connect, form: str, hints: Hints | None
) -> None:
    message = await say(connect, [user(form.format(object="booking B-7"))], CANCEL, hints=hints)
    assert called(message) == []


@pytest.mark.parametrize("form", GERMAN_INDIRECT)
async def test_what_only_speaks_of_an_action_in_german_calls_none(
    connect: Connect, form: str
) -> None:
    message = await say(connect, [user(form.format(object="Buchung B-7"))], CANCEL, hints=PHRASES)
    assert called(message) == []


@pytest.mark.parametrize("hints", [None, PHRASES], ids=["generic", "hinted"])
@pytest.mark.parametrize("form", ASKED)
async def test_a_plain_request_calls_the_action(
    connect: Connect, form: str, hints: Hints | None
) -> None:
    for wording, expected in (
        (CANCELLING, ("cancel_booking", {"booking_id": "B-7"})),
        (REDIRECTING, ("redirect_parcel", {"number": "PX-1001"})),
    ):
        said = wording.of(form)
        message = await say(connect, [user(said)], CANCEL, REDIRECT, FIND, hints=hints)
        assert called(message) == [expected], said


SHALL_I = re.compile(
    r"Shall I .+, and nothing else\? Please answer yes or no\."
    r"|Soll ich .+, und sonst nichts\? Bitte antworten Sie mit ja oder nein\."
)


async def answered(
    connect: Connect, said: str, *tools: Any, answer: str = "yes", hints: Hints | None = PHRASES
) -> ChatCompletionMessage:
    """What is said after the answer to its question whether to do what `said` speaks of."""
    question = (await say(connect, [user(said)], *tools, hints=hints)).content or ""
    assert SHALL_I.fullmatch(question), (said, question)
    messages = [user(said), {"role": "assistant", "content": question}, user(answer)]
    return await say(connect, messages, *tools, hints=hints)


@pytest.mark.parametrize("hints", [None, PHRASES], ids=["generic", "hinted"])
@pytest.mark.parametrize("form", ASKED_AMONG_OTHER_WORDS)
async def test_a_request_among_other_words_needs_a_yes(
    connect: Connect, form: str, hints: Hints | None
) -> None:
    for wording, expected in (
        (CANCELLING, ("cancel_booking", {"booking_id": "B-7"})),
        (REDIRECTING, ("redirect_parcel", {"number": "PX-1001"})),
    ):
        said = wording.of(form)
        message = await answered(connect, said, CANCEL, REDIRECT, FIND, hints=hints)
        assert called(message) == [expected], said


@pytest.mark.parametrize("form", GERMAN_ASKED_AMONG_OTHER_WORDS)
async def test_a_german_request_among_other_words_needs_a_yes(connect: Connect, form: str) -> None:
    said = form.format(object="Buchung B-7")
    message = await answered(connect, said, CANCEL, FIND, answer="Ja, bitte.")
    assert called(message) == [("cancel_booking", {"booking_id": "B-7"})], said


@pytest.mark.parametrize(
    ("said", "question"),
    [
        (
            "Please cancel the breakfast of booking B-7",
            "Shall I cancel booking B-7, and nothing else? Please answer yes or no.",
        ),
        (
            "Bitte stornieren Sie das Frühstück von Buchung B-7",
            "Soll ich Buchung B-7 stornieren, und sonst nichts? Bitte antworten Sie mit ja oder nein.",
        ),
    ],
)
async def test_the_question_names_what_would_be_done(
    connect: Connect, said: str, question: str
) -> None:
    assert (await say(connect, [user(said)], CANCEL, hints=PHRASES)).content == question


@pytest.mark.parametrize(
    "answer",
    ["no", "yes?", "yes, but on Friday", "yes or no, I don't know", "why?", "well", "nein", "B-7"],
)
async def test_whatever_is_no_plain_yes_leaves_it_alone_and_says_so(
    connect: Connect, answer: str
) -> None:
    said = "Please cancel booking B-7 on Friday"
    message = await answered(connect, said, CANCEL, answer=answer)
    assert called(message) == []
    assert (message.content or "").startswith("I have not changed anything.")


async def test_a_plain_request_instead_of_a_yes_is_a_request_of_its_own(connect: Connect) -> None:
    said = "Please cancel booking B-7 on Friday"
    message = await answered(connect, said, CANCEL, answer="Please cancel booking B-8")
    assert called(message) == [("cancel_booking", {"booking_id": "B-8"})]


async def test_a_yes_to_another_question_than_the_one_asked_asks_anew(connect: Connect) -> None:
    stale = "Shall I cancel booking B-9, and nothing else? Please answer yes or no."
    said = [
        user("Please cancel booking B-7 on Friday"),
        {"role": "assistant", "content": stale},
        user("yes"),
    ]
    message = await say(connect, said, CANCEL, hints=PHRASES)
    assert called(message) == []
    assert "cancel booking B-7" in (message.content or "")


@pytest.mark.parametrize(
    "said",
    [
        "I no longer need B-1. Please cancel it. B-2 is fine.",
        "I love B-2. Please cancel the other one, B-1",
        "Please cancel it. I mean B-1, and certainly not B-2",
    ],
)
async def test_which_of_several_is_meant_is_asked(connect: Connect, said: str) -> None:
    message = await say(connect, [user(said)], CANCEL, hints=PHRASES)
    assert called(message) == []
    assert "B-1" in (message.content or "")

    messages = [user(said), {"role": "assistant", "content": message.content}, user("B-1")]
    assert "cancel booking B-1, and" in (
        (await say(connect, messages, CANCEL, hints=PHRASES)).content or ""
    )


@pytest.mark.parametrize("form", GERMAN_RESERVED)
async def test_what_is_said_with_a_reserve_in_german_calls_no_action(
    connect: Connect, form: str
) -> None:
    said = form.format(object="Buchung B-7")
    message = await say(connect, [user(said)], CANCEL, FIND, hints=PHRASES)
    assert called(message) == [], said


@pytest.mark.parametrize("form", GERMAN_ASKED)
async def test_a_plain_request_in_german_calls_the_action(connect: Connect, form: str) -> None:
    said = form.format(object="Buchung B-7")
    message = await say(connect, [user(said)], CANCEL, FIND, hints=PHRASES)
    assert called(message) == [("cancel_booking", {"booking_id": "B-7"})], said


@pytest.mark.parametrize(
    "answer",
    [
        "no, don't",
        "No, never mind",
        "maybe later",
        "I'm not sure",
        "wait",
        "please don't cancel it",
        "did you cancel it?",
        "stop",
        "nein, doch nicht",
        "vielleicht später",
        "lieber nicht",
        "B-7, but I'm not sure yet",
    ],
)
async def test_a_hesitating_answer_does_not_go_on_with_the_request_before(
    connect: Connect, answer: str
) -> None:
    messages = [
        user("Please cancel my booking"),
        {"role": "assistant", "content": "Could you please tell me the booking number?"},
        user(answer),
    ]
    for hints in (None, PHRASES):
        assert called(await say(connect, messages, CANCEL, hints=hints)) == []


async def test_a_request_with_a_reserve_is_not_gone_on_with_either(connect: Connect) -> None:
    messages = [
        user("Should I cancel my booking?"),
        {"role": "assistant", "content": "Which booking do you mean?"},
        user("B-7"),
    ]
    for hints in (None, PHRASES):
        assert called(await say(connect, messages, CANCEL, hints=hints)) == []


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Please cancel booking B-1, not booking B-2", ["B-1"]),
        ("Don't cancel booking B-1. Please cancel booking B-2.", ["B-2"]),
        ("Please do not cancel booking B-1, but cancel booking B-2", ["B-2"]),
        ("I'm not sure about B-1, but please cancel booking B-2", ["B-2"]),
        ("Please cancel all of my bookings B-1 and B-2 except booking B-2", []),
        ("Cancel all bookings, B-1 and B-2, but not booking B-2", []),
        ("Don't touch booking B-1, cancel booking B-2", ["B-2"]),
        ("Where is booking B-1? Please cancel booking B-2", ["B-2"]),
    ],
)
async def test_what_is_left_out_of_a_request_is_no_argument_of_it(
    connect: Connect, said: str, meant: list[str]
) -> None:
    if not meant:
        assert called(await say(connect, [user(said)], CANCEL, hints=PHRASES)) == []
        return
    message = await answered(connect, said, CANCEL)
    assert [arguments["booking_id"] for _, arguments in called(message)] == meant


async def test_a_read_answers_a_question_about_the_past(connect: Connect) -> None:
    message = await say(connect, [user("Did you find booking B-7?")], CANCEL, FIND)
    assert called(message) == [("find_booking", {"booking_id": "B-7"})]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Please don't cancel booking B-7", "I have not changed anything."),
        ("Bitte stornieren Sie meine Buchung nicht", "Ich habe nichts geändert."),
    ],
)
async def test_the_customer_learns_that_nothing_was_changed(
    connect: Connect, said: str, told: str
) -> None:
    message = await say(connect, [user(said)], CANCEL, hints=PHRASES)
    assert (message.content or "").startswith(told)


@pytest.mark.parametrize("hints", [None, PHRASES], ids=["generic", "hinted"])
@pytest.mark.parametrize(
    "form",
    [
        "> {said}", "Hello\n > {said}\nThanks", "“{said}”", '"{said}"', "„{said}“", "«{said}»",
        "‘{said}’", "'{said}'",
    ],
)  # fmt: skip
async def test_a_quotation_is_no_request_of_the_customer_s(
    connect: Connect, form: str, hints: Hints | None
) -> None:
    said = form.format(said="Please cancel booking B-7")
    message = await say(connect, [user(said)], CANCEL, hints=hints)
    assert called(message) == []
    assert not (message.content or "").startswith("Shall I")


async def test_a_request_beside_a_name_in_quotation_marks_is_one(connect: Connect) -> None:
    message = await say(
        connect, [user('Please cancel booking B-7 for "The Gulls"')], CANCEL, hints=PHRASES
    )
    assert (message.content or "").startswith("Shall I cancel booking B-7")


@pytest.mark.parametrize("state", ["executed", "not_undone", "unclear"])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Was booking B-7 cancelled?", "This message changes nothing, and what was done before"),
        ("Did you cancel it?", "This message changes nothing, and what was done before"),
        (
            "Haben Sie meine Buchung jetzt storniert?",
            "Diese Nachricht ändert nichts, und was vorher",
        ),
    ],
)
async def test_nobody_is_told_that_nothing_was_changed_who_asks_about_what_was_done(
    connect: Connect, said: str, told: str, state: PastState
) -> None:
    done = PastAction(
        id="a1", conversation="c1", turn=1, name="cancel_booking", title="Cancel a booking",
        arguments={"booking_id": "B-7"}, state=state, at=datetime(2026, 7, 1, tzinfo=UTC),
    )  # fmt: skip
    account: dict[str, Any] = {
        "role": "system", "content": in_words([done], [], conversation="c1")
    }  # fmt: skip
    before = [account, user("Please cancel booking B-7"), {"role": "assistant", "content": "Done."}]
    message = await say(connect, [*before, user(said)], CANCEL, hints=PHRASES)
    assert called(message) == []
    assert (message.content or "").startswith(told)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "cancel_booking"}}]
)
async def test_a_tool_that_has_to_be_called_is_none_that_nobody_asked_for(
    connect: Connect, choice: Any
) -> None:
    async def calls(said: str) -> int:
        answer = await connect().chat.completions.create(
            model=MODEL,
            messages=[user(said)],  # type: ignore[list-item]
            tools=[CANCEL],  # type: ignore[list-item]
            tool_choice=choice,
        )
        return len(answer.choices[0].message.tool_calls or ())

    assert await calls("Please don't cancel booking B-7") == 0
    assert await calls("Please cancel booking B-7") == 1


@pytest.mark.parametrize(
    ("said", "cancels"),
    [
        ("Please cancel order 7", True),
        ("Please do not cancel order 7", False),
        ("Did you cancel order 7?", False),
        ("Should I cancel order 7?", False),
    ],
)
async def test_a_structured_answer_does_not_say_yes_to_what_nobody_asked_for(
    connect: Connect, said: str, cancels: bool
) -> None:
    fields = {
        "cancel_order": {"type": "boolean"},
        "step": {"enum": ["cancel", "none"]},
        "steps": {"type": "array", "items": {"enum": ["cancel", "none"]}},
    }
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    form: Any = {"type": "json_schema", "json_schema": {"name": "decision", "schema": schema}}
    answer = await connect().chat.completions.create(
        model=MODEL,
        messages=[user(said)],  # type: ignore[list-item]
        response_format=form,
    )
    filled = json.loads(answer.choices[0].message.content or "")
    assert filled["cancel_order"] is cancels
    assert filled["step"] == ("cancel" if cancels else "none")
    assert filled["steps"] == (["cancel"] if cancels else [])
