"""Sends webhooks, signed as the Standard Webhooks specification says."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self

import httpx2
from pydantic import SecretStr
from standardwebhooks import Webhook

from holdfast.domain.notifications import Payload
from holdfast.domain.text import escaped_json
from holdfast.notifications.failure import DeliveryFailed

TIMEOUT_SECONDS = 10.0
"""From the first byte of the connection to the answer's head; what comes later does not count."""

_GONE = 410


class WebhookSender:
    """Posts webhooks over connections that are kept. Redirects are not followed, cookies are not
    taken, and an answer's body is not read."""

    def __init__(self, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._http = httpx2.AsyncClient(
            timeout=timeout,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def send(
        self, url: str, payload: Payload, *, delivery: str, secrets: Sequence[SecretStr]
    ) -> int:
        """Post a webhook under the delivery's id, signed with every secret; the status of success.

        Raises:
            AttemptFailed: no answer came in time, or one that is no success.
        """
        body = escaped_json(payload.model_dump_json())
        headers = {
            "content-type": "application/json",
            "user-agent": "holdfast",
            **signed_headers(body, delivery=delivery, secrets=secrets, at=datetime.now(UTC)),
        }
        try:
            # httpx's timeouts are for each read; a trickling answer would outlast them.
            async with (
                asyncio.timeout(self._timeout),
                self._http.stream("POST", url, content=body.encode(), headers=headers) as answer,
            ):
                status = answer.status_code
        except TimeoutError:
            raise DeliveryFailed(f"no answer within {self._timeout:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise DeliveryFailed(f"{type(error).__name__}: {error}") from None
        if not 200 <= status < 300:
            redirect = ", a redirect, which is not followed" if 300 <= status < 400 else ""
            gone = status == _GONE
            why = ": the receiver wants no more webhooks" if gone else redirect
            raise DeliveryFailed(f"HTTP {status}{why}", status=status, final=gone)
        return status


def signed_headers(
    body: str, *, delivery: str, secrets: Sequence[SecretStr], at: datetime
) -> dict[str, str]:
    """The specification's headers: id, time, and a signature for each secret."""
    signatures = [Webhook(one.get_secret_value()).sign(delivery, at, body) for one in secrets]
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
