"""Changes of what decides: of reviewers' keys and of policies, in an audit log of the platform's own."""

from pydantic import JsonValue

from holdfast.domain.identity import ConversationKey
from holdfast.store.audit import append_audit
from holdfast.store.pool import Connection

PLATFORM = "holdfast"
"""The tenant whose audit log has what concerns all of them."""

_LOCK = 0x4368616E
"""Advisory lock: many workers notice the same change."""


async def note_change(
    connection: Connection, *, kind: str, subject: str, now: dict[str, str]
) -> bool:
    """Append an entry where `now`, a digest for each part, differs from what was noted last; whether it
    did. In a transaction of its own."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        data = await connection.fetchval(
            """
            select data from holdfast.audit
             where tenant = $1 and subject = $2 and kind = $3 order by seq desc limit 1
            """,
            PLATFORM,
            subject,
            kind,
        )
        before: dict[str, str] = data["now"] if data is not None else {}
        if data is not None and before == now:
            return False
        changes: dict[str, JsonValue] = {
            "added": [*sorted(now.keys() - before.keys())],
            "removed": [*sorted(before.keys() - now.keys())],
            "changed": [
                *sorted(one for one in now.keys() & before.keys() if now[one] != before[one])
            ],
            "now": {**now},
        }
        await append_audit(
            connection,
            ConversationKey(PLATFORM, ""),
            kind=kind,
            subject=subject,
            data=changes,
        )
    return True
