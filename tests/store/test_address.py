"""Database URLs, read in one way: hosts, passwords, parameters, and what is refused."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from holdfast.domain.errors import ConfigurationError, Unavailable
from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings, read_settings
from holdfast.store.address import read_address
from holdfast.store.liveness import open_session
from holdfast.store.migrate import migrate
from holdfast.store.pool import open_pool


def test_every_part_is_read(tmp_path: Path) -> None:
    certificate, _ = a_certificate(tmp_path)
    address = read_address(
        "postgres://a%40b:p%2Fw%3A%25@one.example:6000,[::1]/my%20base"
        f"?sslmode=verify-full&sslrootcert={certificate}&application_name=shop&connect_timeout=12"
        "&target_session_attrs=read-write"
    )
    assert address.hosts == (("one.example", 6000), ("::1", 5432))
    assert (address.user, address.password, address.database) == ("a@b", "p/w:%", "my base")
    assert address.tls == (("sslmode", "verify-full"), ("sslrootcert", str(certificate)))
    options = address.connect_options(jit="off")
    assert options["server_settings"] == {"application_name": "shop", "jit": "off"}
    assert (options["timeout"], options["target_session_attrs"]) == (12.0, "read-write")


def test_a_socket_and_its_port_are_parameters() -> None:
    address = read_address("postgresql://ann@/shop?host=/run/postgresql&port=6001")
    assert address.hosts == (("/run/postgresql", 6001),)
    assert address.password is None


def test_an_empty_password_is_one() -> None:
    assert read_address("postgresql://zoe:@host/shop").password == ""


WRONG = {
    "another scheme": "mysql://zoe:secret@host/shop",
    "no scheme": "host=localhost password=secret",
    "@ in the password": "postgresql://zoe:se@cret@host/shop",
    "/ in the password": "postgresql://zoe:se/cret@host/shop",
    "# in the password": "postgresql://zoe:se#cret@host/shop",
    "? in the password": "postgresql://zoe:se?cret@host/shop",
    ": in the password": "postgresql://zoe:se:cret@host/shop",
    "% in the password": "postgresql://zoe:se%cret@host/shop",
    "a line break in the password": "postgresql://zoe:se\ncret@host/shop",
    "no user": "postgresql://:secret@host/shop",
    "no port after the colon but letters": "postgresql://zoe:secret@host:abc/shop",
    "a port that is none": "postgresql://zoe:secret@host:70000/shop",
    "a host that is missing": "postgresql://zoe:secret@one,,two/shop",
    "an unknown parameter": "postgresql://zoe:secret@host/shop?sslmod=require",
    "an unknown sslmode": "postgresql://zoe:secret@host/shop?sslmode=maybe",
    "a parameter twice": "postgresql://zoe:secret@host/shop?sslmode=require&sslmode=disable",
    "a time-out that is none": "postgresql://zoe:secret@host/shop?connect_timeout=soon",
    "a session that is none": "postgresql://zoe:secret@host/shop?target_session_attrs=x",
    "two places for hosts": "postgresql://zoe:secret@host/shop?host=other",
    "ports without hosts": "postgresql:///shop?port=1,2",
    "a host with nothing between two dots": "postgresql://zoe:secret@db..example:5432/shop",
    "a host with a long label": f"postgresql://zoe:secret@{'a' * 64}.example/shop",
    "such a host as a parameter": "postgresql://zoe:secret@/shop?host=db..example",
    "a password that is no UTF-8": "postgresql://zoe:secret%ff@host/shop",
    "a byte of the environment that is no UTF-8": "postgresql://zoe:secret\udcff@host/shop",
    "a user that is no UTF-8": "postgresql://zoe%ff:secret@host/shop",
    "a parameter that is no UTF-8": "postgresql://zoe:secret@host/shop?application_name=x%ff",
    "a NUL in the password": "postgresql://zoe:secret%00@host/shop",
    "a line break in the user": "postgresql://zoe%0a:secret@host/shop",
    "a NUL in the host": "postgresql://zoe:secret@host%00/shop",
    "a NUL in the database": "postgresql://zoe:secret@host/shop%00",
    "a NUL in a parameter": "postgresql://zoe:secret@host/shop?application_name=x%00y",
}


@pytest.mark.parametrize("url", [pytest.param(url, id=name) for name, url in WRONG.items()])
def test_what_is_no_such_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_address(url)
    for part in ("se@cret", "cret", "secret", "zoe"):
        assert part not in str(refused.value)
    with pytest.raises(ConfigurationError, match=r"HOLDFAST_DATABASE_URL: the database URL"):
        read_settings(database_url=url)


@pytest.fixture
async def role(stack_settings: Settings, tenant: str) -> AsyncIterator[str]:
    """A role whose password has every character that URLs use."""
    url = require_migration_url(stack_settings)
    async with await open_pool(url, max_size=1) as pool:
        await pool.execute(f"create role \"{tenant}\" superuser login password '{PASSWORD}'")
        yield tenant
        await pool.execute(f'drop role "{tenant}"')


PASSWORD = "a@b:c/d?e#f%g h&i=j[k]"


async def test_clients_workers_and_migrations_agree_on_a_url(
    stack_settings: Settings, role: str
) -> None:
    there = read_address(require_migration_url(stack_settings))
    ((host, port),) = there.hosts
    url = (
        f"postgresql://{role}:{quote(PASSWORD, safe='')}@127.0.0.1:1,{host}:{port}/{there.database}"
        "?sslmode=prefer&application_name=mine&connect_timeout=9"
    )
    await migrate(url)
    named = "select current_setting('application_name')"
    async with await open_pool(url, max_size=1) as pool:
        assert await pool.fetchval(named) == "mine"
    session = await open_session(url)
    assert await session.fetchval(named) == "mine"
    await session.close()


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """The port of a server that takes connections and says nothing."""
    taken: list[asyncio.StreamWriter] = []

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in taken:
        writer.close()


@pytest.mark.parametrize("session", ["any", "prefer-standby"])
async def test_a_host_that_says_nothing_is_passed_over(
    stack_settings: Settings, silent: int, session: str
) -> None:
    url = require_migration_url(stack_settings)
    url = url.replace("@", f"@127.0.0.1:{silent},", 1).partition("?")[0]
    url = f"{url}?connect_timeout=1&target_session_attrs={session}"
    await migrate(url)
    async with await open_pool(url, max_size=1) as pool:
        assert await pool.fetchval("select 1") == 1
    await (await open_session(url)).close()


async def test_what_keeps_a_silent_server_from_being_used_is_said(silent: int) -> None:
    url = f"postgresql://zoe:secret@127.0.0.1:{silent}/shop?connect_timeout=1"
    cause = f"cannot reach Postgres: .*127.0.0.1:{silent} did not answer within 1 s"
    for connecting in (open_pool(url), migrate(url)):
        with pytest.raises(Unavailable, match=cause):
            await connecting


async def test_no_other_password_is_ever_sent_than_the_one_that_was_given(
    stack_settings: Settings, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((host, port),) = read_address(require_migration_url(stack_settings)).hosts
    passwords = tmp_path / "pgpass"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passwords.write_text(f"*:*:*:{role}:{escaped}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)

    async with await open_pool(f"postgresql://{role}@{host}:{port}/holdfast", max_size=1) as pool:
        assert await pool.fetchval("select current_user") == role
    for given in ("wrong", ""):
        url = f"postgresql://{role}:{given}@{host}:{port}/holdfast"
        with pytest.raises(Unavailable, match="cannot reach Postgres"):
            await open_pool(url)
        with pytest.raises(Unavailable, match="cannot reach Postgres"):
            await migrate(url)
    assert os.environ["PGPASSWORD"] == PASSWORD


async def test_certificates_that_are_not_there_are_a_wrong_setting() -> None:
    url = "postgresql://zoe:secret@127.0.0.1:1/shop?sslmode=verify-full&sslrootcert=/nowhere.pem"
    with pytest.raises(ConfigurationError, match=r"nowhere\.pem"):
        await open_pool(url)
    with pytest.raises(ConfigurationError, match=r"nowhere\.pem"):
        await migrate(url)


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
async def test_files_of_tls_with_something_else_in_them_are_named(
    name: str, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("localhost\n")
    url = f"postgresql://zoe:secret@127.0.0.1:1/shop?sslmode=verify-full&{name}={junk}"
    for connecting in (open_pool(url), migrate(url), open_session(url)):
        with pytest.raises(ConfigurationError, match=rf"{name} cannot be used: {junk}") as refused:
            await connecting
        assert "secret" not in str(refused.value)


async def test_a_key_that_is_not_its_certificates_is_named(tmp_path: Path) -> None:
    certificate, key = a_certificate(tmp_path)
    another = tmp_path / "another"
    another.mkdir()
    _, other = a_certificate(another)
    url = f"postgresql://zoe@127.0.0.1:1/shop?sslmode=require&sslcert={certificate}&sslkey="
    with pytest.raises(Unavailable, match="cannot reach Postgres"):
        await open_pool(f"{url}{key}")
    with pytest.raises(ConfigurationError, match=f"sslkey cannot be used: {other}"):
        await open_pool(f"{url}{other}")


def a_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "zoe")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    ).sign(key, hashes.SHA256())
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("PGPORT", "many", "postgresql:///shop"),
        ("PGHOST", "db..example", "postgresql:///shop"),
        ("PGSSLMODE", "maybe", "postgresql://zoe@127.0.0.1:1/shop"),
        ("PGSSLCRL", __file__, "postgresql://zoe@127.0.0.1:1/shop?sslmode=require"),
        ("PGSSLROOTCERT", __file__, "postgresql://zoe@127.0.0.1:1/shop?sslmode=require"),
    ],
)
async def test_variables_that_count_where_a_url_is_silent_are_settings_as_well(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, url: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError):
        await open_pool(url)


def test_asyncpg_still_takes_certificates_from_a_url_only() -> None:
    assert "sslrootcert" not in (asyncpg.connect.__kwdefaults__ or {})
