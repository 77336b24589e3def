"""The audit log's entries, each of which hashes the one before.

hash = SHA-256 of the canonical JSON of [tenant, seq, at, kind, conversation, subject, data,
previous hash]; the first entry's previous hash is empty.
"""

from datetime import UTC, datetime

from pydantic import JsonValue

from holdfast.domain.ids import json_digest
from holdfast.domain.model import Frozen


def audit_hash(
    tenant: str,
    seq: int,
    at: datetime,
    kind: str,
    conversation: str,
    subject: str,
    data: JsonValue,
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
    data: JsonValue
    previous_hash: str
    hash: str

    def is_intact(self) -> bool:
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
    """What was found in a tenant's chain.

    `head` is `{seq}:{hash}` of its last entry, to be kept elsewhere: somebody who can replace the whole
    chain can make one that is right in itself. `problems` are in the order of the chain, the first
    100 of them; `problem_count` counts all.
    """

    tenant: str
    entries: int
    head: str
    problem_count: int = 0
    problems: tuple[AuditProblem, ...] = ()
