"""Sends e-mail over SMTP, in plain text and HTML."""

import asyncio
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import aiosmtplib

from holdfast.domain.notifications import Payload
from holdfast.notifications.config import SmtpServer
from holdfast.notifications.email_content import render_email
from holdfast.notifications.failure import DeliveryFailed

TIMEOUT_SECONDS = 10.0
"""For the whole conversation with the server."""

_ACCEPTED = 250


async def send_email(
    server: SmtpServer,
    payload: Payload,
    *,
    delivery: str,
    sender: str,
    recipient: str,
    timeout: float = TIMEOUT_SECONDS,
) -> int:
    """Hand an e-mail over to the server; the reply code of success.

    Raises:
        AttemptFailed: the server did not take it, or did not say so in time.
    """
    message = compose(payload, delivery=delivery, sender=sender, recipient=recipient)
    password = server.password.get_secret_value() if server.password is not None else None
    try:
        async with asyncio.timeout(timeout):
            await aiosmtplib.send(
                message,
                sender=sender,
                recipients=[recipient],
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=password,
                use_tls=server.tls,
                # None: where the server offers it.
                start_tls=True if password is not None and not server.tls else None,
                timeout=timeout,
            )
    except aiosmtplib.SMTPRecipientsRefused as error:
        refused = error.recipients[0]
        raise _failure(refused, final=refused.code >= 500) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _failure(error) from None
    except TimeoutError:  # aiosmtplib's own are of this kind, too
        raise DeliveryFailed(f"the SMTP server did not take it within {timeout:g} s") from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise DeliveryFailed(f"{type(error).__name__}: {error}") from None
    return _ACCEPTED


def compose(payload: Payload, *, delivery: str, sender: str, recipient: str) -> EmailMessage:
    """The e-mail. Its Message-ID is that of the delivery on every try, so that mailboxes can drop
    what arrives twice."""
    rendered = render_email(payload)
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = rendered.subject
    message["Date"] = format_datetime(payload.timestamp)
    message["Message-ID"] = f"<{delivery}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message


def _failure(error: aiosmtplib.SMTPResponseException, *, final: bool = False) -> DeliveryFailed:
    return DeliveryFailed(f"SMTP {error.code}: {error.message}", status=error.code, final=final)
