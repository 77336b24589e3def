"""The client of all models: asks the providers of a chain in order until one answers."""

import asyncio
import functools
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from holdfast.domain.errors import ModelRefused, ModelUnavailable
from holdfast.domain.ids import canonical_json
from holdfast.domain.limits import AnswerBounds
from holdfast.llm.answer import NoAnswer, ReadBody, read_body, refusal_of
from holdfast.llm.breaker import Breaker, BreakerSettings
from holdfast.llm.prices import FREE, PRICES, Price, Prices, price_of
from holdfast.llm.providers import OPENAI_URL, Chain, Provider
from holdfast.llm.request import ModelRequest
from holdfast.llm.retries import Outage, OutageKind, RetrySettings, pause_before_retry
from holdfast.store.llm_calls import ModelAnswer

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0

_READ_AT_ONCE_BYTES = 64_000
"""Of an answer's body; a longer one is read in a thread, so that others' work goes on."""

_MODELS_NAMED = 100
"""Of those without a price, in the log: their names are the answers'."""

_LONGEST_PAUSE = 86_400.0
_RATE_LIMITED = 429

_SETTINGS_AT_FAULT = {401, 402, 403, 404}
"""Statuses that say that this provider's key, account or model name is wrong: an error in the log,
and the next provider answers."""


@dataclass(frozen=True)
class _Link:
    provider: Provider
    client: openai.AsyncOpenAI
    breaker: Breaker


