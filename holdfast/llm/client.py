"""The client of all models: asks the providers of a chain in order until one answers."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from holdfast.domain.errors import ModelRefused, ModelUnavailable
from holdfast.domain.ids import canonical_json
from holdfast.domain.limits import AnswerBounds
from holdfast.llm.answer import NoAnswer, ReadBody, read_body, refusal_of
from holdfast.llm.breaker import Breaker, BreakerSettings
from holdfast.llm.prices import PRICES, Prices, price_of
from holdfast.llm.providers import OPENAI_URL, Chain, Provider
from holdfast.llm.request import ModelRequest
from holdfast.store.llm_calls import ModelAnswer

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0

_MOST_BYTES = 16_000_000
"""Of an answer's body; what is longer is no answer."""

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
    or does not know its model (401 to 404), which is logged as an error, and one that refuses the
    request itself (400, 413, 422): another may take it. Only a lost connection is tried again here,
    once.

    Args:
        chain: the providers.
        offline_transport: answers in place of a network what is sent to the offline model.
        breaker: when a failing provider is left alone.
        prices: US dollars for a million tokens, by model name; others cost nothing.
        bounds: of the answers, and of what a turn may cost.
        clock: seconds that never go back, for the breakers.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        offline_transport: httpx2.AsyncBaseTransport,
        breaker: BreakerSettings | None = None,
        prices: Prices = PRICES,
        bounds: AnswerBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bounds = bounds or AnswerBounds()
        self._prices = prices
        self._links = [
            _Link(
                provider=provider,
                client=_open(provider, offline_transport),
                breaker=Breaker(breaker or BreakerSettings(), clock),
            )
            for provider in chain.providers
        ]

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of those that could be asked, in order."""
        return tuple(link.provider.name for link in self._links)

    async def complete(self, request: ModelRequest, *, passed: Collection[str] = ()) -> ModelAnswer:
        """The answer of the first provider that gives one, other than those `passed` over by name.

        Raises:
            ModelRefused: those that could be reached refuse the request itself, or one of them says
                that it is too long, which waiting for the others would not mend.
            ModelUnavailable: none answered, not even the offline model.
        """
        reasons: list[str] = []
        refusals: list[ModelRefused] = []
        for link in self._links:
            name = link.provider.name
            if name in passed:
                continue
            if not link.breaker.admit():
                reasons.append(f"{name}: left alone after failures")
                continue
            try:
                answer = await self._ask(link, request)
            except _Outage as outage:
                link.breaker.failed(outage.retry_after)
                log.warning("model provider %s did not answer: %s", name, outage)
                reasons.append(f"{name}: {outage}")
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
                body = await self._send(link, options)
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise _Outage(f"no answer within {provider.timeout_seconds:g} s") from error
        except openai.APIStatusError as error:
            raise _refusal(provider, error) from error
        except (openai.APIError, httpx2.HTTPError, ValueError) as error:
            raise _Outage(f"{error} ({error.__cause__ or type(error).__name__})") from error
        latency_ms = round((time.perf_counter() - started) * 1000)
        try:
            read = read_body(
                body, self.bounds, asked_characters=lambda: len(canonical_json(options))
            )
        except NoAnswer as nothing:
            raise _Outage(str(nothing)) from None
        return self._answer(provider, read, latency_ms)

    async def _send(self, link: _Link, options: dict[str, Any]) -> bytes:
        """Send the request, and get the body of the answer: reading it is ours, since the SDK's models
        fail for some of what servers send. Once more where its connection was lost, as one that has been
        idle for long, or whose process was frozen, may be: that is no outage yet."""
        for lost_before in (False, True):
            try:
                async with link.client.chat.completions.with_streaming_response.create(
                    model=link.provider.model, messages=(), extra_body=options
                ) as response:
                    body = bytearray()
                    async for chunk in response.iter_bytes():
                        body += chunk
                        if len(body) > _MOST_BYTES:
                            raise _Outage(f"the answer has more than {_MOST_BYTES} bytes")
                    return bytes(body)
            except (openai.APITimeoutError, httpx2.TimeoutException):
                raise
            except (openai.APIConnectionError, httpx2.TransportError):
                if lost_before:
                    raise
        raise AssertionError("the second attempt returns or raises")

    def _answer(self, provider: Provider, read: ReadBody, latency_ms: int) -> ModelAnswer:
        model = read.model or provider.model
        return ModelAnswer(
            provider=provider.name,
            model=model,
            response=read.response,
            prompt_tokens=read.prompt_tokens,
            completion_tokens=read.completion_tokens,
            price=price_of(self._prices, model, provider.model).of(
                read.prompt_tokens, read.completion_tokens, cached=read.cached_tokens
            ),
            latency_ms=latency_ms,
            degraded=provider.kind == "offline",
        )


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
