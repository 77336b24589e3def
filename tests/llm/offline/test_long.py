"""Messages that are too long to be understood, and messages that are hard to read."""

import json
import subprocess
import sys
from typing import Any

import pytest

from holdfast.contract.hints import Hints, ToolHint
from holdfast.llm.offline import MODEL
from holdfast.llm.offline.request import LONGEST_REQUEST
from tests.llm.offline.conftest import Connect
from tests.llm.offline.test_reserve import CANCEL, FIND, PHRASES
from tests.llm.offline.test_tools import called, say, user

REQUEST = "Please cancel booking B-7"
CANCELLED = [("cancel_booking", {"booking_id": "B-7"})]
COURTESY = "please " * (LONGEST_REQUEST // len("please "))
"""Words that a plain request may have around it, too many of them."""

pytestmark = pytest.mark.timeout(60)
"""What hangs here hangs for hours."""


@pytest.mark.parametrize("hints", [None, PHRASES], ids=["generic", "hinted"])
async def test_what_is_too_long_to_be_understood_calls_nothing(
    connect: Connect, hints: Hints | None
) -> None:
    for said, expected in (
        (f"{COURTESY[len('please ') * 4 :]}{REQUEST}", CANCELLED),
        (f"{COURTESY}{REQUEST}", []),
        (f"{COURTESY}Where is booking B-7?", []),
    ):
        message = await say(connect, [user(said)], CANCEL, FIND, hints=hints)
        assert called(message) == expected, len(said)
        if not expected:
            assert (message.content or "").startswith("I have not changed anything.")


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "cancel_booking"}}]
)
async def test_what_is_too_long_calls_no_tool_that_has_to_be_called(
    connect: Connect, choice: Any
) -> None:
    answer = await connect().chat.completions.create(
        model=MODEL,
        messages=[user(f"{COURTESY}{REQUEST}")],  # type: ignore[list-item]
        tools=[CANCEL],  # type: ignore[list-item]
        tool_choice=choice,
    )
    assert not answer.choices[0].message.tool_calls


async def test_no_request_is_gone_on_with_past_a_message_that_was_too_long(
    connect: Connect,
) -> None:
    def conversation(between: str) -> list[dict[str, str]]:
        question = {"role": "assistant", "content": "Which booking do you mean?"}
        return [user("Please cancel my booking"), question, user(between), question, user("B-7")]

    for between, expected in (("booking", CANCELLED), (f"{COURTESY}booking", [])):
        message = await say(connect, conversation(between), CANCEL, hints=PHRASES)
        assert called(message) == expected


async def test_several_messages_that_are_too_long_together_are_no_request(
    connect: Connect,
) -> None:
    def conversation(courtesy: str) -> list[dict[str, str]]:
        question = {"role": "assistant", "content": "Which booking do you mean?"}
        return [user(f"{courtesy}cancel my booking"), question, user(f"{courtesy}B-7")]

    for courtesy, expected in (("please ", CANCELLED), (COURTESY[: len(COURTESY) // 2], [])):
        message = await say(connect, conversation(courtesy), CANCEL, hints=PHRASES)
        assert called(message) == expected


async def test_a_structured_answer_says_nothing_of_what_is_too_long(connect: Connect) -> None:
    fields = {
        "cancel_order": {"type": "boolean"},
        "step": {"enum": ["cancel", "none"]},
        "steps": {"type": "array", "items": {"enum": ["cancel", "none"]}},
        "number": {"type": "integer"},
        "confidence": {"type": "number"},
        "language": {"type": "string"},
    }
    form: Any = {
        "type": "json_schema",
        "json_schema": {"name": "d", "schema": {"properties": fields}},
    }
    answer = await connect().chat.completions.create(
        model=MODEL,
        messages=[user(f"{'bitte ' * LONGEST_REQUEST} please cancel order 7")],  # type: ignore[list-item]
        response_format=form,
    )
    filled = json.loads(answer.choices[0].message.content or "")
    assert filled == {
        "cancel_order": False,
        "step": "none",
        "steps": [],
        "number": 0,
        "confidence": 0.3,
        "language": "en",
    }


async def test_a_long_question_is_answered_from_the_sources_by_its_words(connect: Connect) -> None:
    sources = "[1] Returns\nYou can return an item within 30 days.\n[2] Shipping\nShipping is free."
    answer = await connect().chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": sources},
            user(f"{COURTESY}how many days do I have to return an item?"),  # type: ignore[list-item]
        ],
    )
    assert answer.choices[0].message.content == "You can return an item within 30 days. [1]"


@pytest.mark.parametrize("space", [" ", "\n", "\t", " \n \n"])
async def test_white_space_neither_makes_a_message_long_nor_changes_it(
    connect: Connect, space: str
) -> None:
    message = await say(connect, [user(f"{space * 8_000}{REQUEST}")], CANCEL, hints=PHRASES)
    assert called(message) == CANCELLED
    spaced = f" {REQUEST.replace(' ', ' ' * 4_000)} "
    assert called(await say(connect, [user(spaced)], CANCEL, hints=PHRASES)) == CANCELLED


@pytest.mark.parametrize(
    "fragment", ["also ", "it broken ", "is broken because it broken ", "- ", "a. ", "so, "]
)
async def test_a_short_message_of_repeated_words_is_answered(
    connect: Connect, fragment: str
) -> None:
    broken = PHRASES.tools["cancel_booking"].model_copy(update={"beside": (r"\bbroken\b",)})
    hints = Hints(tools={**PHRASES.tools, "cancel_booking": ToolHint.model_validate(broken)})
    for said in (f"{fragment * 30}zz cancel booking B-7", f"cancel booking B-7 {fragment * 30}zz"):
        assert called(await say(connect, [user(said)], CANCEL, hints=hints)) == []


@pytest.mark.timeout(300)
def test_every_expression_reads_any_text_of_its_words() -> None:
    """In a process of its own: an expression that takes forever holds the interpreter."""
    read = [sys.executable, "-m", "tests.llm.offline.growth", "1"]
    assert subprocess.run(read, timeout=240, check=False).returncode == 0
