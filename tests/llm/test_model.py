"""What a node's model does between the node and the wire: ledger, repair, usage."""

import asyncio
from decimal import Decimal

import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from holdfast.contract.chat import Tool
from holdfast.domain.errors import ModelAnswerUnusable, ModelUnavailable, TurnBudgetExceeded
from holdfast.domain.events import BoundReached
from holdfast.domain.limits import AnswerBounds
from holdfast.llm.ledger import MemoryLedger
from holdfast.llm.model import LedgeredModel, ModelUsage, standalone_model
from holdfast.llm.prices import Price
from holdfast.llm.request import ModelRequest
from holdfast.store.llm_calls import ModelAnswer, RecordedCall
from holdfast.testing import (
    Hold,
    ModelReply,
    ScriptedModel,
    last_message,
    structured,
    text,
    tool_calls,
)
from holdfast.testing.scripted_model import COMPLETION_TOKENS, PROMPT_TOKENS
from tests.llm.conftest import OfflineAnswers, OpenClient

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
LOOK_UP = Tool(name="look_up", description="Looks up.", parameters={"type": "object"})


class Verdict(BaseModel):
    label: str
    score: int


GOOD = structured(Verdict(label="fine", score=3))
BAD = structured({"label": "fine"})


async def test_a_call_in_the_ledger_is_not_made_again(open_client: OpenClient) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel([text("once")]) as model:
        client = open_client(model)
        first = await LedgeredModel(client, ledger).chat(HELLO)
        second = await LedgeredModel(client, ledger).chat(HELLO)
    assert first == second
    assert model.most_repeated == 1


async def test_a_found_call_is_the_same_whichever_provider_would_answer_now(
    open_client: OpenClient,
) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel([text("once")]) as model:
        await LedgeredModel(open_client(model), ledger).chat(HELLO)
    again = await LedgeredModel(open_client(), ledger).chat(HELLO)
    assert (again.text, again.degraded) == ("once", False)


async def test_equal_requests_of_one_attempt_are_calls_of_their_own(
    open_client: OpenClient,
) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel([text("one"), text("two")]) as model:
        client = open_client(model)
        for _ in range(2):
            attempt = LedgeredModel(client, ledger)
            assert [(await attempt.chat(HELLO)).text for _ in range(2)] == ["one", "two"]
    assert [call.occurrence for call in ledger.calls] == [1, 2]
    assert len(model.requests) == 2


async def test_equal_requests_in_parallel_get_occurrences_of_their_own(
    open_client: OpenClient,
) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel(lambda _: text("same")) as model:
        node = LedgeredModel(open_client(model), ledger)
        await asyncio.gather(*(node.chat(HELLO) for _ in range(20)))
    assert sorted(call.occurrence for call in ledger.calls) == list(range(1, 21))
    assert node.usage.calls == 20


async def test_tool_calls_come_back_with_their_arguments(open_client: OpenClient) -> None:
    script = [tool_calls(("look_up", {"order": "A-1\0"}), ("look_up", ""))]
    async with ScriptedModel(script) as model:
        completion = await standalone_model(open_client(model)).chat(HELLO, tools=[LOOK_UP])
    assert [call.arguments for call in completion.tool_calls] == [{"order": "A-1"}, {}]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (tool_calls(("look_up", '{"order": ')), "Expecting value"),
        (tool_calls(("look_up", "[1]")), "must be a JSON object"),
        (tool_calls(("refund", {})), "there is no tool 'refund'"),
    ],
)
async def test_unreadable_tool_calls_are_repaired_once(
    open_client: OpenClient, broken: ModelReply, problem: str
) -> None:
    async with ScriptedModel([broken, tool_calls(("look_up", {"order": "A-1"}))]) as model:
        completion = await standalone_model(open_client(model)).chat(HELLO, tools=[LOOK_UP])
    assert completion.tool_calls[0].arguments == {"order": "A-1"}
    assert problem in last_message(model.requests[1])
    assert model.requests[1]["tools"] == model.requests[0]["tools"]


