"""E-mail as it arrives, and what customers' words can not do to it."""

import asyncio
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import get_args

import pytest
from pydantic import SecretStr

from holdfast.domain.notifications import NoticedAction, NoticeType, Payload
from holdfast.notifications.config import SmtpServer
from holdfast.notifications.email import send_email
from holdfast.notifications.email_content import render_email
from holdfast.notifications.failure import DeliveryFailed
from tests.notifications.notices import HOSTILE, payload
from tests.notifications.receiving import Mailbox, mailbox


async def send(receiver: Mailbox, what: Payload, *, timeout: float = 5.0) -> EmailMessage:
    server = SmtpServer(host="127.0.0.1", port=receiver.port, tls=False)
    await send_email(
        server,
        what,
        delivery="dl_1",
        sender="holdfast@example.com",
        recipient="lena@example.com",
        timeout=timeout,
    )
    return receiver.mails[-1]


def parts(mail: EmailMessage) -> tuple[str, str]:
    """The plain text and the HTML."""
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


class Tags(HTMLParser):
    """The names of a document's elements."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)


async def test_a_reviewer_reads_what_is_asked_for_in_text_and_html() -> None:
    async with mailbox() as receiver:
        mail = await send(receiver, payload())
    assert receiver.recipients == [["lena@example.com"]]
    assert mail["subject"] == "Approval needed: Refund 120.00 EUR to Mara"
    assert (mail["from"], mail["to"]) == ("holdfast@example.com", "lena@example.com")
    assert mail["message-id"] == "<dl_1@example.com>"
    assert mail["auto-submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    for body in parts(mail):
        assert "The parcel is lost." in body
        assert "refunds" in body
        assert "2026-03-03 09:30 UTC" in body
        assert "ap_1" in body


async def test_hostile_words_are_quoted_and_add_no_header_no_line_and_no_element() -> None:
    action = NoticedAction(name="refund", title=HOSTILE, arguments={"note": HOSTILE})
    hostile = payload(
        "approval.decided", reason=HOSTILE, actions=(action,), state="rejected", text=HOSTILE
    )
    harmless = payload("approval.decided", state="rejected", text="no")
    async with mailbox() as receiver:
        mail = await send(receiver, hostile)
        expected = await send(receiver, harmless)
    assert mail.keys() == expected.keys()
    assert "bcc" not in mail
    assert receiver.recipients == [["lena@example.com"]] * 2
    text, html = parts(mail)
    assert len(text.splitlines()) == len(parts(expected)[0].splitlines())
    assert "</script> Bcc: everybody@example.com Approval: ap_other" in text
    assert "\u202e" not in text + html + mail["subject"]
    assert Tags(html).names == Tags(parts(expected)[1]).names
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("event", get_args(NoticeType))
def test_every_event_has_a_subject_of_its_own(event: NoticeType) -> None:
    subjects = {render_email(payload(one)).subject for one in get_args(NoticeType)}
    assert render_email(payload(event)).subject in subjects
    assert len(subjects) == len(get_args(NoticeType))


def test_silence_that_allows_is_told_from_silence_that_denies() -> None:
    allowed = render_email(payload("approval.expired", state="accepted"))
    denied = render_email(payload("approval.expired", state="expired"))
    assert "accepted, as policy says" in allowed.text
    assert "expired" in denied.text


def test_very_long_words_are_cut() -> None:
    action = NoticedAction(name="refund", title="x" * 5_000, arguments={})
    rendered = render_email(payload(reason="y" * 50_000, actions=(action,)))
    assert len(rendered.subject) == 150
    assert len(rendered.text) < 10_000


@pytest.mark.parametrize(
    ("answer", "status", "final"),
    [
        ("451 greylisted", 451, False),
        ("550 no such mailbox", 550, True),
    ],
)
async def test_a_refused_recipient_is_final_when_the_server_says_so(
    answer: str, status: int, final: bool
) -> None:
    async with mailbox() as receiver:
        receiver.refuse = answer
        with pytest.raises(DeliveryFailed) as failed:
            await send(receiver, payload())
    assert (failed.value.status, failed.value.final) == (status, final)


async def test_a_server_that_hangs_is_a_failure() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        silent = Mailbox(port=server.sockets[0].getsockname()[1])
        with pytest.raises(DeliveryFailed, match=r"within 0\.2 s"):
            await send(silent, payload(), timeout=0.2)


async def test_a_server_that_is_away_is_a_failure() -> None:
    async with mailbox() as receiver:
        pass
    with pytest.raises(DeliveryFailed):
        await send(receiver, payload())


async def test_a_password_is_not_sent_over_a_connection_in_the_clear() -> None:
    async with mailbox() as receiver:
        server = SmtpServer(
            host="127.0.0.1",
            port=receiver.port,
            tls=False,
            username="holdfast",
            password=SecretStr("secret"),
        )
        with pytest.raises(DeliveryFailed, match="STARTTLS"):
            await send_email(
                server,
                payload(),
                delivery="dl_1",
                sender="holdfast@example.com",
                recipient="lena@example.com",
            )
    assert receiver.mails == []
