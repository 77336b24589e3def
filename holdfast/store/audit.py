"""The audit log: append-only, and for each tenant a chain in which every entry hashes the one before.

hash = SHA-256 of the canonical JSON of [tenant, seq, at, kind, conversation, subject, data,
previous hash]; the first entry's previous hash is empty.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from pydantic import JsonValue

from holdfast.domain.ids import json_digest
from holdfast.domain.model import Frozen
from holdfast.store.pool import Connection

_BATCH = 500
_MOST_PROBLEMS = 100


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


class AuditEntry(Frozen):
    """An entry of the audit log. Its hash can be worked out from the rest."""

    tenant: str
    seq: int
    at: datetime
    kind: str
    conversation: str
    subject: str
    data: dict[str, JsonValue]
    previous_hash: str
    hash: str

    def works_out(self) -> bool:
        """Whether the hash is that of the entry."""
        return self.hash == audit_hash(
            self.tenant,
            self.seq,
            self.at,
            self.kind,
            self.conversation,
            self.subject,
            self.data,
            self.previous_hash,
        )


class AuditProblem(Frozen):
    """Where a chain is broken, and how."""

    seq: int
    problem: str


class AuditReport(Frozen):
    """What was found in a tenant's chain. `head` is `{seq}:{hash}` of its last entry, to be kept
    elsewhere: whoever can replace the whole chain can make one that is right in itself."""

    tenant: str
    entries: int
    head: str
    problems: tuple[AuditProblem, ...]


async def read_audit(
    connection: Connection, tenant: str, *, after: int = 0
) -> AsyncIterator[AuditEntry]:
    """The entries of a tenant numbered above `after`, in order, a batch at a time; in a transaction."""
    query = "select * from holdfast.audit where tenant = $1 and seq > $2 order by seq"
    async for row in connection.cursor(query, tenant, after, prefetch=_BATCH):
        yield AuditEntry.model_validate(dict(row))


async def verify_audit(
    connection: Connection, tenant: str, *, expected_head: str | None = None
) -> AuditReport:
    """Work the whole chain of a tenant out again; in a transaction that sees one moment of it.

    `expected_head` is the head of an earlier report, which has to be in the chain still. At most 100
    problems are told.
    """
    problems: list[AuditProblem] = []
    last_seq, last_hash, entries = 0, "", 0
    missing_head = expected_head

    def note(seq: int, problem: str) -> None:
        if len(problems) < _MOST_PROBLEMS:
            problems.append(AuditProblem(seq=seq, problem=problem))

    async for entry in read_audit(connection, tenant):
        entries += 1
        if entry.seq != last_seq + 1:
            note(last_seq + 1, f"entries {last_seq + 1} to {entry.seq - 1} were removed")
        elif entry.previous_hash != last_hash:
            note(entry.seq, "does not continue the entry before: one of the two was replaced")
        if not entry.works_out():
            note(entry.seq, "was changed: its hash is another one")
        last_seq, last_hash = entry.seq, entry.hash
        if f"{entry.seq}:{entry.hash}" == missing_head:
            missing_head = None
    head = await connection.fetchrow(
        "select seq, hash from holdfast.audit_heads where tenant = $1", tenant
    )
    ends = (head["seq"], head["hash"]) if head else (0, "")
    if ends != (last_seq, last_hash):
        note(last_seq + 1, f"the chain should end with entry {ends[0]}:{ends[1]}")
    if missing_head is not None:
        note(last_seq, f"the earlier head {missing_head} is not in the chain")
    return AuditReport(
        tenant=tenant, entries=entries, head=f"{last_seq}:{last_hash}", problems=tuple(problems)
    )
