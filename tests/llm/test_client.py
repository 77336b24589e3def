"""The client asks providers in order, over real connections."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from holdfast.contract.chat import Tool
from holdfast.domain.errors import ModelRefused, ModelUnavailable
from holdfast.domain.limits import AnswerBounds
from holdfast.llm.breaker import BreakerSettings
from holdfast.llm.prices import Price
from holdfast.llm.providers import Provider
from holdfast.llm.request import ModelRequest
from holdfast.llm.retries import RetrySettings
from holdfast.store.llm_calls import RawToolCall
from holdfast.testing import Hold, ModelReply, ScriptedModel, failure, text, tool_calls
from holdfast.testing.scripted_model import request_digest, with_usage
from tests.llm.conftest import OFFLINE_TEXT, Clock, OfflineAnswers, OpenClient, provider

REQUEST = ModelRequest.chat([{"role": "user", "content": "Hello"}])


async def test_the_first_provider_answers_when_it_can(open_client: OpenClient) -> None:
    async with ScriptedModel([text("first")]) as first, ScriptedModel([]) as second:
        answer = await open_client(first, second).complete(REQUEST)
    assert (answer.response.text, answer.provider, answer.degraded) == (
        "first",
        "scripted-1",
        False,
    )
    assert second.requests == []


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
async def test_a_provider_that_fails_is_asked_once_more_and_then_passed_over(
    open_client: OpenClient, status: int
) -> None:
    failures = [failure(status), failure(status)]
    async with ScriptedModel(failures) as first, ScriptedModel([text("ok")]) as second:
        answer = await open_client(first, second).complete(REQUEST)
    assert answer.provider == "scripted-2"
    assert (first.calls[REQUEST.digest], second.calls[REQUEST.digest]) == (2, 1)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
async def test_one_failed_call_is_answered_by_the_same_provider(
    open_client: OpenClient, status: int
) -> None:
    async with ScriptedModel([failure(status), text("ok")]) as first, ScriptedModel([]) as second:
        answer = await open_client(first, second).complete(REQUEST)
    assert (answer.provider, answer.response.text) == ("scripted-1", "ok")


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_provider_whose_settings_are_wrong_is_passed_over_at_once(
    open_client: OpenClient, status: int
) -> None:
    async with ScriptedModel([failure(status)]) as first, ScriptedModel([text("ok")]) as second:
        answer = await open_client(first, second).complete(REQUEST)
    assert answer.provider == "scripted-2"


async def test_the_pause_before_the_second_try_is_short_and_not_the_same_for_all(
    open_client: OpenClient, clock: Clock
) -> None:
    replies = [reply for _ in range(20) for reply in (failure(503), text("ok"))]
    async with ScriptedModel(replies) as model:
        client = open_client(model, retry=RetrySettings(pause_seconds=0.4))
        for _ in range(20):
            await client.complete(REQUEST)
    assert len(clock.slept) == 20
    assert all(0.2 <= pause <= 0.4 for pause in clock.slept)
    assert len(set(clock.slept)) > 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not(
    open_client: OpenClient, clock: Clock, status: int
) -> None:
    short, long = failure(status, retry_after=2), failure(status, retry_after=9)
    replies = [short, text("patient"), long]
    async with ScriptedModel(replies) as first, ScriptedModel([text("next")]) as second:
        client = open_client(first, second)
        assert (await client.complete(REQUEST)).response.text == "patient"
        assert clock.slept == [2]
        assert (await client.complete(REQUEST)).response.text == "next"
        assert clock.slept == [2]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_is_refused_for_itself_goes_to_the_next_provider_at_once(
    open_client: OpenClient, status: int
) -> None:
    async with ScriptedModel([failure(status)]) as first, ScriptedModel([text("ok")]) as second:
        answer = await open_client(first, second).complete(REQUEST)
    assert answer.provider == "scripted-2"
    assert len(first.requests) == 1


def refusing(status: int, *, code: str | None = None, message: str = "no") -> ModelReply:
    return ModelReply({"error": {"message": message, "type": "x", "code": code}}, status=status)


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (refusing(400, code="context_length_exceeded"), "context_length"),
        (refusing(400, message="maximum context length is 8192 tokens"), "context_length"),
        (refusing(413), "context_length"),
        (refusing(400, code="content_filter"), "content_filter"),
        (refusing(403, message="flagged by moderation"), "content_filter"),
        (refusing(400, message="this model does not support tools"), "other"),
        (refusing(422), "other"),
        (ModelReply({"error": {"message": "prompt is too long", "code": 400}}), "context_length"),
        (ModelReply({"error": "the context window is too small"}), "context_length"),
    ],
)
async def test_where_every_provider_refuses_the_error_says_why_and_quotes_nothing(
    open_client: OpenClient, offline: OfflineAnswers, refusal: ModelReply, reason: str
) -> None:
    offline.status = 400
    async with ScriptedModel([refusal]) as model:
        with pytest.raises(ModelRefused) as caught:
            await open_client(model).complete(REQUEST)
    assert caught.value.reason == reason
    assert "no" not in str(caught.value).split()


async def test_a_refusal_beside_an_outage_is_an_outage_unless_a_shorter_request_would_do(
    open_client: OpenClient,
) -> None:
    too_long = refusing(400, code="context_length_exceeded")
    async with (
        ScriptedModel([refusing(400), too_long]) as model,
        ScriptedModel([failure(500)] * 4) as down,
    ):
        client = open_client(model, down)
        with pytest.raises(ModelUnavailable):
            await client.complete(REQUEST)
        with pytest.raises(ModelRefused):
            await client.complete(REQUEST)


async def test_providers_that_are_passed_over_are_not_asked(open_client: OpenClient) -> None:
    async with ScriptedModel([]) as first, ScriptedModel([text("second")]) as second:
        client = open_client(first, second)
        answer = await client.complete(REQUEST, passed={"scripted-1"})
    assert answer.provider == "scripted-2"


async def test_a_body_without_end_is_an_answer_that_is_not_read_and_has_its_price(
    open_client: OpenClient,
) -> None:
    prices = {"scripted-1": Price(input=Decimal(0), output=Decimal(1))}
    async with ScriptedModel([text("x" * 5_000_000)]) as model:
        client = open_client(model, prices=prices, bounds=AnswerBounds(answer_bytes=1_000_000))
        answer = await client.complete(REQUEST)
    response = answer.response
    assert (response.text, response.bound, response.limit) == ("", "answer_bytes", 1_000_000)
    assert 250_000 < answer.completion_tokens < 1_250_000
    assert answer.price > Decimal("0.25")


async def test_answers_without_end_open_no_breaker(open_client: OpenClient) -> None:
    endless = [text("x" * 20_000)] * 3
    async with ScriptedModel([*endless, text("short")]) as model:
        client = open_client(
            model, breaker=BreakerSettings(failures=1), bounds=AnswerBounds(answer_bytes=10_000)
        )
        texts = [(await client.complete(REQUEST)).response.text for _ in range(4)]
    assert texts == ["", "", "", "short"]


async def test_a_wrong_key_is_an_error_in_the_log(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedModel([failure(401)]) as model:
        with (
            caplog.at_level(logging.WARNING, logger="holdfast.llm.client"),
            pytest.raises(ModelUnavailable),
        ):
            await open_client(model).complete(REQUEST)
    assert any(
        record.levelno == logging.ERROR and "scripted-1 answers 401" in record.getMessage()
        for record in caplog.records
    )


CLOSED = provider("http://127.0.0.1:9/v1", name="unreachable")


async def test_the_offline_model_answers_for_nobody_unless_told(open_client: OpenClient) -> None:
    with pytest.raises(ModelUnavailable, match="unreachable: "):
        await open_client(CLOSED).complete(REQUEST, stand_in=True)


async def test_as_a_fallback_the_offline_model_answers_last_and_says_so(
    open_client: OpenClient,
) -> None:
    answer = await open_client(CLOSED, mode="fallback").complete(REQUEST, stand_in=True)
    assert (answer.response.text, answer.provider) == (OFFLINE_TEXT, "offline")
    assert answer.degraded


async def test_as_a_fallback_the_offline_model_answers_nobody_who_may_act_on_it(
    open_client: OpenClient,
) -> None:
    with pytest.raises(ModelUnavailable):
        await open_client(CLOSED, mode="fallback").complete(REQUEST)


async def test_the_offline_model_alone_is_degraded_too(open_client: OpenClient) -> None:
    assert (await open_client().complete(REQUEST)).degraded
    assert (await open_client(CLOSED, mode="only").complete(REQUEST)).provider == "offline"


async def test_when_nobody_answers_the_error_says_why_for_each(
    open_client: OpenClient, offline: OfflineAnswers
) -> None:
    offline.status = 500
    async with ScriptedModel([failure(503), failure(503)]) as model:
        client = open_client(model, mode="fallback")
        with pytest.raises(ModelUnavailable, match=r"scripted-1: status 503; offline: status 500"):
            await client.complete(REQUEST, stand_in=True)


@pytest.mark.parametrize(
    "broken",
    [
        ModelReply({"error": {"message": "overloaded"}}),
        ModelReply({"choices": []}),
    ],
)
async def test_a_success_without_a_completion_is_an_outage(
    open_client: OpenClient, broken: ModelReply
) -> None:
    async with ScriptedModel([broken, broken]) as first, ScriptedModel([text("ok")]) as second:
        assert (await open_client(first, second).complete(REQUEST)).provider == "scripted-2"


async def test_a_provider_that_takes_too_long_is_passed_over_at_once(
    open_client: OpenClient,
) -> None:
    hold = Hold()
    async with ScriptedModel([text("late").held(hold)]) as slow, ScriptedModel([text("ok")]) as on:
        client = open_client(provider(slow, timeout_seconds=0.2), on)
        assert (await client.complete(REQUEST)).provider == "scripted-2"
        assert hold.arrived.is_set()


def twice(reply: ModelReply) -> list[ModelReply]:
    """A call and the second try that follows it."""
    return [reply, reply]


async def test_failures_in_a_row_open_the_circuit_until_a_probe_succeeds(
    open_client: OpenClient, clock: Clock
) -> None:
    settings = BreakerSettings(failures=2, cooldown_seconds=10)
    replies = [*twice(failure(500)), *twice(failure(500)), text("back"), text("on")]
    async with ScriptedModel(replies) as model:
        client = open_client(model, breaker=settings)
        for _ in range(3):
            with pytest.raises(ModelUnavailable):
                await client.complete(REQUEST)
        assert len(model.requests) == 4
        clock.now += 10
        providers = [(await client.complete(REQUEST)).provider for _ in range(2)]
        assert providers == ["scripted-1"] * 2


async def test_while_a_probe_is_out_other_calls_go_to_the_next_provider(
    open_client: OpenClient, clock: Clock
) -> None:
    hold = Hold()
    settings = BreakerSettings(failures=1, cooldown_seconds=10)
    replies = [*twice(failure(500)), text("back").held(hold)]
    async with (
        ScriptedModel(replies) as model,
        ScriptedModel([text("one"), text("two")]) as following,
    ):
        client = open_client(model, following, breaker=settings)
        await client.complete(REQUEST)
        clock.now += 10
        probe = asyncio.create_task(client.complete(REQUEST))
        await hold.arrived.wait()
        assert (await client.complete(REQUEST)).provider == "scripted-2"
        hold.release()
        assert (await probe).provider == "scripted-1"


async def test_a_cancelled_probe_does_not_keep_the_circuit_open(
    open_client: OpenClient, clock: Clock
) -> None:
    hold = Hold()
    settings = BreakerSettings(failures=1, cooldown_seconds=10)
    replies = [*twice(failure(500)), text("never").held(hold), text("back")]
    async with ScriptedModel(replies) as model:
        client = open_client(model, breaker=settings)
        with pytest.raises(ModelUnavailable):
            await client.complete(REQUEST)
        clock.now += 10
        probe = asyncio.create_task(client.complete(REQUEST))
        await hold.arrived.wait()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert (await client.complete(REQUEST)).response.text == "back"


async def test_a_connection_that_is_lost_once_is_no_outage(open_client: OpenClient) -> None:
    connections = 0
    async with ScriptedModel([text("at last")]) as model:
        port = int(model.base_url.rsplit(":", 1)[1].split("/")[0])

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            asked = await reader.readuntil(b"\r\n\r\n")
            if connections > 1:
                onward, back = await asyncio.open_connection("127.0.0.1", port), writer
                onward[1].write(asked + await reader.read(2**16))
                back.write(await onward[0].read(2**16))
                onward[1].close()
            writer.close()

        async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()[1]
            client = open_client(provider(f"http://127.0.0.1:{address}/v1"))
            answer = await client.complete(REQUEST)
    assert (answer.response.text, answer.degraded, connections) == ("at last", False, 2)


async def test_a_refused_request_is_no_failure_of_the_provider(open_client: OpenClient) -> None:
    settings = BreakerSettings(failures=1)
    async with ScriptedModel([failure(400), text("ok")]) as model:
        client = open_client(model, breaker=settings)
        with pytest.raises(ModelRefused):
            await client.complete(REQUEST)
        assert (await client.complete(REQUEST)).response.text == "ok"


async def test_a_rate_limit_of_one_caller_keeps_nobody_else_away(open_client: OpenClient) -> None:
    settings = BreakerSettings(failures=1)
    limited = failure(429, retry_after=40)
    async with ScriptedModel([limited, text("for another"), limited]) as model:
        client = open_client(model, breaker=settings)
        with pytest.raises(ModelUnavailable) as told:
            await client.complete(REQUEST)
        assert told.value.retry_after == 40
        assert (await client.complete(REQUEST)).response.text == "for another"
        with pytest.raises(ModelUnavailable):
            await client.complete(REQUEST)


async def test_a_rate_limit_without_a_pause_is_asked_again_and_says_nothing_of_when(
    open_client: OpenClient,
) -> None:
    async with ScriptedModel(twice(failure(429))) as model:
        with pytest.raises(ModelUnavailable) as told:
            await open_client(model).complete(REQUEST)
    assert told.value.retry_after is None


async def test_an_outage_says_when_the_first_of_the_providers_may_be_asked_again(
    open_client: OpenClient, clock: Clock
) -> None:
    async with (
        ScriptedModel([failure(503, retry_after=60)]) as first,
        ScriptedModel([failure(503, retry_after=20)]) as second,
    ):
        client = open_client(first, second)
        for _ in range(2):  # the second time both are left alone
            with pytest.raises(ModelUnavailable) as told:
                await client.complete(REQUEST)
            assert told.value.retry_after == 20


async def test_retry_after_is_honoured_in_seconds(open_client: OpenClient, clock: Clock) -> None:
    replies = [failure(503, retry_after=40), text("back")]
    async with ScriptedModel(replies) as model, ScriptedModel(twice(text("on"))) as following:
        client = open_client(model, following)
        await client.complete(REQUEST)
        clock.now += 39
        assert (await client.complete(REQUEST)).provider == "scripted-2"
        clock.now += 1
        assert (await client.complete(REQUEST)).provider == "scripted-1"


async def test_retry_after_is_honoured_as_a_date(open_client: OpenClient, clock: Clock) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    replies = [failure(503, retry_after=date), text("back")]
    async with ScriptedModel(replies) as model, ScriptedModel(twice(text("on"))) as following:
        client = open_client(model, following)
        await client.complete(REQUEST)
        clock.now += 50
        assert (await client.complete(REQUEST)).provider == "scripted-2"
        clock.now += 50
        assert (await client.complete(REQUEST)).provider == "scripted-1"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("inf", 86_400),
        ("1e300", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("-inf", None),
        ("nan", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("soon", None),
    ],
)
async def test_a_pause_that_nobody_can_mean_is_bounded(
    asked: str, told: float | None, open_client: OpenClient
) -> None:
    async with ScriptedModel(twice(failure(503, retry_after=asked))) as model:
        with pytest.raises(ModelUnavailable) as refused:
            await open_client(model).complete(REQUEST)
    assert refused.value.retry_after == told


async def test_tokens_and_price_come_with_the_answer(open_client: OpenClient) -> None:
    prices = {"big": Price(input=Decimal(2), cached_input=Decimal(1), output=Decimal(10))}
    reply = with_usage(
        text("priced", model="big-2026-01-02"), prompt=1_000, completion=50, cached=400
    )
    async with ScriptedModel([reply]) as model:
        answer = await open_client(model, prices=prices).complete(REQUEST)
    assert (answer.model, answer.prompt_tokens, answer.completion_tokens) == (
        "big-2026-01-02",
        1_000,
        50,
    )
    assert (answer.price, answer.priced) == (Decimal("0.002100"), True)


async def test_a_call_costs_what_the_configured_model_costs_whatever_the_answer_says(
    open_client: OpenClient,
) -> None:
    prices = {
        "scripted-1": Price(input=Decimal(0), output=Decimal(10)),
        "cheap": Price(input=Decimal(0), output=Decimal(0)),
    }
    named = [text("a", model=name) for name in ("cheap", "scripted-1", "nobody-knows")]
    async with ScriptedModel(
        [with_usage(one, prompt=10, completion=100) for one in named]
    ) as model:
        client = open_client(model, prices=prices)
        costs = [(await client.complete(REQUEST)).price for _ in named]
    assert costs == [Decimal("0.001")] * 3


async def test_what_a_model_costs_that_is_not_listed_is_unknown_and_said_once(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedModel([text("much?", model="mystery")] * 3) as model:
        client = open_client(model, prices={})
        with caplog.at_level(logging.WARNING):
            unknown = [await client.complete(REQUEST) for _ in range(3)]
    assert {(one.price, one.priced) for one in unknown} == {(Decimal(0), False)}
    (warning,) = [one for one in caplog.records if "costs" in one.getMessage()]
    assert "mystery" in warning.getMessage()


async def test_text_that_postgres_could_not_take_is_cleaned(open_client: OpenClient) -> None:
    async with ScriptedModel([text("a\0b\ud800c")]) as model:
        assert (await open_client(model).complete(REQUEST)).response.text == "ab?c"


async def test_a_tool_call_is_read_where_a_compatible_server_leaves_out_its_id_and_type(
    open_client: OpenClient,
) -> None:
    call = {"function": {"name": "look", "arguments": None}}
    async with ScriptedModel([text(None, tool_calls=[call])]) as model:
        answer = await open_client(model).complete(REQUEST)
    assert answer.response.tool_calls == (RawToolCall(id="call_1", name="look", arguments=""),)


async def test_azure_is_asked_by_deployment_and_version(open_client: OpenClient) -> None:
    async with ScriptedModel([text("azure")]) as model:
        azure = Provider(
            name="azure",
            kind="azure",
            base_url=model.origin,
            api_key=SecretStr("key"),
            model="deployed",
            api_version="2024-10-21",
        )
        assert (await open_client(azure).complete(REQUEST)).provider == "azure"
        assert model.paths == [
            "/openai/deployments/deployed/chat/completions?api-version=2024-10-21"
        ]


async def test_a_reasoning_effort_is_sent_and_does_not_change_the_digest(
    open_client: OpenClient,
) -> None:
    tool = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {}})
    request = ModelRequest.chat([{"role": "user", "content": "Look"}], (tool,), "required")
    async with ScriptedModel([tool_calls(("look", {}))]) as model:
        chosen = Provider(name="a", base_url=model.base_url, model="m", reasoning_effort="none")
        await open_client(chosen).complete(request)
        [sent] = model.requests
    assert sent["reasoning_effort"] == "none"
    assert sent["tool_choice"] == "required"
    assert request_digest(sent) == request.digest
