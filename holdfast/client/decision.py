"""A review as the workflow takes it, and its outcome where it was taken before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never
from uuid import uuid4

from pydantic import JsonValue

from holdfast.client.validation import checking
from holdfast.domain.approval import ApprovalStatus
from holdfast.domain.decision import Decision, used_before
from holdfast.domain.errors import (
    AlreadyDecided,
    ApprovalExpired,
    ApprovalNotFound,
    InvalidRequest,
)
from holdfast.domain.outcomes import ProposedAction
from holdfast.domain.records import ApprovalRecord
from holdfast.domain.review import (
    Accept,
    Claim,
    Comment,
    Delegate,
    Edit,
    Reject,
    Release,
    Respond,
    Review,
    Reviewer,
)

_LOOKS = 10
_PAUSE_SECONDS = 0.2


def decision_on(
    record: ApprovalRecord,
    review: Review,
    *,
    by: Reviewer,
    seen: str | None,
    decision_id: str | None,
    statement: str | None,
) -> Decision:
    """The review as it travels to the workflow; without `seen`, about what the record says.

    Raises:
        InvalidRequest: it lacks something, or an edit does not have arguments for each action.
    """
    text = ""
    to: str | None = None
    edited: Sequence[dict[str, JsonValue]] = ()
    match review:
        case Accept() | Claim() | Release():
            pass
        case Edit():
            edited = review.arguments
        case Reject():
            text = review.reason
        case Respond() | Comment():
            text = review.text
        case Delegate():
            to = review.to
        case _:
            assert_never(review)
    if edited and len(edited) != len(record.actions):
        raise InvalidRequest(
            f"approval {record.id} has {len(record.actions)} actions, the edit has arguments for "
            f"{len(edited)}"
        )
    with checking():
        return Decision(
            id=decision_id or uuid4().hex,
            approval=record.id,
            kind=review.kind,
            reviewer=by.id,
            team=by.team,
            roles=tuple(by.roles),
            digest=seen or record.args_digest,
            text=text,
            actions=tuple(
                ProposedAction(name=action.name, arguments=arguments)
                for action, arguments in zip(record.actions, edited, strict=False)
            ),
            to=to,
            statement=statement or "",
        )


async def known_soon(decide: Callable[[], Awaitable[ApprovalStatus]]) -> ApprovalStatus:
    """What `decide` answers. An approval is recorded some milliseconds before its workflow waits for it, so
    `ApprovalNotFound` is not believed at once."""
    for _ in range(_LOOKS):
        try:
            return await decide()
        except ApprovalNotFound:
            await asyncio.sleep(_PAUSE_SECONDS)
    return await decide()


def decided_before(record: ApprovalRecord, decision: Decision) -> ApprovalStatus | None:
    """The outcome of this very decision, if it was taken; None while the approval waits.

    Raises:
        MessageConflict: another decision was taken under its id.
        AlreadyDecided, ApprovalExpired: it does not wait any more.
    """
    taken = [one for one in record.decisions if one.refusal is None]
    before = next((one for one in taken if one.id == decision.id), None)
    if before is not None and before.content != decision.content:
        raise used_before(decision)
    if record.state == "pending":
        return None
    if before is not None:
        return ApprovalStatus(
            approval=record.id,
            state=record.approval.state,
            decision_id=record.approval.decision_id,
        )
    settled = next((one for one in taken if one.id == record.approval.decision_id), None)
    if record.state == "expired" or (record.approval.state == "accepted" and settled is None):
        raise ApprovalExpired(
            f"approval {record.id} expired at {record.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    by = f" by {settled.reviewer}" if settled else ""
    raise AlreadyDecided(f"approval {record.id} is already {record.state}{by}")
