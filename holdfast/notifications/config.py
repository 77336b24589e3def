"""Who is told of approvals: a tenant's channels, as its configuration file says.

    webhooks:
      - name: slack
        url: https://hooks.example.com/approvals
        secret_env: SLACK_WEBHOOK_SECRET
    emails:
      - name: refunds-team
        to: [refunds@example.com]
        sender: holdfast@example.com
        events: [approval.requested, approval.escalated]
        roles: [refunds]

Without `events`, a channel gets all of them; with `roles`, only those of approvals that ask one of
these roles.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, HttpUrl, SecretStr, StringConstraints, model_validator

from holdfast.domain.ids import Id
from holdfast.domain.model import Strict
from holdfast.domain.notifications import NoticeType
from holdfast.runtime.tenant_files import EVERY_OTHER_TENANT, TenantFiles

_ADDRESS = r"^[^\s\p{Cc}@<>()\[\],;:\\\"]+@[^\s\p{Cc}@<>()\[\],;:\\\"]+$"
_SECRET_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)


def _check_secret(secret: SecretStr) -> SecretStr:
    """The form that the Standard Webhooks specification gives a secret: `whsec_` and the base64 of 24
    to 64 bytes. Its library would drop characters that are not base64 in silence."""
    prefix, encoded = (secret.get_secret_value()[:6], secret.get_secret_value()[6:])
    try:
        length = len(base64.b64decode(encoded, validate=True))
    except binascii.Error:
        length = 0
    if prefix != _SECRET_PREFIX or length not in _SECRET_BYTES:
        raise ValueError(
            "a webhook's secret is whsec_ and the base64 of 24 to 64 bytes; make one: "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
    return secret


Secret = Annotated[SecretStr, AfterValidator(_check_secret)]
Address = Annotated[str, StringConstraints(pattern=_ADDRESS, max_length=254)]
"""An e-mail address, and nothing but: no name, no list."""

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Channel(Strict):
    """A way to tell somebody. The name is unique within the file; deliveries are recorded under it."""

    name: Id
    events: Annotated[tuple[NoticeType, ...] | None, Field(min_length=1)] = None
    roles: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None

    def wants(self, event: NoticeType, roles: Collection[str]) -> bool:
        """Whether it is told of this event of an approval that asks `roles`."""
        if self.events is not None and event not in self.events:
            return False
        return self.roles is None or not set(self.roles).isdisjoint(roles)


class WebhookChannel(Channel):
    """An HTTP endpoint that gets signed webhooks.

    The secret is there, or in the environment variable that is named. While a secret is replaced,
    `previous_secret_env` is the old one, and every webhook is signed with both.
    """

    url: HttpUrl
    secret: Secret | None = None
    secret_env: Variable | None = None
    previous_secret_env: Variable | None = None

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.secret is None) == (self.secret_env is None):
            raise ValueError("a webhook has either a secret or a secret_env")
        return self

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that it needs, the current secret's first."""
        return tuple(one for one in (self.secret_env, self.previous_secret_env) if one is not None)


class EmailChannel(Channel):
    """People who get e-mail, each a message of their own."""

    to: Annotated[tuple[Address, ...], Field(min_length=1)]
    sender: Address


class TenantChannels(Strict):
    """Everybody who is told of a tenant's approvals."""

    webhooks: tuple[WebhookChannel, ...] = ()
    emails: tuple[EmailChannel, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = Counter(one.name for one in (*self.webhooks, *self.emails))
        if repeated := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"several channels are called {', '.join(repeated)}")
        for one in self.emails:
            if len(set(one.to)) < len(one.to):
                raise ValueError(f"{one.name} names an address twice")
        return self

    def wanting(
        self, event: NoticeType, roles: Collection[str]
    ) -> Iterator[tuple[WebhookChannel | EmailChannel, str | None]]:
        """The channels that are told of an event, with each recipient of an e-mail."""
        for webhook in self.webhooks:
            if webhook.wants(event, roles):
                yield webhook, None
        for email in self.emails:
            if email.wants(event, roles):
                for recipient in email.to:
                    yield email, recipient


NOBODY = TenantChannels()


@dataclass(frozen=True, kw_only=True)
class SmtpServer:
    """Where e-mail is handed over. With `tls`, the connection is encrypted from its beginning;
    without, it becomes so by STARTTLS where the server offers that, and has to before a password
    is sent."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: SecretStr | None = None


@dataclass(frozen=True, kw_only=True)
class Notifications:
    """The configuration of all tenants, checked. `patience` is how long a delivery is tried."""

    tenants: Mapping[str, TenantChannels] | TenantFiles[TenantChannels] = field(
        default_factory=dict
    )
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    """The values of the environment variables that webhooks name."""
    smtp: SmtpServer | None = None
    patience: timedelta = timedelta(hours=24)

    def of(self, tenant: str) -> TenantChannels:
        """The channels of a tenant."""
        if isinstance(self.tenants, TenantFiles):
            return self.tenants.of(tenant) or NOBODY
        return self.tenants.get(tenant) or self.tenants.get(EVERY_OTHER_TENANT) or NOBODY

    async def watch(self) -> None:
        """Look at the files in a thread of its own, until it is cancelled."""
        if isinstance(self.tenants, TenantFiles):
            await self.tenants.watch()

    def problems(self) -> list[str]:
        """What is wrong with files that are not in force as they are."""
        return self.tenants.problems() if isinstance(self.tenants, TenantFiles) else []

    def webhook(self, tenant: str, name: str) -> WebhookChannel | None:
        """The webhook of this name."""
        return next((one for one in self.of(tenant).webhooks if one.name == name), None)

    def email(self, tenant: str, name: str, recipient: str | None) -> EmailChannel | None:
        """The e-mail channel of this name, where it still has the recipient."""
        found = next((one for one in self.of(tenant).emails if one.name == name), None)
        return found if found is not None and recipient in found.to else None

    def secrets_of(self, channel: WebhookChannel) -> tuple[SecretStr, ...]:
        """What its webhooks are signed with: the current secret, then the previous one."""
        written = (channel.secret,) if channel.secret is not None else ()
        return (*written, *(self.secrets[name] for name in channel.variables))
