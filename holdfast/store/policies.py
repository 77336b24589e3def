"""The texts of the policies that proposals were judged by."""

from holdfast.domain.policy import Policy
from holdfast.store.pool import Connection, Pool


async def keep_policy(pool: Pool, tenant: str, policy: Policy) -> None:
    """Keep the text of a policy that is about to judge; one that has no file has no text."""
    await pool.execute(
        """
        insert into holdfast.policies (tenant, digest, name, version, text)
        values ($1, $2, $3, $4, $5) on conflict do nothing
        """,
        tenant,
        policy.digest,
        policy.name,
        policy.version,
        policy.text,
    )


async def read_policy_text(connection: Connection, tenant: str, digest: str) -> str | None:
    """The text of the policy with this digest, where a proposal of the tenant was judged by it."""
    text: str | None = await connection.fetchval(
        "select text from holdfast.policies where tenant = $1 and digest = $2", tenant, digest
    )
    return text
