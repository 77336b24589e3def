"""Reads the notifications' configuration when a worker starts; mistakes are said with file and place."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from pydantic import SecretStr, TypeAdapter, ValidationError

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.ids import is_id
from holdfast.notifications.config import Notifications, Secret, SmtpServer, TenantChannels

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

    Without a folder, nobody is told of anything. `environment` has the variables that webhooks name.

    Raises:
        ConfigurationError: the folder, a file, a variable or the SMTP server's URL cannot be used.
    """
    smtp = _smtp_server(smtp_url.get_secret_value()) if smtp_url is not None else None
    if folder is None:
        return Notifications(smtp=smtp, patience=patience)
    if not folder.is_dir():
        raise ConfigurationError(f"the notifications folder {folder} does not exist")
    tenants: dict[str, TenantChannels] = {}
    secrets: dict[str, SecretStr] = {}
    for path in sorted(folder.glob("*.y*ml")):
        if path.suffix != ".yaml" or not is_id(path.stem):
            raise ConfigurationError(f"{path}: name it {{tenant}}.yaml or default.yaml")
        channels = tenants[path.stem] = load_channels(_text(path), source=str(path))
        if channels.emails and smtp is None:
            raise ConfigurationError(f"{path}: to send e-mail, set HOLDFAST_SMTP_URL")
        for webhook in channels.webhooks:
            for name in webhook.variables:
                secrets[name] = _secret(environment, name, f"{path}: {webhook.name}")
    return Notifications(tenants=tenants, secrets=secrets, smtp=smtp, patience=patience)


def load_channels(text: str, *, source: str) -> TenantChannels:
    """The channels in a YAML text; `source` is what errors call it.

    Raises:
        ConfigurationError: it is not YAML, or does not describe channels; with a line for each
            problem.
    """
    try:
        value = _Loader(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{source}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none, say
        problem = str(error).splitlines()[0]
        raise ConfigurationError(f"{source}: not YAML: {problem}") from error
    try:
        return TenantChannels.model_validate(value)
    except ValidationError as error:
        problems = [
            f"{source}: {_place(problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("\n".join(problems)) from None  # the cause has secrets in it


def _place(location: tuple[int | str, ...]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return place.lstrip(".") or "the file"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error


def _secret(environment: Mapping[str, str], name: str, where: str) -> SecretStr:
    value = environment.get(name)
    if not value:
        raise ConfigurationError(f"{where}: the environment variable {name} is not set")
    try:
        return _SECRET.validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]["msg"]
        raise ConfigurationError(f"{where}: {name}: {problem}") from None


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


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's own loader drops the first in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(str(key.value))
        return node