class ModelClient:
    """One for a process: it holds the connections and the circuit breakers.

    A provider that cannot be reached, or answers with 408, 409, 429 or 5xx or something that is no
    completion, is asked once more after a short pause, and then passed over for the next one. So is,
    without another try, one that takes too long, one that refuses our key or does not know its model
    (401 to 404), which is logged as an error, and one that refuses the request itself (400, 413, 422):
    another may take it.

    Args:
        chain: the providers.
        offline_transport: answers in place of a network what is sent to the offline model.
        breaker: when a failing provider is left alone.
        retry: how a call that failed is made once more.
        prices: US dollars for a million tokens, by model name; what others cost is unknown.
        bounds: of the answers, and of what a turn may cost.
        clock: seconds that never go back, for the breakers.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        offline_transport: httpx2.AsyncBaseTransport,
        breaker: BreakerSettings | None = None,
        retry: RetrySettings | None = None,
        prices: Prices = PRICES,
        bounds: AnswerBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.bounds = bounds or AnswerBounds()
        self._prices = prices
        self._unpriced: set[str] = set()
        self._retry = retry or RetrySettings()
        self._sleep = sleep
        self._mode = chain.mode
        self._links = [
            _Link(
                provider=provider,
                client=_open(provider, offline_transport),
                breaker=Breaker(breaker or BreakerSettings(), clock),
            )
            for provider in chain.links
        ]

    def providers(self, *, stand_in: bool = False) -> tuple[str, ...]:
        """The names of those that may be asked, in order. As a fallback, the offline model is one of them
        where `stand_in` says that its words may do."""
        return tuple(link.provider.name for link in self._askable(stand_in))

    def _askable(self, stand_in: bool) -> list[_Link]:
        return [
            link
            for link in self._links
            if link.provider.kind != "offline" or self._mode != "fallback" or stand_in
        ]

    async def complete(
        self, request: ModelRequest, *, passed: Collection[str] = (), stand_in: bool = False
    ) -> ModelAnswer:
        """The answer of the first provider that gives one, other than those `passed` over by name; for
        `stand_in`, see `providers`.

        Raises:
            ModelRefused: those that could be reached refuse the request itself, or one of them says
                that it is too long, which waiting for the others would not mend.
            ModelUnavailable: none answered.
        """
        reasons: list[str] = []
        pauses: list[float] = []
        refusals: list[ModelRefused] = []
        for link in self._askable(stand_in):
            name = link.provider.name
            if name in passed:
                continue
            if not link.breaker.admit():
                reasons.append(f"{name}: left alone after failures")
                pauses.append(link.breaker.remaining)
                continue
            try:
                answer = await self._ask_twice(link, request)
            except Outage as outage:
                if outage.kind == "busy":
                    link.breaker.succeeded()
                else:
                    link.breaker.failed(outage.retry_after)
                log.warning("model provider %s did not answer: %s", name, outage)
                reasons.append(f"{name}: {outage}")
                pauses.append(outage.retry_after or 0.0)
            except ModelRefused as refusal:
                link.breaker.succeeded()
                log.warning("model provider %s refuses a request: %s", name, refusal.reason)
                refusals.append(refusal)
            except BaseException:
                link.breaker.abandoned()
                raise
            else:
                link.breaker.succeeded()
                log.info("model call answered by %s in %d ms", name, answer.latency_ms)
                return answer
        too_long = [one for one in refusals if one.reason == "context_length"]
        if too_long or (refusals and not reasons):
            raise (too_long or refusals)[0]
        reasons += [f"{refusal}" for refusal in refusals]
        raise ModelUnavailable(
            f"no model answered: {'; '.join(reasons)}", retry_after=min(pauses, default=0.0) or None
        )

    async def aclose(self) -> None:
        """Close the connections."""
        for link in self._links:
            await link.client.close()

    async def _ask_twice(self, link: _Link, request: ModelRequest) -> ModelAnswer:
        """A single failure, such as a connection that was lost while it was idle, is no outage yet."""
        try:
            return await self._ask(link, request)
        except Outage as outage:
            pause = pause_before_retry(outage, self._retry)
            if pause is None:
                raise
            log.info("model provider %s is asked again: %s", link.provider.name, outage)
        await self._sleep(pause)
        return await self._ask(link, request)

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
                body = await self._send(link, options)
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise Outage(f"no answer within {provider.timeout_seconds:g} s", "slow") from error
        except openai.APIStatusError as error:
            raise _refusal(provider, error) from error
        except (openai.APIError, httpx2.HTTPError, ValueError) as error:
            raise Outage(f"{error} ({error.__cause__ or type(error).__name__})") from error
        latency_ms = round((time.perf_counter() - started) * 1000)
        reading = functools.partial(
            read_body, body, self.bounds, asked_characters=lambda: len(canonical_json(options))
        )
        try:
            read = (
                reading() if len(body) <= _READ_AT_ONCE_BYTES else await asyncio.to_thread(reading)
            )
        except NoAnswer as nothing:
            raise Outage(str(nothing)) from None
        return self._answer(provider, read, latency_ms)

    async def _send(self, link: _Link, options: dict[str, Any]) -> bytes:
        """Send the request, and get the body of the answer, or the beginning of one that is too long: reading
        it is ours, since the SDK's models fail for some of what servers send."""
        async with link.client.chat.completions.with_streaming_response.create(
            model=link.provider.model, messages=(), extra_body=options
        ) as response:
            body = bytearray()
            async for chunk in response.iter_bytes():
                body += chunk
                if len(body) > self.bounds.answer_bytes:
                    break
            return bytes(body)

    def _answer(self, provider: Provider, read: ReadBody, latency_ms: int) -> ModelAnswer:
        model = read.model or provider.model
        price = self._price(provider, model)
        return ModelAnswer(
            provider=provider.name,
            model=model,
            response=read.response,
            prompt_tokens=read.prompt_tokens,
            completion_tokens=read.completion_tokens,
            price=Decimal(0)
            if price is None
            else price.of(read.prompt_tokens, read.completion_tokens, cached=read.cached_tokens),
            priced=price is not None,
            latency_ms=latency_ms,
            degraded=provider.kind == "offline",
        )

    def _price(self, provider: Provider, model: str) -> Price | None:
        """What a model costs: the configured one or, where that has no price, `model`, as the answer has it.
        None, and a warning once, where that is not known."""
        if provider.kind == "offline":
            return FREE
        price = price_of(self._prices, provider.model, model)
        if price is None and model not in self._unpriced and len(self._unpriced) < _MODELS_NAMED:
            self._unpriced.add(model)
            log.warning(
                "nobody knows what the model %r of %s costs: its calls are recorded with priced = false "
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
    reason = refusal_of(status, error.body)
    if reason is not None:
        # What the provider says may quote the customer: it is not for errors, which travel.
        log.debug("model provider %s answers %d: %.500s", provider.name, status, error.message)
        return ModelRefused(
            f"{provider.name} ({provider.model}) refuses the request with {status} ({reason})",
            reason=reason,
        )
    if status in _SETTINGS_AT_FAULT:
        log.error(
            "model provider %s answers %d: its key, account, address or model %r is wrong",
            provider.name,
            status,
            provider.model,
        )
        kind: OutageKind = "settings"
    else:
        kind = "busy" if status == _RATE_LIMITED else "failed"
    return Outage(f"status {status}", kind, _retry_after(error.response.headers))


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds until the provider wants to be asked again, a day at most: the header has seconds or a
    date. None where it has neither, or nothing that can be meant."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    if math.isnan(seconds):
        return None
    return min(max(0.0, seconds), _LONGEST_PAUSE)
