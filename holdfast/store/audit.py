"""The audit log: append-only, and for each tenant a chain in which every entry hashes the one before.

hash = SHA-256 of the canonical JSON of [tenant, seq, at, kind, conversation, subject, data,
previous hash]; the first entry's previous hash is empty.
"""

import json
import re
from datetime import UTC, datetime

import asyncpg
from pydantic import JsonValue

from holdfast.domain.audit import AuditEntry, AuditProblem, AuditReport, audit_hash
from holdfast.domain.errors import AuditBroken, InvalidRequest
from holdfast.domain.identity import ConversationKey
from holdfast.store.pool import Connection

PAGE = 500
"""Entries that are read at once."""

_MOST_PROBLEMS = 100
_BEFORE_ALL = -(2**63)
_HEAD = re.compile(r"0:|[1-9][0-9]{0,18}:[0-9a-f]{64}")

# Times that Postgres has and Python lacks are brought to the edge of Python's: no entry is that old
# or young, so that its hash will not work out.
_ENTRIES = """
    select tenant, seq, greatest(least(at, '9999-12-30Z'), '0001-01-02Z') as at,
           kind, conversation, subject, data::text as data, previous_hash, hash
      from holdfast.audit
     where tenant = $1 and seq > $2
"""


async def append_audit(
    connection: Connection,
    key: ConversationKey,
    *,
    kind: str,
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
        key.tenant,
    )
    assert head is not None
    seq = head["seq"] + 1
    at = datetime.now(UTC)
    digest = audit_hash(key.tenant, seq, at, kind, key.conversation, subject, data, head["hash"])
    await connection.execute(
        """
        with entry as (
            insert into holdfast.audit
                (tenant, seq, at, kind, conversation, subject, data, previous_hash, hash)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        )
        update holdfast.audit_heads set seq = $2, hash = $9 where tenant = $1
        """,
        key.tenant,
        seq,
        at,
        kind,
        key.conversation,
        subject,
        data,
        head["hash"],
        digest,
    )


async def append_sighting(
    connection: Connection,
    key: ConversationKey,
    *,
    approval: str,
    reviewer: str,
    digest: str,
) -> None:
    """Note that a reviewer has seen an approval with this digest, unless it is noted already."""
    if not await is_seen(connection, key.tenant, approval, reviewer=reviewer, digest=digest):
        await append_audit(
            connection,
            key,
            kind="approval_seen",
            subject=approval,
            data={"reviewer": reviewer, "digest": digest},
        )


async def is_seen(
    connection: Connection, tenant: str, approval: str, *, reviewer: str, digest: str
) -> bool:
    """Whether it is noted that a reviewer has seen an approval with this digest."""
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
    return bool(seen)


async def receipt_of(connection: Connection, tenant: str, approval: str) -> str:
    """The hash of the entry that says that the approval was asked for: a caller that has it has read the log."""
    receipt = await connection.fetchval(
        """
        select hash from holdfast.audit
         where tenant = $1 and subject = $2 and kind = 'approval_requested' order by seq limit 1
        """,
        tenant,
        approval,
    )
    return receipt or ""


async def read_audit(
    connection: Connection, tenant: str, *, after: int = 0, limit: int = PAGE
) -> list[AuditEntry]:
    """The next entries of a tenant, numbered above `after`, in order; none at the end of the log.

    Raises:
        AuditBroken: an entry has become unreadable.
    """
    rows = await connection.fetch(f"{_ENTRIES} order by seq limit $3", tenant, after, limit)
    return [_entry(row) for row in rows]


async def verify_audit(
    connection: Connection, tenant: str, *, expected_head: str | None = None
) -> AuditReport:
    """Work the whole chain of a tenant out again; in a transaction that sees one moment of it.

    `expected_head` is the head of an earlier report, which has to be in the chain still. Rows are
    read `PAGE` at a time, so that a long chain takes no more memory than a short one.

    Raises:
        InvalidRequest: `expected_head` is no head.
    """
    chain = _Chain(expected_head)
    everything = f"{_ENTRIES} order by seq"
    async for row in connection.cursor(everything, tenant, _BEFORE_ALL, prefetch=PAGE):
        chain.add(row)
    head = await connection.fetchrow(
        "select seq, hash from holdfast.audit_heads where tenant = $1", tenant
    )
    chain.end(head["seq"] if head else 0, head["hash"] if head else "")
    return AuditReport(
        tenant=tenant,
        entries=chain.entries,
        head=chain.head,
        problem_count=chain.problem_count,
        problems=tuple(chain.problems),
    )


class _Chain:
    """A chain as it is read, entry after entry, and what was found to be wrong with it."""

    def __init__(self, expected_head: str | None) -> None:
        if expected_head is not None and _HEAD.fullmatch(expected_head) is None:
            raise InvalidRequest(
                f"{expected_head!r} is no head: a head is SEQ:HASH, as `audit verify` prints it"
            )
        self.entries = 0
        self.problem_count = 0
        self.problems: list[AuditProblem] = []
        self._seq, self._hash = 0, ""
        self._missing_head = None if expected_head == self.head else expected_head

    @property
    def head(self) -> str:
        return f"{self._seq}:{self._hash}"

    def add(self, row: asyncpg.Record) -> None:
        seq, before = row["seq"], self._seq
        self.entries += 1
        if seq <= 0:
            self._note(seq, "was inserted before the first entry")
            return
        if seq > before + 1:
            others = "" if seq == before + 2 else f", and so were those up to {seq - 1}"
            self._note(before + 1, f"was removed{others}")
        elif row["previous_hash"] != self._hash:
            self._note(seq, "does not continue the entry before: one of the two was replaced")
        try:
            if not _entry(row).is_intact():
                self._note(seq, "was changed: its hash is another one")
        except AuditBroken:
            self._note(seq, "was changed: it cannot be read any more")
        self._seq, self._hash = seq, row["hash"]
        if self.head == self._missing_head:
            self._missing_head = None

    def end(self, seq: int, digest: str) -> None:
        if (seq, digest) != (self._seq, self._hash):
            at = min(seq, self._seq) + 1 if seq != self._seq else seq
            self._note(at, f"the chain ends with {self.head}, and should with {seq}:{digest}")
        if self._missing_head is not None:
            at = int(self._missing_head.partition(":")[0])
            self._note(at, f"the earlier head {self._missing_head} is not in the chain")

    def _note(self, seq: int, problem: str) -> None:
        self.problem_count += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(AuditProblem(seq=seq, problem=problem))


def _entry(row: asyncpg.Record) -> AuditEntry:
    try:
        data = json.loads(row["data"], parse_float=_plain_number)
        return AuditEntry.model_validate({**row, "data": data})
    except ValueError as error:  # such as a number with more digits than Python takes
        raise AuditBroken(
            f"entry {row['seq']} of the audit log of {row['tenant']!r} cannot be read: {error}"
        ) from error


def _plain_number(text: str) -> float | int:
    """As canonical JSON has it, so that readers who hash an exported entry need not know."""
    value = float(text)
    return int(value) if value.is_integer() else value
