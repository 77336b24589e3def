"""Webhooks as a receiver gets them, checked with the specification's own library."""

import json

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from holdfast.notifications.failure import DeliveryFailed
from holdfast.notifications.webhook import WebhookSender
from tests.notifications.notices import OLD_SECRET, SECRET, payload
from tests.notifications.receiving import Answered, Endpoint, Posted, endpoint


async def send(receiver: Endpoint, *secrets: str, timeout: float = 5.0) -> Posted:
    async with WebhookSender(timeout=timeout) as sender:
        await sender.send(
            receiver.url,
            payload(reason="Größe „XL“ 🧥"),
            delivery="dl_1",
            secrets=[SecretStr(one) for one in secrets or (SECRET,)],
        )
    return receiver.posted[-1]


async def refusal(receiver: Endpoint, *, timeout: float = 5.0) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        await send(receiver, timeout=timeout)
    return failed.value


async def test_a_webhook_has_the_form_and_the_signature_of_the_specification() -> None:
    async with endpoint() as receiver:
        posted = await send(receiver)
    verified = Webhook(SECRET).verify(posted.body, posted.headers)
    assert verified["type"] == "approval.requested"
    assert verified["timestamp"] == "2026-03-01T09:30:00Z"
    assert verified["data"]["reason"] == "Größe „XL“ 🧥"
    assert verified["data"]["actions"] == [
        {"name": "refund", "title": "Refund 120.00 EUR to Mara", "arguments": {"amount": 120}}
    ]
    assert posted.id == "dl_1"
    assert posted.headers["content-type"] == "application/json"
    assert posted.path == "/hooks/approvals"


async def test_a_changed_body_or_another_secret_does_not_verify() -> None:
    async with endpoint() as receiver:
        posted = await send(receiver)
    forged = json.dumps(json.loads(posted.body) | {"type": "approval.decided"})
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(forged, posted.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD_SECRET).verify(posted.body, posted.headers)


async def test_while_a_secret_is_replaced_receivers_with_either_can_verify() -> None:
    async with endpoint() as receiver:
        posted = await send(receiver, SECRET, OLD_SECRET)
    assert len(posted.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(posted.body, posted.headers)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_success(status: int) -> None:
    async with endpoint() as receiver:
        receiver.script = lambda _: Answered(status)
        await send(receiver)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_another_status_is_a_failure_that_may_pass(status: int) -> None:
    async with endpoint() as receiver:
        receiver.script = lambda _: Answered(status)
        failed = await refusal(receiver)
    assert (failed.status, failed.final) == (status, False)


async def test_gone_is_final() -> None:
    async with endpoint() as receiver:
        receiver.script = lambda _: Answered(410)
        failed = await refusal(receiver)
    assert (failed.status, failed.final) == (410, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    async with endpoint() as receiver, endpoint() as elsewhere:
        receiver.script = lambda _: Answered(status, (("location", elsewhere.url),))
        failed = await refusal(receiver)
    assert (failed.status, failed.final) == (status, False)
    assert "not followed" in failed.detail
    assert elsewhere.posted == []


@pytest.mark.parametrize("delay", [None, 0.4])
async def test_an_answer_that_does_not_come_in_time_is_a_failure(delay: float | None) -> None:
    async with endpoint() as receiver:
        receiver.script = lambda _: Answered(delay=delay)
        failed = await refusal(receiver, timeout=0.2)
    assert (failed.status, failed.final) == (None, False)
    assert "within 0.2 s" in failed.detail


async def test_a_receiver_that_is_away_is_a_failure() -> None:
    async with endpoint() as receiver:
        pass
    failed = await refusal(receiver)
    assert (failed.status, failed.final) == (None, False)


async def test_cookies_of_a_receiver_are_not_sent_back() -> None:
    async with endpoint() as receiver, WebhookSender() as sender:
        receiver.script = lambda _: Answered(headers=(("set-cookie", "who=you; Path=/"),))
        for _ in range(2):
            await sender.send(receiver.url, payload(), delivery="dl_1", secrets=[SecretStr(SECRET)])
    assert len(receiver.posted) == 2
    assert "cookie" not in receiver.posted[1].headers
