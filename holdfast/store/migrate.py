"""Migrations: the core's own and those of brought packages, each in its schema, through Alembic."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from holdfast.domain.errors import ConfigurationError, Unavailable
from holdfast.domain.failures import in_words
from holdfast.store.address import read_address
from holdfast.store.hosts import connect
from holdfast.store.pool import TRANSIENT_ERRORS, Connection, cause_of, connecting

CONNECTION = "connection"
SCHEMA = "schema"

CORE_SCHEMA = "holdfast"
_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x486F6C64
"""Advisory lock: two processes that migrate at once do so one after the other."""


async def migrate(url: str, packages: Mapping[str, Path] | None = None) -> None:
    """Bring the core's schema and those of `packages` (schema to folder of revisions) up to date.

    Raises:
        ConfigurationError: the URL cannot be used, or is not the owner's of the tables, or there are
            revisions that cannot be used; nothing is changed then.
        Unavailable: Postgres cannot be reached.
    """
    options = read_address(url).connect_options(statement_timeout="0")
    for schema, versions in _locations(packages).items():
        _newest(schema, versions)

    async def open_connection() -> Connection:
        with connecting():
            opened: Connection = await connect(**options)
        return opened

    # A migration may take as long as it takes: no timeout of statements here.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=open_connection)
    try:
        with owners_rights("migrate this database"):
            async with engine.begin() as connection:
                await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                for schema, versions in _locations(packages).items():
                    await connection.execute(text(f'create schema if not exists "{schema}"'))
                    await connection.run_sync(_upgrade, schema, versions)
    except TRANSIENT_ERRORS as error:
        raise Unavailable(f"cannot reach Postgres to migrate it: {cause_of(error)}") from error
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
        ConfigurationError: one has revisions that cannot be used, or is behind (or ahead: a newer version
            has migrated it), or this role may not look at it.
    """
    for schema, versions in _locations(packages).items():
        wanted = _newest(schema, versions)
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


def _newest(schema: str, versions: Path) -> str:
    """The revision that a folder leads to.

    Raises:
        ConfigurationError: the folder is missing, has no revision, or several that nothing follows, or one
            that cannot be read.
    """
    problem = f"the migrations of the schema {schema!r} in {versions} cannot be used: "
    if not Path(versions).is_dir():
        raise ConfigurationError(f"{problem}there is no such folder")
    try:
        heads = ScriptDirectory.from_config(_config(schema, versions)).get_heads()
    except Exception as error:  # revisions are code, and may raise anything
        raise ConfigurationError(f"{problem}{_told(error, versions)}") from error
    if len(heads) != 1:
        found = f"nothing follows {', '.join(heads)}" if heads else "it has no revision"
        raise ConfigurationError(f"{problem}{found}; one revision has to be the last")
    return heads[0]


def _told(error: Exception, versions: Path) -> str:
    """What went wrong, and in which line of which revision."""
    if isinstance(error, CommandError | SyntaxError):
        return f"{type(error).__name__}: {error}"
    places = traceback.extract_tb(error.__traceback__)
    told = [f"{one.filename}:{one.lineno}" for one in places if str(versions) in one.filename]
    return ", at ".join([in_words(error), *told])


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
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise ConfigurationError(
            f"cannot migrate the schema {schema!r} to this version: {error}"
        ) from error
