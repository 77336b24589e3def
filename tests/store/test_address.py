"""Database URLs, read in one way: hosts, passwords, parameters, and what is refused."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from holdfast.domain.errors import ConfigurationError, Unavailable
from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings, read_settings
from holdfast.store.address import read_address
from holdfast.store.migrate import migrate
from holdfast.store.pool import open_pool
from holdfast.store.presence import open_session


def test_every_part_is_read() -> None:
    address = read_address(
        "postgres://a%40b:p%2Fw%3A%25@one.example:6000,[::1]/my%20base"
        f"?sslmode=verify-full&sslrootcert={__file__}&application_name=shop&connect_timeout=12"
        "&target_session_attrs=read-write"
    )
    assert address.hosts == (("one.example", 6000), ("::1", 5432))
    assert (address.user, address.password, address.database) == ("a@b", "p/w:%", "my base")
    assert address.tls == (("sslmode", "verify-full"), ("sslrootcert", __file__))
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


def test_asyncpg_still_takes_certificates_from_a_url_only() -> None:
    assert "sslrootcert" not in (asyncpg.connect.__kwdefaults__ or {})
