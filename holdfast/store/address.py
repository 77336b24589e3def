"""Database URLs: read in one way for every connection."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from holdfast.domain.errors import ConfigurationError

_PORT = 5432
_CONNECT_TIMEOUT_SECONDS = 5.0
_SCHEMES = ("postgresql", "postgres")
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation")
_TLS_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSIONS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
_PARAMETERS = (
    *_TLS,
    "application_name",
    "connect_timeout",
    "target_session_attrs",
    "options",
    "host",
    "port",
)
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\[\]:]*)(?::(?P<port>\d*))?")
_NOT_UTF8 = "it has bytes that are no UTF-8"
_ENCODE = "percent-encode special characters of user and password (@ is %40, / is %2F, : is %3A)"


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """What a database URL says. A password that it has is the only one that is ever sent; without one,
    those of the environment and of the password file count, as for `psql`."""

    hosts: tuple[tuple[str, int], ...] = ()
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    application_name: str = "holdfast"
    connect_timeout: float = _CONNECT_TIMEOUT_SECONDS
    target_session_attrs: str | None = None
    options: str | None = None
    tls: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def connect_options(self, **server_settings: str) -> dict[str, Any]:
        """The arguments of `asyncpg.connect` and `asyncpg.create_pool`.

        Raises:
            ConfigurationError: a file of TLS is not there, or cannot be used.
        """
        _check_tls(dict(self.tls))
        # asyncpg takes certificates from a URL only.
        tls = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.tls)
        session = {"application_name": self.application_name, **server_settings}
        if self.options is not None:
            session["options"] = self.options
        return {
            "dsn": f"postgresql://?{tls}" if tls else None,
            "host": [host for host, _ in self.hosts] or None,
            "port": [port for _, port in self.hosts] or None,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "timeout": self.connect_timeout,
            "target_session_attrs": self.target_session_attrs,
            "server_settings": session,
        }


def read_address(url: str) -> DatabaseAddress:
    """The address in `postgresql://user:password@host:port/database?parameters`.

    There may be several hosts, with commas between them.

    Raises:
        ConfigurationError: it is no such URL. The message never quotes it.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in _SCHEMES or not separator:
        raise _wrong("it does not begin with postgresql://")
    _check_characters(url)
    if _BARE_PERCENT.search(url):
        raise _wrong(
            "a % is followed by something else than two hexadecimal digits; write it as %25"
        )
    if "#" in rest:
        raise _wrong("it has a #; write it as %23")
    place, _, query = rest.partition("?")
    authority, _, database = place.partition("/")
    credentials, has_user, hosts = authority.rpartition("@")
    if "@" in credentials or "@" in database or "/" in database or "@" in query:
        raise _wrong(f"there is an @, / or ? where none can be; {_ENCODE}")
    user, has_password, password = credentials.partition(":")
    if has_user and not user:
        raise _wrong("there is an @, and no user before it")
    if ":" in password:
        raise _wrong(f"there is a second : before the @; {_ENCODE}")
    given = _parameters(query)
    if hosts and ("host" in given or "port" in given):
        raise _wrong("it names hosts before the ? and after it")
    return DatabaseAddress(
        hosts=_hosts(hosts) if hosts else _hosts_of(given),
        user=_decoded(user) if has_user else None,
        password=_decoded(password) if has_password else None,
        database=_decoded(database) or None,
        application_name=given.get("application_name") or "holdfast",
        connect_timeout=_seconds(given.get("connect_timeout")),
        target_session_attrs=_one_of(given, "target_session_attrs", _SESSIONS),
        options=given.get("options"),
        tls=tuple((name, given[name]) for name in _TLS if name in given),
    )


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"the database URL cannot be used: {problem}; it is written "
        "postgresql://user:password@host:5432/database"
    )


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _wrong(_NOT_UTF8) from None
    _check_characters(decoded)
    return decoded


def _check_characters(text: str) -> None:
    if _CONTROL.search(text):
        raise _wrong("it has a line break or another control character")
    if not _is_utf8(text):
        raise _wrong(_NOT_UTF8)


def _is_utf8(text: str) -> bool:
    """Whether it is: of an environment variable, bytes that are none become halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict"
        )
    except UnicodeDecodeError:
        raise _wrong(_NOT_UTF8) from None
    except ValueError:
        raise _wrong(f"what follows the ? is not name=value&name=value; {_ENCODE}") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in _PARAMETERS:
            known = ", ".join(_PARAMETERS)
            raise _wrong(f"it has a parameter that is none of {known}")
        if name in given:
            raise _wrong(f"it has the parameter {name} twice")
        _check_characters(value)
        given[name] = value
    _one_of(given, "sslmode", _TLS_MODES)
    return given


def _one_of(given: dict[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = given.get(name)
    if value is not None and value not in allowed:
        raise _wrong(f"{name} is none of {', '.join(allowed)}")
    return value


def _seconds(text: str | None) -> float:
    if text is None:
        return _CONNECT_TIMEOUT_SECONDS
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:5]) <= 3_600:
        raise _wrong("connect_timeout is not a number of seconds from 1 to 3600")
    return float(text)


def _hosts(text: str) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for one in text.split(","):
        match = _HOST.fullmatch(one)
        if match is None or not match["host"]:
            raise _wrong(f"a host is missing, or its port is not a number; {_ENCODE}")
        host = _decoded(match["host"].strip("[]"))
        found.append((_host(host), _port(match["port"])))
    return tuple(found)


def _hosts_of(given: dict[str, str]) -> tuple[tuple[str, int], ...]:
    """Hosts as parameters: the folder of a Unix socket can be written there only."""
    hosts = [host for host in given.get("host", "").split(",") if host]
    ports = given.get("port", "").split(",")
    if len(ports) == 1:
        ports *= max(1, len(hosts))
    if len(ports) != max(1, len(hosts)) or (ports != [""] and not hosts):
        raise _wrong("it has more ports than hosts, or fewer")
    return tuple((_host(host), _port(port)) for host, port in zip(hosts, ports, strict=False))


def _host(host: str) -> str:
    try:
        host.encode("idna")  # as a lookup of the name does
    except UnicodeError:
        if not host.startswith("/"):
            raise _wrong(
                "a host is no name: between its dots are 1 to 63 characters, without blanks"
            ) from None
    return host


def _port(text: str | None) -> int:
    if not text:
        return _PORT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 65_535:
        raise _wrong("a port is not a number from 1 to 65535")
    return int(text)


def _check_tls(tls: dict[str, str]) -> None:
    """Read the files as a connection would, whose own error names none of them."""
    for name in _TLS_FILES:
        if name in tls and not Path(tls[name]).is_file():
            raise ConfigurationError(f"the database URL's {name} is no file: {tls[name]}")
    for name in ("sslrootcert", "sslcrl", "sslcert"):
        if name in tls:
            with _using(name, tls[name], "no certificate or list in PEM"):
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=tls[name])
    if (key := tls.get("sslkey")) is None:
        return
    with _using("sslkey", key, "no private key in PEM that fits sslcert and sslpassword"):
        if "sslcert" in tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # A function: without a password, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(tls["sslcert"], key, lambda: tls.get("sslpassword", ""))
        elif b"PRIVATE KEY-----" not in Path(key).read_bytes():
            raise ssl.SSLError("no private key")


@contextmanager
def _using(name: str, file: str, otherwise: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError:
        raise ConfigurationError(
            f"the database URL's {name} cannot be used: {file} has {otherwise}"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the database URL's {name} cannot be read: {file}: {error.strerror}"
        ) from None
