"""Approvals: what waits for people, what was decided, and reviewers' decisions."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from holdfast.client.decision import decided_before, decision_on, known_soon
from holdfast.client.operations import Operations
from holdfast.client.records import Records
from holdfast.client.requests import REQUEST_SECONDS, Requests
from holdfast.client.validation import checking, require_id
from holdfast.domain import wire
from holdfast.domain.approval import ApprovalState, ApprovalStatus
from holdfast.domain.ids import text_digest
from holdfast.domain.operations import SightingRequest
from holdfast.domain.records import ApprovalFilter, ApprovalRecord
from holdfast.domain.review import Review, Reviewer
from holdfast.store import approvals
from holdfast.store.audit import is_seen, receipt_of
from holdfast.store.handed_in import note_handed_in

if TYPE_CHECKING:
    from holdfast.security.signing_key import SigningKey


class Approvals:
    """The approvals of one tenant: `HoldfastClient.approvals`."""

    def __init__(
        self,
        records: Records,
        requests: Requests,
        operations: Operations,
        signing_key: "SigningKey | None",
    ) -> None:
        self._records = records
        self._requests = requests
        self._operations = operations
        self._signing_key = signing_key

    async def list(
        self,
        *,
        state: ApprovalState | None = "pending",
        conversation: str | None = None,
        roles: Sequence[str] = (),
        mine: str | None = None,
        agent: str | None = None,
        at_least: Decimal | None = None,
        overdue: bool = False,
    ) -> Sequence[ApprovalRecord]:
        """Approvals, those whose next deadline is nearest first, a thousand at most.

        In `state` (None: in any); that wait for one of `roles`; that the reviewer `mine` has claimed
        or was given; of an agent; about that much money; `overdue`: of which people were reminded,
        or which were escalated.

        Raises:
            InvalidRequest: there is no such state, or nobody can have this id.
        """
        for name, what in ((conversation, "conversation"), (mine, "reviewer"), (agent, "agent")):
            if name is not None:
                require_id(name, what)
        with checking():
            wanted = ApprovalFilter(
                state=state,
                conversation=conversation,
                roles=tuple(roles),
                reviewer=mine,
                agent=agent,
                at_least=at_least,
                overdue=overdue,
            )
        async with self._records.connection() as connection:
            return await approvals.list_approvals(connection, self._records.tenant, wanted)

    async def get(self, approval: str, *, reader: str | None = None) -> ApprovalRecord:
        """One approval, with what is asked for and what was decided. The audit log keeps that the reviewer
        `reader` has seen it as it is; seeing it again adds nothing.

        Raises:
            ApprovalNotFound, InvalidRequest.
        """
        require_id(approval, "approval")
        if reader is not None:
            require_id(reader, "reviewer")
        tenant = self._records.tenant
        async with self._records.connection() as connection:
            record = await approvals.read_approval(connection, tenant, approval)
            digest = record.args_digest
            if reader is None or await is_seen(
                connection, tenant, approval, reviewer=reader, digest=digest
            ):
                return record
            receipt = await receipt_of(connection, tenant, approval)
        sighting = SightingRequest(
            tenant=tenant, approval=approval, reviewer=reader, digest=digest, receipt=receipt
        )
        await self._operations.run(sighting)
        return record

    async def decide(
        self,
        approval: str,
        review: Review,
        *,
        by: Reviewer,
        seen: str | None = None,
        decision_id: str | None = None,
        statement: str | None = None,
        timeout: float | None = REQUEST_SECONDS,
    ) -> ApprovalStatus:
        """Accept, edit, reject or respond to what an agent has proposed; or claim it for a while,
        release it, delegate it, comment on it.

        `seen` is the `args_digest` of the approval that the reviewer saw, without which the review is
        about what waits now. The same `decision_id` decides once. `statement` is what the reviewer's
        identity service has signed (see `holdfast.security.statements`); without one, this client
        signs with its own key, where its settings name one.

        Where policy takes silence for consent, it is noted first that this was handed in: it breaks the
        silence even if it is not taken, since the conversation was terminated, say.

        Raises:
            ApprovalNotFound, AlreadyDecided, ApprovalExpired, NotAllowed, Claimed, DigestMismatch,
            Superseded, InvalidEdit, InvalidStatement, InvalidRequest, ConversationClosed,
            MessageConflict.
        """
        record = await self.get(approval)
        decision = decision_on(
            record, review, by=by, seen=seen, decision_id=decision_id, statement=statement
        )
        if self._signing_key is not None and not decision.statement:
            from holdfast.security.statements import sign_decision

            decision = sign_decision(decision, tenant=self._records.tenant, key=self._signing_key)
        if (status := decided_before(record, decision)) is not None:
            return status
        if record.approval.on_expiry == "allow":
            key = self._records.key(record.conversation)
            async with self._records.connection() as connection:
                await note_handed_in(connection, key, decision)
        return await known_soon(
            partial(
                self._requests.update,
                record.conversation,
                wire.DECIDE,
                decision,
                ApprovalStatus,
                # A refused attempt under the same decision id must not answer for a genuine one.
                id=f"{decision.id}:{text_digest(decision.model_dump_json())}",
                timeout=timeout,
            )
        )
