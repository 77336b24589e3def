"""The client asks providers in order, over real connections."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from holdfast.domain.errors import InvalidModelRequest, ModelUnavailable
from holdfast.llm.breaker import BreakerSettings
from holdfast.llm.chat import Tool
from holdfast.llm.prices import Price
from holdfast.llm.providers import Provider
from holdfast.llm.request import ModelRequest
from holdfast.store.llm_calls import RawToolCall
from tests.llm.conftest import OFFLINE_TEXT, Clock, OfflineAnswers, OpenClient, provider
from tests.scripted_model import (
    Hold,
    Reply,
    ScriptedModel,
    failure,
    request_digest,
    text,
    tool_calls,
    with_usage,
)

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


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 409, 429, 500, 503])
async def test_a_provider_that_fails_is_passed_over_in_order(
    open_client: OpenClient, status: int
) -> None:
    async with ScriptedModel([failure(status)]) as first, ScriptedModel([text("ok")]) as second:
        answer = await open_client(first, second).complete(REQUEST)
    assert answer.provider == "scripted-2"
    assert first.calls[REQUEST.digest] == second.calls[REQUEST.digest] == 1


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_is_refused_for_itself_is_not_sent_on(
    open_client: OpenClient, status: int
) -> None:
    async with ScriptedModel([failure(status)]) as first, ScriptedModel([]) as second:
        with pytest.raises(InvalidModelRequest, match=f"scripted failure {status}"):
            await open_client(first, second).complete(REQUEST)
    assert second.requests == []


async def test_a_wrong_key_is_an_error_in_the_log(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedModel([failure(401)]) as model:
        with caplog.at_level(logging.WARNING, logger="holdfast.llm.client"):
            await open_client(model).complete(REQUEST)
    assert any(
        record.levelno == logging.ERROR and "scripted-1 answers 401" in record.getMessage()
        for record in caplog.records
    )


async def test_the_offline_model_answers_last_and_says_so(open_client: OpenClient) -> None:
    closed = provider("http://127.0.0.1:9/v1", name="unreachable")
    answer = await open_client(closed).complete(REQUEST)
    assert (answer.response.text, answer.provider) == (OFFLINE_TEXT, "offline")
    assert answer.degraded


async def test_the_offline_model_alone_is_degraded_too(open_client: OpenClient) -> None:
    assert (await open_client().complete(REQUEST)).degraded


async def test_when_nobody_answers_the_error_says_why_for_each(
    open_client: OpenClient, offline: OfflineAnswers
) -> None:
    offline.status = 500
    async with ScriptedModel([failure(503)]) as model:
        with pytest.raises(ModelUnavailable, match=r"scripted-1: status 503; offline: status 500"):
            await open_client(model).complete(REQUEST)


@pytest.mark.parametrize(
    "broken",
    [
        Reply({"error": {"message": "overloaded"}}),
        Reply({"choices": []}),
    ],
)
async def test_a_success_without_a_completion_is_an_outage(
    open_client: OpenClient, broken: Reply
) -> None:
    async with ScriptedModel([broken]) as model:
        assert (await open_client(model).complete(REQUEST)).provider == "offline"


async def test_a_provider_that_takes_too_long_is_passed_over(open_client: OpenClient) -> None:
    hold = Hold()
    async with ScriptedModel([text("late").held(hold)]) as slow:
        client = open_client(provider(slow, timeout_seconds=0.2))
        assert (await client.complete(REQUEST)).provider == "offline"
        assert hold.arrived.is_set()


async def test_failures_in_a_row_open_the_circuit_until_a_probe_succeeds(
    open_client: OpenClient, clock: Clock
) -> None:
    settings = BreakerSettings(failures=2, cooldown_seconds=10)
    async with ScriptedModel([failure(500), failure(500), text("back"), text("on")]) as model:
        client = open_client(model, breaker=settings)
        providers = [(await client.complete(REQUEST)).provider for _ in range(3)]
        assert providers == ["offline"] * 3
        assert len(model.requests) == 2
        clock.now += 10
        providers = [(await client.complete(REQUEST)).provider for _ in range(2)]
        assert providers == ["scripted-1"] * 2


async def test_while_a_probe_is_out_other_calls_go_to_the_next_provider(
    open_client: OpenClient, clock: Clock
) -> None:
    hold = Hold()
    settings = BreakerSettings(failures=1, cooldown_seconds=10)
    async with ScriptedModel([failure(500), text("back").held(hold)]) as model:
        client = open_client(model, breaker=settings)
        await client.complete(REQUEST)
        clock.now += 10
        probe = asyncio.create_task(client.complete(REQUEST))
        await hold.arrived.wait()
        assert (await client.complete(REQUEST)).provider == "offline"
        hold.release()
        assert (await probe).provider == "scripted-1"


async def test_a_cancelled_probe_does_not_keep_the_circuit_open(
    open_client: OpenClient, clock: Clock
) -> None:
    hold = Hold()
    settings = BreakerSettings(failures=1, cooldown_seconds=10)
    async with ScriptedModel([failure(500), text("never").held(hold), text("back")]) as model:
        client = open_client(model, breaker=settings)
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
        with pytest.raises(InvalidModelRequest):
            await client.complete(REQUEST)
        assert (await client.complete(REQUEST)).response.text == "ok"


async def test_retry_after_is_honoured_in_seconds(open_client: OpenClient, clock: Clock) -> None:
    async with ScriptedModel([failure(429, retry_after=40), text("back")]) as model:
        client = open_client(model)
        await client.complete(REQUEST)
        clock.now += 39
        assert (await client.complete(REQUEST)).provider == "offline"
        clock.now += 1
        assert (await client.complete(REQUEST)).provider == "scripted-1"


async def test_retry_after_is_honoured_as_a_date(open_client: OpenClient, clock: Clock) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    async with ScriptedModel([failure(503, retry_after=date), text("back")]) as model:
        client = open_client(model)
        await client.complete(REQUEST)
        clock.now += 50
        assert (await client.complete(REQUEST)).provider == "offline"
        clock.now += 50
        assert (await client.complete(REQUEST)).provider == "scripted-1"


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
