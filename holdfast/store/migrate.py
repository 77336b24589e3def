"""Migrations: the core's own and those of brought packages, each in its schema, through Alembic."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from holdfast.domain.errors import ConfigurationError, Unavailable
from holdfast.store.address import read_address
from holdfast.store.pool import TRANSIENT_ERRORS, Connection, connecting

CONNECTION = "connection"
SCHEMA = "schema"

CORE_SCHEMA = "holdfast"
_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x486F6C64
"""Advisory lock: two processes that migrate at once do so one after the other."""


async def migrate(url: str, packages: Mapping[str, Path] | None = None) -> None:
    """Bring the core's schema and those of `packages` (schema to folder of revisions) up to date.

    Raises:
        ConfigurationError: the URL cannot be used, or is not the owner's of the tables.
        Unavailable: Postgres cannot be reached.
    """
    options = read_address(url).connect_options(statement_timeout="0")

    async def connect() -> Connection:
        with connecting():
            opened: Connection = await asyncpg.connect(**options)
        return opened

    # A migration may take as long as it takes: no timeout of statements here.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
    try:
        with owners_rights("migrate this database"):
            async with engine.begin() as connection:
                await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                for schema, versions in _locations(packages).items():
                    await connection.execute(text(f'create schema if not exists "{schema}"'))
                    await connection.run_sync(_upgrade, schema, versions)
    except TRANSIENT_ERRORS as error:
        raise Unavailable(f"cannot reach Postgres to migrate it: {error}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(f"lost Postgres while migrating it: {error}") from error
        raise
    finally:
        await engine.dispose()


@contextmanager
def owners_rights(doing: str) -> Iterator[None]:
    """Do what the owner of the tables may; `doing` says what it is.

    Raises:
        ConfigurationError: the role may not, or the server takes no changes.
    """
    try:
        yield
    except (asyncpg.PostgresError, DBAPIError) as error:
        cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
        if isinstance(cause, asyncpg.InsufficientPrivilegeError):
            raise ConfigurationError(
                f"this role of Postgres may not {doing} ({cause}); set HOLDFAST_MIGRATION_URL to the "
                "URL of the owner of the tables"
            ) from error
        if isinstance(cause, asyncpg.ReadOnlySQLTransactionError):
            raise ConfigurationError(
                f"this server of Postgres takes no changes ({cause}), so nobody can {doing} there; set "
                "HOLDFAST_MIGRATION_URL to the URL of the primary"
            ) from error
        raise


async def require_migrated(
    connection: Connection, packages: Mapping[str, Path] | None = None
) -> None:
    """Check that every schema is at its newest revision.

    Raises:
        ConfigurationError: one is behind (or ahead: a newer version has migrated it), or this role may
            not look at it.
    """
    for schema, versions in _locations(packages).items():
        wanted = ScriptDirectory.from_config(_config(schema, versions)).get_current_head()
        try:
            known = await connection.fetchval(
                "select to_regclass($1)", f'"{schema}".schema_version'
            )
            found = known and await connection.fetchval(
                f'select version_num from "{schema}".schema_version'
            )
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(
                f"the role of HOLDFAST_DATABASE_URL has no rights here ({error}); run `holdfast worker "
                "--migrate` with the owner's URL as HOLDFAST_MIGRATION_URL, which grants them"
            ) from error
        if found != wanted:
            raise ConfigurationError(
                f"the database schema {schema!r} is at revision {found or 'none'}, this version "
                f"needs {wanted}; run `holdfast worker --migrate` (or `make migrate`)"
            )


def _locations(packages: Mapping[str, Path] | None) -> dict[str, Path]:
    return {CORE_SCHEMA: _FOLDER / "versions", **(packages or {})}


def _config(schema: str, versions: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.attributes[SCHEMA] = schema
    return config


def _upgrade(connection: SqlConnection, schema: str, versions: Path) -> None:
    config = _config(schema, versions)
    config.attributes[CONNECTION] = connection
    command.upgrade(config, "head")
