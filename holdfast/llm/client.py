"""The client of all models: asks the providers of a chain in order until one answers."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletion

from holdfast.domain.errors import InvalidModelRequest, ModelUnavailable
from holdfast.llm.breaker import Breaker, BreakerSettings
from holdfast.llm.prices import FREE, PRICES, Price, Prices, price_of
from holdfast.llm.providers import OPENAI_URL, Chain, Provider
from holdfast.llm.request import ModelRequest
from holdfast.store.llm_calls import ModelAnswer, ModelResponse, RawToolCall

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0

_REQUEST_AT_FAULT = {400, 413, 422}
"""Statuses that say that the request is wrong: the next provider is not asked, since it would be
paid for hiding a mistake of ours."""

_SETTINGS_AT_FAULT = {401, 402, 403, 404}
"""Statuses that say that this provider's key, account or model name is wrong: an error in the log,
and the next provider answers."""


class _Outage(Exception):
    """A provider did not answer. `retry_after` is the pause that it asks for, in seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True)
class _Link:
    provider: Provider
    client: openai.AsyncOpenAI
    breaker: Breaker


class ModelClient:
    """One for a process: it holds the connections and the circuit breakers.

    A provider that cannot be reached, takes too long, or answers with 408, 409, 429 or 5xx or
    something that is no completion, is passed over for the next one; so is one that refuses our key
    or does not know its model (401 to 404), which is logged as an error. A request that is refused
    for itself (400, 413, 422) is not sent on. Only a lost connection is tried again here, once.

    Args:
        chain: the providers.
        offline_transport: answers in place of a network what is sent to the offline model.
        breaker: when a failing provider is left alone.
        prices: US dollars for a million tokens, by model name; what others cost is unknown.
        clock: seconds that never go back, for the breakers.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        offline_transport: httpx2.AsyncBaseTransport,
        breaker: BreakerSettings | None = None,
        prices: Prices = PRICES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prices = prices
        self._unpriced: set[str] = set()
        self._links = [
            _Link(
                provider=provider,
                client=_open(provider, offline_transport),
                breaker=Breaker(breaker or BreakerSettings(), clock),
            )
            for provider in chain.providers
        ]

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """The answer of the first provider that gives one.

        Raises:
            InvalidModelRequest: a provider refuses the request itself.
            ModelUnavailable: none answered, not even the offline model.
        """
        reasons: list[str] = []
        for link in self._links:
            name = link.provider.name
            if not link.breaker.admit():
                reasons.append(f"{name}: left alone after failures")
                continue
            try:
                answer = await self._ask(link, request)
            except _Outage as outage:
                link.breaker.failed(outage.retry_after)
                log.warning("model provider %s did not answer: %s", name, outage)
                reasons.append(f"{name}: {outage}")
            except InvalidModelRequest:
                link.breaker.succeeded()
                raise
            except BaseException:
                link.breaker.abandoned()
                raise
            else:
                link.breaker.succeeded()
                log.info("model call answered by %s in %d ms", name, answer.latency_ms)
                return answer
        raise ModelUnavailable(f"no model answered: {'; '.join(reasons)}")

    async def aclose(self) -> None:
        """Close the connections."""
        for link in self._links:
            await link.client.close()

    async def _ask(self, link: _Link, request: ModelRequest) -> ModelAnswer:
        provider = link.provider
        options: dict[str, Any] = dict(request.body)
        if provider.reasoning_effort is not None:
            options["reasoning_effort"] = provider.reasoning_effort
        started = time.perf_counter()
        try:
            # httpx2's timeouts are for each read; a trickling answer would outlast them.
            async with asyncio.timeout(provider.timeout_seconds):
                # The body has the form of the wire already; taken as parameters, all of it would be
                # walked through and copied once more, a tenth of the CPU time of a turn.
                completion = await self._create(link, options)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise _Outage(f"no answer within {provider.timeout_seconds:g} s") from error
        except openai.APIStatusError as error:
            raise _refusal(provider, error) from error
        except (openai.APIError, ValueError) as error:
            raise _Outage(f"{error} ({error.__cause__ or type(error).__name__})") from error
        latency_ms = round((time.perf_counter() - started) * 1000)
        return self._answer(provider, completion, latency_ms)

    async def _create(self, link: _Link, options: dict[str, Any]) -> object:
        """Send the request; once more where its connection was lost, as one that has been idle for long,
        or whose process was frozen, may be: that is no outage yet."""
        for lost_before in (False, True):
            try:
                return await link.client.chat.completions.create(
                    model=link.provider.model, messages=(), extra_body=options
                )
            except openai.APITimeoutError:
                raise
            except openai.APIConnectionError:
                if lost_before:
                    raise
        raise AssertionError("the second attempt returns or raises")

    def _answer(self, provider: Provider, completion: object, latency_ms: int) -> ModelAnswer:
        # Some gateways answer 200 with an error or a web page in the body.
        if not isinstance(completion, ChatCompletion) or not (
            completion.choices and completion.choices[0].message
        ):
            raise _Outage("the answer is no chat completion")
        usage = completion.usage
        prompt = (usage and usage.prompt_tokens) or 0
        generated = (usage and usage.completion_tokens) or 0
        details = usage and usage.prompt_tokens_details
        model = completion.model or provider.model
        price = self._price(provider, model)
        return ModelAnswer(
            provider=provider.name,
            model=model,
            response=_response(completion),
            prompt_tokens=prompt,
            completion_tokens=generated,
            price=Decimal(0)
            if price is None
            else price.of(prompt, generated, cached=(details and details.cached_tokens) or 0),
            priced=price is not None,
            latency_ms=latency_ms,
            degraded=provider.kind == "offline",
        )

    def _price(self, provider: Provider, model: str) -> Price | None:
        """What a model costs; None, and a warning once, where that is not known."""
        if provider.kind == "offline":
            return FREE
        price = price_of(self._prices, model, provider.model)
        if price is None and model not in self._unpriced:
            self._unpriced.add(model)
            log.warning(
                "nobody knows what the model %s of %s costs: its calls are recorded with priced = false "
                "and a price of 0",
                model,
                provider.name,
            )
        return price


def _open(provider: Provider, offline_transport: httpx2.AsyncBaseTransport) -> openai.AsyncOpenAI:
    timeout = httpx2.Timeout(provider.timeout_seconds, connect=_CONNECT_SECONDS)
    key = provider.api_key.get_secret_value() if provider.api_key else "none"
    match provider.kind:
        case "openai":
            return openai.AsyncOpenAI(
                api_key=key,
                base_url=provider.base_url or OPENAI_URL,
                timeout=timeout,
                max_retries=0,
            )
        case "azure":
            return openai.AsyncAzureOpenAI(
                api_key=key,
                azure_endpoint=provider.base_url or "",
                azure_deployment=provider.model,
                api_version=provider.api_version,
                timeout=timeout,
                max_retries=0,
            )
        case "offline":
            return openai.AsyncOpenAI(
                api_key=key,
                base_url="http://offline.invalid/v1",
                timeout=timeout,
                max_retries=0,
                http_client=httpx2.AsyncClient(transport=offline_transport),
            )


def _refusal(provider: Provider, error: openai.APIStatusError) -> Exception:
    status = error.status_code
    if status in _REQUEST_AT_FAULT:
        return InvalidModelRequest(
            f"{provider.name} ({provider.model}) refuses the request with {status}: "
            f"{error.message[:500]}"
        )
    if status in _SETTINGS_AT_FAULT:
        log.error(
            "model provider %s answers %d: its key, account, address or model %r is wrong",
            provider.name,
            status,
            provider.model,
        )
    return _Outage(f"status {status}", _retry_after(error.response.headers))


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds until the provider wants to be asked again: the header has seconds or a date."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _response(completion: ChatCompletion) -> ModelResponse:
    choice = completion.choices[0]
    message = choice.message
    calls = [call.to_dict() for call in message.tool_calls or ()]
    return ModelResponse(
        text=_storable(message.content or message.refusal or ""),
        tool_calls=tuple(
            _tool_call(index, call, function)
            for index, call in enumerate(calls, start=1)
            if isinstance(function := call.get("function"), dict)
        ),
        finish_reason=choice.finish_reason or "",
    )


def _tool_call(index: int, call: dict[str, object], function: dict[str, object]) -> RawToolCall:
    """Some compatible servers leave out ids, types or empty arguments."""
    return RawToolCall(
        id=str(call.get("id") or f"call_{index}"),
        name=str(function.get("name", "")),
        arguments=_storable(str(function.get("arguments") or "")),
    )


def _storable(text: str) -> str:
    """Postgres takes neither NUL nor half of a surrogate pair, and models produce both."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
