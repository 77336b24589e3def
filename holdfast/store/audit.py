"""The audit log: append-only, and for each tenant a chain in which every entry hashes the one before.

hash = SHA-256 of the canonical JSON of [tenant, seq, at, kind, conversation, subject, data,
previous hash]; the first entry's previous hash is empty.
"""

from datetime import UTC, datetime

from pydantic import JsonValue

from holdfast.domain.ids import json_digest
from holdfast.store.pool import Connection


async def append_audit(
    connection: Connection,
    *,
    tenant: str,
    kind: str,
    conversation: str,
    subject: str,
    data: dict[str, JsonValue],
) -> None:
    """Append an entry in the caller's transaction, which should end soon: the chain's head is locked."""
    head = await connection.fetchrow(
        """
        insert into holdfast.audit_heads as head (tenant, seq, hash) values ($1, 0, '')
        on conflict (tenant) do update set seq = head.seq
        returning seq, hash
        """,
        tenant,
    )
    assert head is not None
    seq = head["seq"] + 1
    at = datetime.now(UTC)
    digest = audit_hash(tenant, seq, at, kind, conversation, subject, data, head["hash"])
    await connection.execute(
        """
        with entry as (
            insert into holdfast.audit
                (tenant, seq, at, kind, conversation, subject, data, previous_hash, hash)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        )
        update holdfast.audit_heads set seq = $2, hash = $9 where tenant = $1
        """,
        tenant,
        seq,
        at,
        kind,
        conversation,
        subject,
        data,
        head["hash"],
        digest,
    )


async def append_sighting(
    connection: Connection,
    *,
    tenant: str,
    conversation: str,
    approval: str,
    reviewer: str,
    digest: str,
) -> None:
    """Note that a reviewer has seen an approval with this digest, unless it is noted already."""
    seen = await connection.fetchval(
        """
        select exists (
            select from holdfast.audit
             where tenant = $1 and subject = $2 and kind = 'approval_seen'
               and data ->> 'reviewer' = $3 and data ->> 'digest' = $4)
        """,
        tenant,
        approval,
        reviewer,
        digest,
    )
    if not seen:
        await append_audit(
            connection,
            tenant=tenant,
            kind="approval_seen",
            conversation=conversation,
            subject=approval,
            data={"reviewer": reviewer, "digest": digest},
        )


def audit_hash(
    tenant: str,
    seq: int,
    at: datetime,
    kind: str,
    conversation: str,
    subject: str,
    data: dict[str, JsonValue],
    previous: str,
) -> str:
    """The hash of an entry, 64 hex digits."""
    stamp = at.astimezone(UTC).isoformat(timespec="microseconds")
    return json_digest([tenant, seq, stamp, kind, conversation, subject, data, previous])
