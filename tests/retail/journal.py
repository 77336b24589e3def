"""What the shop's own tables saw: triggers that note each change, whoever made it.

The platform counts executions by its own records; these notes are taken behind its back. An equal
end state does not show that every write ran once: changing an address twice leaves the same one.
"""

from dataclasses import dataclass

from holdfast import Connection

_WATCH = """
create schema journal;

create table journal.changes (
    seq bigint generated always as identity primary key,
    tenant text not null,
    transaction xid8 not null default pg_current_xact_id(),
    relation text not null,
    record text not null
);

create function journal.note() returns trigger security definer language plpgsql as $$
begin
    insert into journal.changes (tenant, relation, record)
    values (new.tenant, tg_table_name, to_jsonb(new) ->> tg_argv[0]);
    return null;
end $$;

create trigger note after update on shop.users
    for each row execute function journal.note('user_id');
create trigger note after update on shop.orders
    for each row execute function journal.note('order_id');
create trigger note after insert on shop.payments
    for each row execute function journal.note('order_id');
"""

_WRITES = """
select string_agg(distinct record, ' and ') as record,
       count(*) filter (where relation <> 'payments') as updates
  from journal.changes where tenant = $1 group by transaction order by min(seq)
"""


@dataclass(frozen=True, kw_only=True)
class Write:
    """One transaction that changed the shop: the order or user it was about, and how often that row
    was updated. Moving a payment appends payments and updates neither."""

    record: str
    updates: int


async def watch(connection: Connection) -> None:
    """Begin to note changes, in a database with the shop's tables."""
    await connection.execute(_WATCH)


async def forget(connection: Connection, tenant: str) -> None:
    """Drop what was noted about a tenant, as after loading its data."""
    await connection.execute("delete from journal.changes where tenant = $1", tenant)


async def writes(connection: Connection, tenant: str) -> list[Write]:
    """The transactions that changed a tenant's records, in order."""
    return [Write(**row) for row in await connection.fetch(_WRITES, tenant)]
