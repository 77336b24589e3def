"""Receivers of notifications on real ports: an HTTP endpoint and an SMTP server that a test scripts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession


@dataclass(frozen=True)
class Posted:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        """The webhook's id."""
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Answered:
    """What goes back. `delay` is in seconds, or until an event is set; None is forever."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay: float | asyncio.Event | None = 0.0


@dataclass
class Endpoint:
    """An HTTP server; `script` decides by the number of the request, counted from 0."""

    script: Callable[[int], Answered] = lambda _: Answered()
    posted: list[Posted] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/approvals"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = (await reader.readexactly(int(headers["content-length"]))).decode()
            answer = self.script(len(self.posted))
            self.posted.append(Posted(head[0].split()[1], headers, body))
            if answer.delay is None:
                await reader.read()
                return
            if isinstance(answer.delay, asyncio.Event):
                await answer.delay.wait()
            else:
                await asyncio.sleep(answer.delay)
            lines = [f"HTTP/1.1 {answer.status} Answered", "content-length: 0", "connection: close"]
            lines += [f"{name}: {value}" for name, value in answer.headers]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    """A receiver of webhooks."""
    opened = Endpoint()
    server = await asyncio.start_server(opened.serve, "127.0.0.1", 0)
    opened.port = server.sockets[0].getsockname()[1]
    try:
        yield opened
    finally:
        server.close()


@dataclass
class Mailbox:
    """An SMTP server; `refuse` is its answer to every recipient, where it takes none."""

    refuse: str | None = None
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802 aiosmtpd looks for these names
        self,
        server: SMTP,
        session: SmtpSession,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if self.refuse is not None:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: SmtpSession, envelope: Envelope
    ) -> str:
        content: Any = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.raw.append(content)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """A receiver of e-mail."""
    opened = Mailbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(opened, hostname="localhost", loop=loop), "127.0.0.1", 0
    )
    opened.port = server.sockets[0].getsockname()[1]
    try:
        yield opened
    finally:
        server.close()
