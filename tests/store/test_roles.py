"""The product's database role: set up at every migration, whoever owns the tables."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.identity import ConversationKey
from holdfast.runtime.connection import require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.audit import append_audit, read_audit
from holdfast.store.migrate import migrate
from holdfast.store.pool import Pool, open_pool
from holdfast.store.roles import grant_product_role, require_append_only_audit


class Server:
    """A database of the test's own, whose owner may make roles and is no superuser."""

    def __init__(self, superuser: Pool, superuser_url: str, name: str) -> None:
        self.superuser = superuser
        self.owner = f"{name}-owner"
        self.product = f"{name}-product"
        self.superuser_url = superuser_url
        self.database = name

    def url(self, role: str, password: str) -> str:
        """The database's URL for a role."""
        url = make_url(self.superusers_url()).set(username=role, password=password)
        return url.render_as_string(hide_password=False)

    def superusers_url(self) -> str:
        """The same for the superuser of the server."""
        url = make_url(self.superuser_url).set(database=self.database)
        return url.render_as_string(hide_password=False)

    async def grant(self, *, role: str | None = None, password: str = "first") -> None:
        """What the end of a migration does."""
        async with (
            await open_pool(self.url(self.owner, "own")) as pool,
            pool.acquire() as connection,
        ):
            await grant_product_role(
                connection, role=role or self.product, password=password, schemas=["holdfast"]
            )

    async def create(self) -> None:
        await self.superuser.execute(
            f"create role \"{self.owner}\" login createrole password 'own'"
        )
        await self.superuser.execute(f'create database "{self.database}" owner "{self.owner}"')
        await migrate(self.url(self.owner, "own"))

    async def drop(self) -> None:
        await self.superuser.execute(f'drop database if exists "{self.database}" with (force)')
        for role in (self.product, self.owner):
            await self.superuser.execute(f'drop role if exists "{role}"')


@pytest.fixture
async def server(stack_settings: Settings, tenant: str) -> AsyncIterator[Server]:
    url = require_migration_url(stack_settings)
    async with await open_pool(url) as superuser:
        opened = Server(superuser, url, tenant)
        try:
            await opened.create()
            yield opened
        finally:
            await opened.drop()


async def test_an_owner_who_is_no_superuser_sets_the_role_up_again_and_again(
    server: Server, tenant: str
) -> None:
    await server.grant()
    awkward = 'it\'s "a" %L \\ p/w@rd'
    await server.grant(password=awkward)
    async with await open_pool(server.url(server.owner, "own")) as owner:
        await owner.execute("create table holdfast.later (id bigserial primary key, word text)")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url(server.product, "first"))
    async with (
        await open_pool(server.url(server.product, awkward)) as pool,
        pool.acquire() as product,
    ):
        await require_append_only_audit(product)
        async with product.transaction():
            await append_audit(
                product, ConversationKey(tenant, "c"), kind="k", subject="s", data={}
            )
        assert [one.seq for one in await read_audit(product, tenant)] == [1]
        await product.execute("insert into holdfast.later (word) values ('kept')")
        await product.execute("delete from holdfast.later")
        assert await product.fetchval("select version_num from holdfast.schema_version")
        for statement in (
            "update holdfast.audit set kind = 'x'",
            "delete from holdfast.audit",
            "truncate holdfast.audit",
            "delete from holdfast.schema_version",
            "create table holdfast.own (id int)",
            "create role another",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await product.execute(statement)


async def test_migrations_that_end_at_the_same_time_set_one_role_up(server: Server) -> None:
    await asyncio.gather(*(server.grant() for _ in range(5)))
    async with await open_pool(server.url(server.product, "first")) as pool:
        assert await pool.fetchval("select count(*) from holdfast.audit") == 0


async def test_a_role_that_somebody_else_made_is_granted_on_and_keeps_its_password(
    server: Server,
) -> None:
    await server.superuser.execute(f"create role \"{server.product}\" login password 'theirs'")
    await server.grant(password="ours")
    async with (
        await open_pool(server.url(server.product, "theirs")) as pool,
        pool.acquire() as product,
    ):
        await require_append_only_audit(product)


async def test_an_owner_who_may_not_make_roles_is_told_so(server: Server) -> None:
    await server.superuser.execute(f'alter role "{server.owner}" nocreaterole')
    with pytest.raises(
        ConfigurationError, match=r"permission denied to create role\); have somebody"
    ):
        await server.grant()


async def test_a_superuser_is_not_made_the_products_role_and_stays_one(server: Server) -> None:
    superuser = await server.superuser.fetchval("select current_user")
    with pytest.raises(ConfigurationError, match="is a superuser"):
        await server.grant(role=superuser, password="stolen")
    assert await server.superuser.fetchval(
        "select rolsuper from pg_roles where rolname = $1", superuser
    )


@pytest.mark.parametrize(
    "statement",
    [
        'grant "{owner}" to "{product}"',
        'alter schema holdfast owner to "{product}"',
        'grant update (kind) on holdfast.audit to "{product}"',
        'grant delete on holdfast.audit to "{product}"',
        "grant truncate on holdfast.audit to public",
    ],
)
async def test_a_role_that_has_a_way_to_change_the_log_is_found(
    server: Server, statement: str
) -> None:
    await server.superuser.execute(f"create role \"{server.product}\" login password 'first'")
    await server.grant()
    async with await open_pool(server.superusers_url()) as superuser:
        await superuser.execute(statement.format(owner=server.owner, product=server.product))
    async with (
        await open_pool(server.url(server.product, "first")) as pool,
        pool.acquire() as product,
    ):
        with pytest.raises(ConfigurationError, match="could change the audit log"):
            await require_append_only_audit(product)
