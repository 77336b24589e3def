"""Every kind of answer, sent over the wire to the real client: regular, told to the model, or passed over."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from holdfast.contract.chat import Completion, Tool
from holdfast.domain.events import AnswerUnusable, BoundReached
from holdfast.domain.limits import AnswerBounds
from holdfast.domain.outcomes import Reply as Answered
from holdfast.domain.outcomes import Route
from holdfast.graphs.triage import triage
from holdfast.llm.client import ModelClient
from holdfast.llm.model import LedgeredModel, standalone_model
from holdfast.testing import ModelReply, ScriptedModel, structured, text
from holdfast.testing.reads import NoReads
from tests.graphs.asking import Asker
from tests.llm.answer.cases import (
    ASSESSED,
    CASES,
    EXPECTED,
    MISSING,
    AsksBack,
    Calls,
    Case,
    Routed,
    Says,
    Told,
    given_cases,
)
from tests.llm.conftest import OpenClient

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
GOOD = text("corrected")


class Numbers(BaseModel):
    numbers: list[int]


def _tool(name: str, *, lenient: bool = False) -> Tool:
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    return Tool(name=name, description="A tool.", parameters=parameters, lenient=lenient)


TOOLS = {
    "text": (),
    "read": (_tool("get_order_details"), _tool("find_file")),
    "write": (_tool("cancel_pending_order"),),
    "handover": (_tool("transfer_to_human_agents", lenient=True),),
}


async def _require(case: Case, open_client: OpenClient) -> None:
    expected = EXPECTED.get(case.name)
    assert expected is not None, f"nobody has said what is to come of {case.name!r}"
    bad = ModelReply(case.body, status=case.status)
    if case.asked == "triage":
        await _require_triage(bad, expected, open_client)
        return
    async with ScriptedModel([bad, GOOD]) as first, ScriptedModel([text("next")]) as second:
        model = standalone_model(open_client(first, second))
        answer = await model.chat(HELLO, tools=TOOLS[case.asked])
    match expected:
        case Says():
            assert (answer.text, answer.tool_calls, len(first.requests)) == (expected.text, (), 1)
        case Calls():
            [call] = answer.tool_calls
            assert (call.name, call.arguments) == (expected.name, expected.arguments)
            assert len(first.requests) == 1
        case Told():
            assert answer.text == "corrected"
            _require_told(first.requests[1]["messages"], expected)
        case _ if answer.text == "corrected":  # an outage: asked once more, and told nothing
            assert first.requests[0] == first.requests[1]
        case _:
            assert (answer.text, len(first.requests)) == ("next", 1)


def _require_told(messages: list[dict[str, Any]], expected: Told) -> None:
    """The answer and what is wrong with it follow what was asked, in a form that every provider takes."""
    asked, *told = messages[1:]
    assert asked["role"] == "assistant"
    assert any(expected.words in one["content"] for one in told)
    if not expected.by_tool:
        assert [one["role"] for one in told] == ["user"]
        return
    assert {one["role"] for one in told} == {"tool"}
    ids = [call["id"] for call in asked["tool_calls"]]
    assert len(set(ids)) == len(ids)
    assert [one["tool_call_id"] for one in told] == ids
    for call in asked["tool_calls"]:
        assert isinstance(json.loads(call["function"]["arguments"]), dict)


async def _require_triage(bad: ModelReply, expected: object, open_client: OpenClient) -> None:
    answers = [bad] if isinstance(expected, Routed) else [bad, bad]
    async with ScriptedModel(answers) as first, ScriptedModel(answers[1:] * 2) as second:
        client = open_client(first, second)
        asker = Asker(model=lambda: standalone_model(client), reads=NoReads())
        outcome = await asker.ask(triage, "Where is it?")
    match expected:
        case Routed():
            assert isinstance(outcome, Route)
            assert (outcome.agent, outcome.priority, outcome.language) == ("orders", "normal", "en")
            assert outcome.confidence == 0.95
        case _:
            assert isinstance(expected, AsksBack)
            assert isinstance(outcome, Answered)
            assert outcome.asks_back


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_answer_comes_to_what_is_expected_of_its_kind(
    open_client: OpenClient, case: Case
) -> None:
    await _require(case, open_client)


@pytest.mark.skipif(not given_cases(), reason=MISSING)
@pytest.mark.parametrize("case", given_cases(), ids=str)
async def test_an_answer_that_was_seen_comes_to_what_is_expected(
    open_client: OpenClient, case: Case
) -> None:
    await _require(case, open_client)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"choices": [{"message": {"content": "Hel',
        b"[" * 100_000,
        b"\xff\xfe\x00\xd8",
        b"null",
        b"7",
        b'data: {"choices": []}\n\n',
    ],
    ids=lambda raw: repr(raw[:20]),
)
async def test_a_body_that_is_no_completion_is_an_outage(
    open_client: OpenClient, raw: bytes
) -> None:
    nothing = [ModelReply({}, raw=raw)] * 2
    async with ScriptedModel(nothing) as first, ScriptedModel([text("ok")]) as second:
        assert (await standalone_model(open_client(first, second)).chat(HELLO)).text == "ok"
    assert len(first.requests) == 2


async def test_a_body_that_says_to_be_compressed_and_is_not_is_an_outage(
    open_client: OpenClient,
) -> None:
    reply = ModelReply({}, raw=b"no gzip", headers={"content-encoding": "gzip"})
    async with ScriptedModel([reply] * 2) as first, ScriptedModel([text("ok")]) as second:
        assert (await standalone_model(open_client(first, second)).chat(HELLO)).text == "ok"


async def _said(client: ModelClient) -> Completion:
    return await standalone_model(client).chat(HELLO, tools=TOOLS["read"])


async def test_ids_of_calls_are_unique_and_keep_what_can_be_kept(open_client: OpenClient) -> None:
    calls = [
        {"id": id_, "function": {"name": "find_file", "arguments": "{}"}}
        for id_ in ("a", "a", None, "call_1", "\ud800", 7, "x" * 65, "a b")
    ]
    async with ScriptedModel([text(None, tool_calls=calls)]) as model:
        answer = await _said(open_client(model))
    ids = [call.id for call in answer.tool_calls]
    assert ids == ["a", "call_2", "call_3", "call_1", "call_4", "call_5", "call_6", "call_7"]


async def test_an_answer_that_was_cut_is_asked_for_again_with_more_room(
    open_client: OpenClient,
) -> None:
    cut = ModelReply({"choices": [{"message": {"content": "Your"}, "finish_reason": "length"}]})
    async with ScriptedModel([cut, GOOD]) as model:
        await _said(open_client(model))
    assert "max_completion_tokens" not in model.requests[0]
    assert model.requests[1]["max_completion_tokens"] == 4_096


async def test_a_second_answer_that_is_too_long_is_cut_and_marked(open_client: OpenClient) -> None:
    long = text("word " * 8_000)
    async with ScriptedModel([long, long]) as model:
        node = standalone_model(open_client(model))
        answer = await node.chat(HELLO)
    assert len(answer.text) <= 32_000
    assert answer.text.endswith("word […]")
    [event] = node.events
    assert isinstance(event, BoundReached)
    assert event.bound == "reply_characters"


async def test_an_answer_past_the_bound_of_its_body_is_told_once_and_passed_over(
    open_client: OpenClient,
) -> None:
    bounds = AnswerBounds(answer_bytes=10_000)
    endless = [text("secret " * 2_000)] * 2
    async with ScriptedModel(endless) as first, ScriptedModel([text("short")]) as second:
        node = standalone_model(open_client(first, second, bounds=bounds))
        answer = await node.chat(HELLO)
    assert answer.text == "short"
    assert "more than 10000 bytes" in first.requests[1]["messages"][-1]["content"]
    reached = [event for event in node.events if isinstance(event, BoundReached)]
    assert [(event.bound, event.limit) for event in reached] == [("answer_bytes", 10_000)] * 2
    assert len(reached) == len(node.events)


async def test_a_schema_that_nothing_fits_is_told_briefly(open_client: OpenClient) -> None:
    wrong = text(json.dumps({"numbers": ["x"] * 10_000}))
    async with ScriptedModel([wrong, text('{"numbers": [1]}')]) as model:
        found = await standalone_model(open_client(model)).structured(HELLO, Numbers)
    assert found.numbers == [1]
    assert len(model.requests[1]["messages"][-1]["content"]) < 5_000


async def test_what_is_wrong_is_an_event_that_quotes_nothing(open_client: OpenClient) -> None:
    bad = [text(None, tool_calls=[{"function": {"name": "secret", "arguments": "{}"}}]), GOOD]
    async with ScriptedModel(bad) as model:
        node: LedgeredModel = standalone_model(open_client(model))
        await node.chat(HELLO, tools=TOOLS["read"])
    [event] = node.events
    assert isinstance(event, AnswerUnusable)
    assert event.fault == "tool"
    assert "secret" not in event.model_dump_json()


async def test_counts_that_cannot_be_true_are_estimated(open_client: OpenClient) -> None:
    usage = {"prompt_tokens": 10**12, "completion_tokens": -1}
    async with ScriptedModel([ModelReply({**text("x" * 400).body, "usage": usage})]) as model:
        answer = await standalone_model(open_client(model)).chat(HELLO)
    assert 1 <= answer.prompt_tokens < 100
    assert answer.completion_tokens == 100


@pytest.mark.parametrize(
    ("asked_back", "agent", "kind"),
    [(0, "general", "route"), (1, "general", "route"), (0, None, "reply"), (1, None, "escalation"),
     (0, "gone", "reply")],
)  # fmt: skip
async def test_without_an_assessment_the_last_agent_a_question_or_a_person_takes_over(
    open_client: OpenClient, asked_back: int, agent: str | None, kind: str
) -> None:
    async with ScriptedModel(lambda _: text("I cannot answer in JSON.")) as model:
        client = open_client(model)
        asker = Asker(model=lambda: standalone_model(client), reads=NoReads())
        outcome = await asker.ask(triage, "Well?", asked_back=asked_back, agent=agent)
    assert outcome.kind == kind
    if isinstance(outcome, Route):
        assert outcome.agent == "general"


async def test_two_assessments_in_one_answer_are_none(open_client: OpenClient) -> None:
    both = text(json.dumps(ASSESSED) + " or " + json.dumps(ASSESSED | {"agent": "general"}))
    async with ScriptedModel([both, structured(ASSESSED)]) as model:
        client = open_client(model)
        asker = Asker(model=lambda: standalone_model(client), reads=NoReads())
        outcome = await asker.ask(triage, "Well?")
    assert isinstance(outcome, Route)
    assert "several objects" in model.requests[1]["messages"][-1]["content"]
