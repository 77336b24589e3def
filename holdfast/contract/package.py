"""What an agent builder brings: subgraphs, actions, policy, tables, articles, under one name."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from holdfast.contract.action import AnyAction
from holdfast.contract.connection import Connection
from holdfast.contract.hints import Hints
from holdfast.contract.subgraph import Subgraph
from holdfast.domain.errors import ConfigurationError
from holdfast.domain.ids import is_id

_TAKEN_SCHEMAS = ("holdfast", "public", "information_schema")

Seed = Callable[[Connection, str], Awaitable[None]]
Customer = Callable[[Connection, str, str], Awaitable[dict[str, JsonValue]]]


@dataclass(frozen=True, kw_only=True)
class Package:
    """Everything one business brings.

    Args:
        name: also the Postgres schema of its tables, so neither "holdfast" nor "public".
        subgraphs: its agents.
        actions: what they may propose.
        policy: a YAML file, used for tenants that have no policy file of their own.
        migrations: a folder of Alembic revisions for its own schema.
        articles: a folder of Markdown help-centre articles for the knowledge agent.
        customer: reads what policy conditions see of a customer as `customer.*` besides `customer.id`,
            on a read-only connection, from the tenant and the customer's id.
        customer_names: what `customer` returns by name, so that `policy check` finds others.
        hints: help for the offline model.
        seed: fills a tenant with demonstration data; called again, it changes nothing.

    Raises:
        ConfigurationError: the name may not be used.
    """

    name: str
    subgraphs: tuple[Subgraph, ...] = ()
    actions: tuple[AnyAction, ...] = ()
    policy: Path | None = None
    migrations: Path | None = None
    articles: Path | None = None
    customer: Customer | None = None
    customer_names: tuple[str, ...] | None = None
    hints: Hints = field(default_factory=Hints)
    seed: Seed | None = None

    def __post_init__(self) -> None:
        if not is_id(self.name) or self.name in _TAKEN_SCHEMAS or self.name.startswith("pg_"):
            raise ConfigurationError(f"{self.name!r} cannot be the name of a package")


def schemas(packages: Iterable[Package]) -> dict[str, Path]:
    """The folders of their migrations, by schema."""
    return {package.name: package.migrations for package in packages if package.migrations}
