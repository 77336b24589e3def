"""What tables take in Postgres."""

from holdfast.store.pool import Pool

_TABLES = """
select quote_ident(table_schema) || '.' || quote_ident(table_name)
  from information_schema.tables
 where table_schema = any($1) and table_type = 'BASE TABLE'
 order by 1
"""


async def bytes_of_schemas(database: Pool, *schemas: str) -> int:
    """Tables, indexes and toast of these schemas, each rewritten first, so that no slack counts."""
    tables: list[str] = [row[0] for row in await database.fetch(_TABLES, list(schemas))]
    for table in tables:
        await database.execute(f"vacuum (full) {table}")
    await database.execute("checkpoint")
    size: int = await database.fetchval(
        "select coalesce(sum(pg_total_relation_size(name::regclass)), 0)::bigint from unnest($1::text[]) name",
        tables,
    )
    return size
