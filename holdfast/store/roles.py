"""The database role that the product runs as: it works on every table, and cannot change the audit log."""

from collections.abc import Iterable

import asyncpg

from holdfast.domain.errors import ConfigurationError
from holdfast.store.pool import Connection


async def grant_product_role(
    connection: Connection, *, role: str, password: str | None, schemas: Iterable[str]
) -> None:
    """Make the role, where it is missing, and give it what it needs; as the owner of the tables.

    Raises:
        ConfigurationError: the owner may not make roles, or grant on these tables.
    """
    try:
        async with connection.transaction():
            await _make(connection, role, password)
            for schema in schemas:
                await _grant(connection, role, schema)
            name = await _quoted(connection, role)
            await connection.execute(
                f"revoke update, delete, truncate on holdfast.audit from {name}"
            )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigurationError(
            f"the role of HOLDFAST_MIGRATION_URL cannot set up the product's role {role!r} "
            f"({error}); have somebody who may create it, and own the tables with the former"
        ) from error


async def require_append_only_audit(connection: Connection) -> None:
    """Check that this connection's role cannot change the audit log.

    Raises:
        ConfigurationError: it can, as a superuser or the owner of the table can.
    """
    can = await connection.fetchval(
        """
        select has_table_privilege('holdfast.audit', 'update')
            or has_table_privilege('holdfast.audit', 'delete')
            or has_table_privilege('holdfast.audit', 'truncate')
        """
    )
    if can:
        raise ConfigurationError(
            "the role of HOLDFAST_DATABASE_URL could change the audit log: give the owner's URL as "
            "HOLDFAST_MIGRATION_URL and another user's as HOLDFAST_DATABASE_URL, and run `python "
            "worker.py --migrate`, which sets that user up; or set HOLDFAST_AUDIT_UNPROTECTED=true"
        )


async def _make(connection: Connection, role: str, password: str | None) -> None:
    exists = await connection.fetchval(
        "select exists (select from pg_roles where rolname = $1)", role
    )
    verb = "alter" if exists else "create"
    statement = await connection.fetchval(
        f"select format('{verb} role %I login nosuperuser nocreaterole nocreatedb', $1::text)"
        " || coalesce(format(' password %L', $2::text), '')",
        role,
        password,
    )
    await connection.execute(statement)


async def _grant(connection: Connection, role: str, schema: str) -> None:
    name, place = await _quoted(connection, role), await _quoted(connection, schema)
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
