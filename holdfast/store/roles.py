"""The database role that the product runs as: it works on every table, and cannot change the audit log."""

import logging
from collections.abc import Iterable

import asyncpg

from holdfast.domain.errors import ConfigurationError
from holdfast.store.pool import IDLE_IN_TRANSACTION_SECONDS, STATEMENT_SECONDS, Connection

_logger = logging.getLogger(__name__)


_LOCK = 0x526F6C65
"""Advisory lock: Postgres refuses to change one role, or grant on one table, twice at a time."""

_UNFIT = (
    asyncpg.ReservedNameError,
    asyncpg.DuplicateObjectError,  # a name that is cut off at 63 bytes, and then there already
    asyncpg.InvalidParameterValueError,  # a password that an extension of the server finds too weak
)


async def grant_product_role(
    connection: Connection, *, role: str, password: str | None, schemas: Iterable[str]
) -> None:
    """Make the role, where it is missing, and give it what it needs; as the owner of the tables.

    A role that somebody else has made, and that the owner may not change, keeps its password.

    Raises:
        ConfigurationError: the owner may not make roles, or grant on these tables; or the role is a
            superuser, to whom no table is closed, or has a name that no role may have.
    """
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            await _make(connection, role, password)
            name = await _quoted(connection, role)
            database = await _quoted(
                connection, await connection.fetchval("select current_database()")
            )
            await connection.execute(f"grant connect on database {database} to {name}")
            for schema in schemas:
                await _grant(connection, name, await _quoted(connection, schema))
            await connection.execute(
                f"revoke update, delete, truncate on holdfast.audit from {name}"
            )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(
            f"the role of HOLDFAST_MIGRATION_URL cannot set up the product's role {role!r} "
            f"({error.args[0]}); have somebody who may create it (`create role … login password …`), and "
            "migrate with the owner of the tables"
        ) from error
    except _UNFIT as error:
        raise ConfigurationError(
            f"Postgres does not take the user or the password of HOLDFAST_DATABASE_URL, {role!r}, for a "
            f"role ({error.args[0]}); name another one there"
        ) from error


async def require_append_only_audit(connection: Connection) -> None:
    """Check that this connection's role cannot change the audit log.

    Raises:
        ConfigurationError: it can, as can a superuser, and the owner of the table or its schema.
    """
    can = await connection.fetchval(
        """
        select has_any_column_privilege(audit.oid, 'update')
            or has_table_privilege(audit.oid, 'delete')
            or has_table_privilege(audit.oid, 'truncate')
            or pg_has_role(audit.relowner, 'member')
            or pg_has_role(home.nspowner, 'member')
          from pg_class as audit join pg_namespace as home on home.oid = audit.relnamespace
         where audit.oid = 'holdfast.audit'::regclass
        """
    )
    if can:
        raise ConfigurationError(
            "the role of HOLDFAST_DATABASE_URL could change the audit log: give the owner's URL as "
            "HOLDFAST_MIGRATION_URL and another user's as HOLDFAST_DATABASE_URL, and run "
            "`holdfast worker --migrate`, which sets that user up; or set HOLDFAST_AUDIT_UNPROTECTED=true"
        )


async def _make(connection: Connection, role: str, password: str | None) -> None:
    superuser = await connection.fetchval("select rolsuper from pg_roles where rolname = $1", role)
    if superuser:
        raise ConfigurationError(
            f"the user of HOLDFAST_DATABASE_URL, {role!r}, is a superuser, who could change the "
            "audit log; name another user there, who need not exist yet"
        )
    if superuser is None:
        attributes = "login nosuperuser nocreaterole nocreatedb"
        await _run_formatted(connection, f"create role %I {attributes}", role, password)
        await _bound(connection, role)
        return
    try:
        async with connection.transaction():
            # Only these: a role that is no superuser may not even say that another is none.
            await _run_formatted(connection, "alter role %I login", role, password)
            await _bound(connection, role)
    except asyncpg.InsufficientPrivilegeError:
        _logger.info("the role %s was made by somebody else, and is left as it is", role)


async def _bound(connection: Connection, role: str) -> None:
    """A bound for every session of the role, also of those that are not ours."""
    for name, seconds in (
        ("statement_timeout", STATEMENT_SECONDS),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_SECONDS),
    ):
        setting = f"alter role %I set {name} = '{seconds:g}s'"
        await _run_formatted(connection, setting, role, None)


async def _run_formatted(
    connection: Connection, statement: str, role: str, password: str | None
) -> None:
    """Run a statement about a role; these take no parameters."""
    formatted = await connection.fetchval(
        """
        select format($1, $2::text)
            || case when $3::text is null then '' else format(' password %L', $3::text) end
        """,
        statement,
        role,
        password,
    )
    await connection.execute(formatted)


async def _grant(connection: Connection, name: str, place: str) -> None:
    """Grant on a schema, now and for tables to come; both names are quoted."""
    rights = "select, insert, update, delete"
    for statement in (
        f"grant usage on schema {place} to {name}",
        f"grant {rights} on all tables in schema {place} to {name}",
        f"grant usage, select on all sequences in schema {place} to {name}",
        f"alter default privileges in schema {place} grant {rights} on tables to {name}",
        f"alter default privileges in schema {place} grant usage, select on sequences to {name}",
        f"revoke insert, update, delete on {place}.schema_version from {name}",
    ):
        await connection.execute(statement)


async def _quoted(connection: Connection, name: str) -> str:
    return str(await connection.fetchval("select quote_ident($1)", name))
