"""Brings the database up to date, before workers start."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from holdfast.contract.package import Package, schemas
from holdfast.domain.errors import ConfigurationError
from holdfast.domain.ids import is_id, no_id
from holdfast.knowledge.articles import read_articles
from holdfast.runtime.connection import require_database_url, require_migration_url
from holdfast.runtime.settings import Settings
from holdfast.store.address import read_address
from holdfast.store.knowledge import Article, load_articles
from holdfast.store.migrate import CORE_SCHEMA, migrate, owners_rights
from holdfast.store.pool import Connection, open_pool
from holdfast.store.roles import grant_product_role


async def prepare(settings: Settings, packages: Sequence[Package], tenant: str | None) -> None:
    """Migrate the database; with a tenant, load its articles and demonstration data as well.

    Raises:
        ConfigurationError: there can be no such tenant, or migrations, articles or roles are not in order.
        Unavailable: Postgres cannot be reached.
    """
    articles = {} if tenant is None else _articles(packages, tenant)
    url = require_migration_url(settings)
    await migrate(url, schemas(packages))
    await _set_up_role(settings, url, packages)
    if tenant is None:
        return
    with owners_rights(f"load the tenant {tenant}"):
        async with _owned(url) as connection:
            async with connection.transaction():
                for package, brought in articles.items():
                    await load_articles(connection, tenant, package, brought)
            await _seed(connection, packages, tenant)


def _articles(packages: Sequence[Package], tenant: str) -> dict[str, dict[str, Article]]:
    """The articles of each package, read before anything is changed; none where it brings none."""
    if not is_id(tenant):
        raise ConfigurationError(no_id(tenant, "tenant"))
    return {
        package.name: read_articles(package.articles) if package.articles is not None else {}
        for package in packages
    }


async def _seed(connection: Connection, packages: Sequence[Package], tenant: str) -> None:
    for package in packages:
        if package.seed is not None:
            await package.seed(connection, tenant)


async def _set_up_role(settings: Settings, owner_url: str, packages: Sequence[Package]) -> None:
    """Where the product has a role of its own, make it and grant it what it needs."""
    product, owner = read_address(require_database_url(settings)), read_address(owner_url)
    if product.user is None or product.user == owner.user:
        return
    async with _owned(owner_url) as connection:
        await grant_product_role(
            connection,
            role=product.user,
            password=product.password or None,
            schemas=(CORE_SCHEMA, *schemas(packages)),
        )


@asynccontextmanager
async def _owned(url: str) -> AsyncIterator[Connection]:
    """A connection of the owner of the tables, who may take as long as it takes."""
    async with (
        await open_pool(
            url, max_size=1, statement_seconds=0, idle_in_transaction_seconds=0
        ) as pool,
        pool.acquire() as connection,
    ):
        yield connection
