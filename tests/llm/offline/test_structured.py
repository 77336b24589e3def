"""Structured answers of the offline model."""

from typing import Any, Literal

from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, ConfigDict

from holdfast.contract.hints import Hints
from holdfast.llm.offline import MODEL
from holdfast.llm.schema import response_format
from tests.llm.offline.conftest import Connect

HINTS = Hints(intents={"garden": (r"\bplant", r"\bseed")})
SYSTEM = "Sort the message:\n- garden: Plants and seeds.\n- kitchen: Pans, knives and cooking."


class Sorted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    confidence: float
    room: Literal["garden", "kitchen"]
    language: str
    email: str | None
    count: int
    colours: list[Literal["red", "green", "blue"]]


async def sort(connect: Connect, *texts: str) -> Sorted:
    said: list[ChatCompletionMessageParam] = [{"role": "user", "content": text} for text in texts]
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": SYSTEM}, *said]
    schema: Any = response_format(Sorted)
    answer = await connect(HINTS).chat.completions.create(
        model=MODEL, messages=messages, response_format=schema
    )
    return Sorted.model_validate_json(answer.choices[0].message.content or "")


async def test_an_enumeration_is_chosen_by_hints_or_by_its_description(connect: Connect) -> None:
    by_hint = await sort(connect, "My plants are dying")
    by_description = await sort(connect, "Which pans are good for cooking?")

    assert by_hint.room == "garden"
    assert by_description.room == "kitchen"
    assert min(by_hint.confidence, by_description.confidence) >= 0.7


async def test_confidence_is_low_where_nothing_speaks_for_an_option(connect: Connect) -> None:
    assert (await sort(connect, "Blub")).confidence < 0.5
    assert (await sort(connect, "Seeds or pans? cooking knives")).confidence < 0.7


async def test_a_message_that_says_little_is_read_with_the_one_before(connect: Connect) -> None:
    assert (await sort(connect, "How do I plant this seed?", "and that one too?")).room == "garden"


async def test_values_come_from_the_words_and_are_else_empty(connect: Connect) -> None:
    said = await sort(connect, "Send 3 red and blue seeds to ann@example.com")
    silent = await sort(connect, "My plants are dying")
    many = await sort(connect, f"Send {'3' * 5_000} seeds")

    assert many.count == 0
    assert (said.email, said.count, said.colours) == ("ann@example.com", 3, ["red", "blue"])
    assert (silent.count, silent.colours) == (0, [])


async def test_the_language_is_told_from_its_words(connect: Connect) -> None:
    assert (await sort(connect, "Wo ist meine Bestellung?")).language == "de"
    assert (await sort(connect, "Where is my order?")).language == "en"