async def test_a_structured_answer_that_fits_needs_no_repair(open_client: OpenClient) -> None:
    async with ScriptedModel([GOOD]) as model:
        verdict = await standalone_model(open_client(model)).structured(HELLO, Verdict)
    assert verdict == Verdict(label="fine", score=3)
    assert model.requests[0]["response_format"]["json_schema"]["strict"] is True


async def test_the_repair_shows_the_answer_and_the_mistakes(open_client: OpenClient) -> None:
    async with ScriptedModel([BAD, GOOD]) as model:
        verdict = await standalone_model(open_client(model)).structured(HELLO, Verdict)
    assert verdict.score == 3
    shown, mistakes = model.requests[1]["messages"][-2:]
    assert shown == {"role": "assistant", "content": '{"label": "fine"}'}
    assert "score: Field required" in mistakes["content"]
    assert model.requests[1]["response_format"] == model.requests[0]["response_format"]


async def test_a_second_unusable_answer_is_followed_by_the_next_provider(
    open_client: OpenClient,
) -> None:
    async with ScriptedModel([BAD, BAD]) as first, ScriptedModel([BAD, GOOD]) as second:
        node = standalone_model(open_client(first, second))
        assert (await node.structured(HELLO, Verdict)).score == 3
    assert [len(first.requests), len(second.requests)] == [2, 2]
    assert second.requests[0]["messages"] == HELLO


async def test_where_no_provider_gives_a_usable_answer_the_error_names_fault_and_node_alone(
    open_client: OpenClient,
) -> None:
    async with ScriptedModel([BAD, text(None, refusal="No.")]) as model:
        with pytest.raises(ModelAnswerUnusable, match=r"node -.*\(fault: schema\)"):
            await standalone_model(open_client(model)).structured(HELLO, Verdict)
    assert len(model.requests) == 2


async def test_a_later_attempt_comes_to_the_same_end_and_pays_nothing(
    open_client: OpenClient,
) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel([BAD, BAD]) as model:
        client = open_client(model)
        for calls in (2, 0):
            attempt = LedgeredModel(client, ledger)
            with pytest.raises(ModelAnswerUnusable):
                await attempt.structured(HELLO, Verdict)
            assert attempt.usage.calls == calls
    assert len(model.requests) == 2


async def test_a_later_attempt_finds_the_answer_that_the_next_provider_gave(
    open_client: OpenClient,
) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel([BAD, BAD]) as first, ScriptedModel([GOOD]) as second:
        client = open_client(first, second)
        for _ in range(2):
            assert (await LedgeredModel(client, ledger).structured(HELLO, Verdict)).score == 3
    assert len(second.requests) == 1


async def test_a_resumed_step_fails_where_the_node_had_failed_before(
    open_client: OpenClient,
) -> None:
    ledger = MemoryLedger()
    async with ScriptedModel([BAD, BAD]) as model:
        client = open_client(model)
        with pytest.raises(ModelAnswerUnusable):
            await LedgeredModel(client, ledger).structured(HELLO, Verdict)
        resumed = LedgeredModel(client, MemoryLedger(ledger.calls, step=2))
        with pytest.raises(ModelAnswerUnusable):
            await resumed.structured(HELLO, Verdict)
    assert len(model.requests) == 2


async def test_usage_has_tokens_and_price_of_the_step_and_not_of_the_one_before(
    open_client: OpenClient,
) -> None:
    prices = {"scripted": Price(input=Decimal(1), output=Decimal(10))}
    price = Decimal("0.000300")
    ledger = MemoryLedger()
    async with ScriptedModel([text("one"), text("two")]) as model:
        client = open_client(model, prices=prices)
        await LedgeredModel(client, ledger).chat(HELLO)
        retried = LedgeredModel(client, ledger)
        await retried.chat(HELLO)
        assert retried.usage == ModelUsage(
            calls=0,
            found=1,
            prompt_tokens=PROMPT_TOKENS,
            completion_tokens=COMPLETION_TOKENS,
            price=price,
        )
        resumed = LedgeredModel(client, MemoryLedger(ledger.calls, step=2))
        await resumed.chat(HELLO)
        assert resumed.usage == ModelUsage(found=1)
        await resumed.chat([{"role": "user", "content": "And then?"}])
        assert (resumed.usage.calls, resumed.usage.price) == (1, price)


