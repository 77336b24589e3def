"""The policies that proposals were judged by, so that they can be asked again."""

import asyncio

from holdfast.domain.policy import Policy, load_policy
from holdfast.store.policies import keep_policy, read_policy_text
from holdfast.store.pool import Connection, Pool


class PolicyTexts:
    """Keeps the text of each policy when it first judges, and finds it again by its digest."""

    def __init__(self) -> None:
        self._kept: set[tuple[str, str]] = set()
        self._read: dict[tuple[str, str], Policy] = {}

    async def keep(self, pool: Pool, tenant: str, policy: Policy) -> None:
        """Keep what this policy says; one without a file always says the same."""
        if policy.digest and (tenant, policy.digest) not in self._kept:
            await keep_policy(pool, tenant, policy)
            self._kept.add((tenant, policy.digest))

    async def find(self, connection: Connection, tenant: str, digest: str) -> Policy | None:
        """The policy of that digest; None where none was kept.

        Raises:
            PolicyError: this version can't read it any more.
        """
        found = self._read.get((tenant, digest))
        if found is None:
            text = await read_policy_text(connection, tenant, digest)
            if text is None:
                return None
            # In a thread: a large one takes long to read, and other conversations share the event loop.
            found = await asyncio.to_thread(load_policy, text, source=f"policy {digest[:12]}")
            self._read[tenant, digest] = found
        return found
