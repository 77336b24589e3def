"""What activities work with, made once for each worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from holdfast.activities.fleet import Fleet
from holdfast.activities.policy_texts import PolicyTexts
from holdfast.llm.client import ModelClient
from holdfast.notifications.config import Notifications
from holdfast.notifications.webhook import WebhookSender
from holdfast.packages.registry import Registry
from holdfast.security.statements import Verifier
from holdfast.store.pool import Connection, Pool
from holdfast.store.subjects import lent_reads


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The worker's connections and registry, and what it knows of the other workers.

    `reads` is a pool on which Postgres refuses writes; `verifier` knows the reviewers' keys;
    `notifications` says who is told of approvals;
    `keep_requests` keeps whole model requests
    in the ledger.
    """

    pool: Pool
    reads: Pool
    models: ModelClient
    registry: Registry
    fleet: Fleet
    verifier: Verifier
    notifications: Notifications
    webhooks: WebhookSender
    keep_requests: bool = False
    policy_texts: PolicyTexts = field(default_factory=PolicyTexts)


class PooledReads:
    """The read-only pool, as a subgraph sees it (`holdfast.contract.subgraph.Reads`)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A read-only connection, in one transaction, for as long as the context lasts."""
        async with lent_reads(self._pool) as connection:
            yield connection
