"""What policy did not allow, for the audit log."""

from collections.abc import Sequence

from holdfast.domain.identity import StepKey
from holdfast.store.audit import append_audit
from holdfast.store.pool import Connection
from holdfast.store.steps import NewAction


async def note_denials(
    connection: Connection, key: StepKey, *, agent: str, actions: Sequence[NewAction]
) -> None:
    """Append an entry for a proposal that policy denies, in the transaction that records it; none for one
    that it lets through, or that the actions themselves refuse."""
    denied = [one for one in actions if one.state == "denied"]
    if not denied:
        return
    await append_audit(
        connection,
        key,
        kind="proposal_denied",
        subject=denied[0].id,
        data={
            "agent": agent,
            "actions": [
                {
                    "id": one.id,
                    "name": one.name,
                    "arguments": one.arguments,
                    "rule": one.rule,
                    "policy": one.policy,
                    "policy_version": one.policy_version,
                    "policy_digest": one.policy_digest,
                    "reason": one.error,
                }
                for one in denied
            ],
        },
    )