async def test_one_answer_of_the_offline_model_makes_the_step_degraded(
    open_client: OpenClient,
) -> None:
    ledger = MemoryLedger()
    first = LedgeredModel(open_client(), ledger)
    assert (await first.chat(HELLO)).degraded
    assert first.usage.degraded
    retried = LedgeredModel(open_client(), ledger)
    await retried.chat(HELLO)
    assert retried.usage.degraded


async def test_fault_points_surround_a_real_call_only(open_client: OpenClient) -> None:
    reached: list[tuple[str, int, int]] = []
    ledger = MemoryLedger()

    async def fault(point: str) -> None:
        reached.append((point, len(model.requests), len(ledger.calls)))

    async with ScriptedModel([text("once")]) as model:
        client = open_client(model)
        for _ in range(2):
            await LedgeredModel(client, ledger, fault=fault).chat(HELLO)
    assert reached == [
        ("before_model_call", 0, 0),
        ("after_model_call", 1, 0),
        ("after_ledger_save", 1, 1),
    ]


class SlowLedger(MemoryLedger):
    """A ledger whose server answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.saving = Hold()

    async def save(
        self, node: str, occurrence: int, request: ModelRequest, answer: ModelAnswer
    ) -> RecordedCall:
        self.saving.arrived.set()
        await self.saving.released.wait()
        return await super().save(node, occurrence, request, answer)


async def test_an_answer_that_is_paid_is_recorded_when_its_caller_is_cancelled(
    open_client: OpenClient,
) -> None:
    ledger = SlowLedger()
    async with ScriptedModel([text("paid")]) as model:
        call = asyncio.create_task(LedgeredModel(open_client(model), ledger).chat(HELLO))
        await ledger.saving.arrived.wait()
        call.cancel()
        ledger.saving.release()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert [made.response.text for made in ledger.calls] == ["paid"]


async def test_a_call_that_nobody_answered_is_not_recorded(
    open_client: OpenClient, offline: OfflineAnswers
) -> None:
    offline.status = 503
    ledger = MemoryLedger()
    with pytest.raises(ModelUnavailable):
        await LedgeredModel(open_client(), ledger).chat(HELLO)
    assert ledger.calls == ()


async def test_a_turn_pays_no_more_than_it_may_and_found_calls_cost_nothing(
    open_client: OpenClient,
) -> None:
    prices = {"scripted": Price(input=Decimal(0), output=Decimal(1_000_000))}
    ledger = MemoryLedger()
    bounds = AnswerBounds(turn_dollars=Decimal(30))
    async with ScriptedModel(lambda _: text("dear")) as model:
        client = open_client(model, prices=prices, bounds=bounds)
        for _ in range(2):
            node = LedgeredModel(client, ledger)
            for _ in range(2):
                await node.chat(HELLO)
            with pytest.raises(TurnBudgetExceeded) as caught:
                await node.chat(HELLO)
            assert caught.value.bound == "model_price"
            assert node.events == (BoundReached(bound="turn_dollars", limit="30"),)
    assert len(model.requests) == 2


async def test_calls_in_parallel_do_not_pass_the_bound_together(open_client: OpenClient) -> None:
    async with ScriptedModel(lambda _: text("one")) as model:
        client = open_client(model, bounds=AnswerBounds(turn_model_calls=3))
        node = LedgeredModel(client, MemoryLedger())
        ends = await asyncio.gather(*(node.chat(HELLO) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(end, TurnBudgetExceeded) for end in ends) == 2
    assert len(model.requests) == 3
