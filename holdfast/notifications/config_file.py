"""Reads the notifications' configuration, and again when it changes; mistakes are said with file and place."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, TypeAdapter, ValidationError

from holdfast.domain.documents import read_document
from holdfast.domain.errors import ConfigurationError
from holdfast.domain.validation import listed
from holdfast.notifications.config import (
    NOBODY,
    Notifications,
    Secret,
    SmtpServer,
    TenantChannels,
)
from holdfast.runtime.tenant_files import TenantFiles

_PORTS = {"smtp": 587, "smtps": 465}
_SECRET: TypeAdapter[SecretStr] = TypeAdapter(Secret)


def load_notifications(
    folder: Path | None,
    *,
    smtp_url: SecretStr | None,
    patience: timedelta,
    environment: Mapping[str, str],
) -> Notifications:
    """The configuration in a folder: `{tenant}.yaml`, and `default.yaml` for the other tenants.

    Files are read again when they change. Without a folder, nobody is told of anything, and the tenant of
    a new file that cannot be used isn't either. `environment` has the variables that webhooks name.

    Raises:
        ConfigurationError: the folder, `default.yaml` or the SMTP server's URL cannot be used.
    """
    smtp = _smtp_server(smtp_url.get_secret_value()) if smtp_url is not None else None
    if folder is None:
        return Notifications(smtp=smtp, patience=patience)
    secrets: dict[str, SecretStr] = {}

    def read(text: str, source: str) -> TenantChannels:
        channels = load_channels(text, source=source)
        if channels.emails and smtp is None:
            raise ConfigurationError(f"{source}: to send e-mail, set HOLDFAST_SMTP_URL")
        for webhook in channels.webhooks:
            for name in webhook.variables:
                secrets[name] = _secret(environment, name, f"{source}: {webhook.name}")
        return channels

    tenants = TenantFiles("notifications", folder, read=read, unusable=NOBODY)
    return Notifications(tenants=tenants, secrets=secrets, smtp=smtp, patience=patience)


def load_channels(text: str, *, source: str) -> TenantChannels:
    """The channels in a YAML text; `source` is what errors call it.

    Raises:
        ConfigurationError: it is not YAML, or does not describe channels; with a line for each
            problem.
    """
    return read_document(text, TenantChannels, source=source, error=ConfigurationError)


def _secret(environment: Mapping[str, str], name: str, where: str) -> SecretStr:
    value = environment.get(name)
    if not value:
        raise ConfigurationError(f"{where}: the environment variable {name} is not set")
    try:
        return _SECRET.validate_python(value)
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {name}: {listed(error)}") from None


def _smtp_server(url: str) -> SmtpServer:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigurationError(
            "HOLDFAST_SMTP_URL: write smtp://user:password@host:587, or smtps://… where TLS begins "
            "with the connection; percent-encode special characters of the password"
        )
    return SmtpServer(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        username=unquote(parts.username) if parts.username else None,
        password=SecretStr(unquote(parts.password)) if parts.password else None,
    )
